"use strict";
(function () {
  const root = document.documentElement;
  window.addEventListener("error", function (event) { root.dataset.error = event.message; });
  document.addEventListener("securitypolicyviolation", function (event) {
    root.dataset.error = "blocked: " + event.violatedDirective;
  });
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const config = { displayModeBar: false, displaylogo: false, responsive: true };
  const onPaper = { "--ink": "#1f2933", "--soft": "#52606d", "--line": "#d9dee3" };

  function language() { return document.getElementById("en").checked ? "en" : "zh"; }

  // Texts in both languages are {zh, en}; colours of the page are written var(--name).
  function shown(value, words, colours) {
    if (Array.isArray(value)) { return value.map(function (one) { return shown(one, words, colours); }); }
    if (value !== null && typeof value === "object") {
      const keys = Object.keys(value);
      if (keys.length === 2 && "zh" in value && "en" in value) { return value[words]; }
      return Object.fromEntries(keys.map(function (key) { return [key, shown(value[key], words, colours)]; }));
    }
    if (typeof value === "string" && value.startsWith("var(--")) { return colours(value.slice(4, -1)); }
    return value;
  }
  function draw(print) {
    const css = getComputedStyle(root), words = language();
    const colours = function (name) { return print ? onPaper[name] : css.getPropertyValue(name).trim(); };
    root.lang = words === "en" ? "en" : "zh-CN";
    return figures.map(function (figure) {
      const one = shown(figure, words, colours);
      return Plotly.react(one.id, one.data, one.layout, config);
    });
  }
  function fit() { figures.forEach(function (figure) { Plotly.Plots.resize(figure.id); }); }

  Promise.all(draw(false)).then(
    function (drawn) { root.dataset.charts = String(drawn.length); },
    function (reason) { root.dataset.error = String(reason); }
  );
  document.querySelectorAll("input[name=language]").forEach(function (input) {
    input.addEventListener("change", function () { draw(false); });
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () { draw(false); });
  window.addEventListener("beforeprint", function () { draw(true); fit(); });
  window.addEventListener("afterprint", function () { draw(false); fit(); });
})();
