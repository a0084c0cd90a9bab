"""Texts in both languages of the page. All of them are in templates/words.toml, Chinese first, then English."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

from markupsafe import Markup, escape

__all__ = ["LANGUAGES", "Text", "both", "joined", "say"]

LANGUAGES: Final = ("zh", "en")
_FILE: Final = "templates/words.toml"


@dataclass(frozen=True, slots=True)
class Text:
    """The same in Chinese and in English; as HTML both, of which the page shows one."""

    zh: str
    en: str

    def __html__(self) -> Markup:
        if self.zh == self.en:
            return escape(self.zh)
        return Markup('<span lang="zh-CN">{}</span><span lang="en">{}</span>').format(self.zh, self.en)


def both(text: str) -> Text:
    """A text that needs no translation: a name, a number."""
    return Text(text, text)


def say(key: str, **values: object) -> Text:
    """A text of the catalogue with its places filled in.

    Args:
        key: `section.name` in templates/words.toml.
        values: by the names of the places; a `Text` gives each language its own.
    """
    zh, en = _catalogue()[key]
    return Text(zh.format(**_in("zh", values)), en.format(**_in("en", values)))


def joined(texts: list[Text], *, zh: str = "、", en: str = ", ") -> Text:
    """Several texts in a row."""
    return Text(zh.join(text.zh for text in texts), en.join(text.en for text in texts))


def _in(language: str, values: Mapping[str, object]) -> dict[str, object]:
    return {name: getattr(value, language) if isinstance(value, Text) else value for name, value in values.items()}


@lru_cache(maxsize=1)
def _catalogue() -> Mapping[str, tuple[str, str]]:
    content = tomllib.loads(files("cleanroom.report").joinpath(_FILE).read_text(encoding="utf-8"))
    return {
        f"{section}.{name}": (texts[0], texts[1]) for section, names in content.items() for name, texts in names.items()
    }
