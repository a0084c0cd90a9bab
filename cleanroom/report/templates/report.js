"use strict";
(function () {
  const root = document.documentElement;
  window.addEventListener("error", function (event) { root.dataset.error = event.message; });
  document.addEventListener("securitypolicyviolation", function (event) {
    root.dataset.error = "blocked: " + event.violatedDirective;
  });
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const config = { displayModeBar: false, displaylogo: false, responsive: true };
  const drawn = figures.map(function (figure) {
    return Plotly.newPlot(figure.id, figure.data, figure.layout, config);
  });
  Promise.all(drawn).then(
    function () { root.dataset.charts = String(drawn.length); },
    function (reason) { root.dataset.error = String(reason); }
  );
  function fit() {
    figures.forEach(function (figure) { Plotly.Plots.resize(figure.id); });
  }
  window.addEventListener("beforeprint", fit);
  window.addEventListener("afterprint", fit);
})();
