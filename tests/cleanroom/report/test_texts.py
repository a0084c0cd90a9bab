"""Both languages say the same with the same places to fill in, and every text is there and used."""

from __future__ import annotations

import re
import string
import tomllib
from pathlib import Path

import pytest
from markupsafe import Markup

import cleanroom.report
from cleanroom.report.texts import Text, both, joined, say

FOLDER = Path(cleanroom.report.__file__).parent
CATALOGUE = tomllib.loads((FOLDER / "templates" / "words.toml").read_text(encoding="utf-8"))
TEXTS = [(f"{section}.{name}", *texts) for section, names in CATALOGUE.items() for name, texts in names.items()]


@pytest.mark.parametrize(("key", "zh", "en"), TEXTS)
def test_both_languages_have_the_same_places(key: str, zh: str, en: str) -> None:
    places = [{name for _, name, _, _ in string.Formatter().parse(text) if name is not None} for text in (zh, en)]
    assert places[0] == places[1]
    assert zh.strip() and en.strip()
    assert not re.search("[\u4e00-\u9fff]", en)


def test_every_text_is_asked_for_somewhere() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py"))
    asked = set(re.findall(r'"([a-z_]+\.[a-zA-Z_]+)"', source))
    sections = set(re.findall(r'f"([a-z_]+)\.\{', source))
    unused = [key for key, _, _ in TEXTS if key not in asked and key.partition(".")[0] not in sections]
    assert unused == []


def test_a_text_is_escaped_in_both_languages() -> None:
    shown = Markup("{}").format(say("own.title", party="<b>&"))
    assert "<b>" not in shown
    assert shown.count("&lt;b&gt;&amp;") == 2


def test_texts_within_texts_keep_their_language() -> None:
    assert say("metric.credited", metric=Text("甲", "A")) == Text("甲（归因）", "A, credited")
    assert joined([both("x"), Text("甲", "A")]) == Text("x、甲", "x, A")
