"""What a page is made of: sections of paragraphs, charts, tables, cards. Values only; templates turn them into HTML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from cleanroom.report.texts import Text, both

__all__ = [
    "Block",
    "Card",
    "Cards",
    "Chart",
    "Entry",
    "Fact",
    "Facts",
    "Figure",
    "Head",
    "Paragraph",
    "Row",
    "Section",
    "Table",
]

SHADES: Final = 8
"""Steps of a heat map's colours."""

Figure = dict[
    str, Any
]  # a Plotly figure as JSON: {"data": [...], "layout": {...}}; texts may be {"zh": ..., "en": ...}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """A paragraph; a `strong` one is a caution, a `note` is small."""

    text: Text
    style: str = ""  # "", note, strong
    kind: str = "paragraph"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart, and the sentence that stands for it where it cannot be seen; its figures are in the table below it."""

    id: str
    label: Text
    figure: Figure = field(repr=False)
    kind: str = "chart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The head of a column."""

    text: Text
    number: bool = True
    under: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A cell: its text, what it may be off by, a line under that."""

    text: Text
    error: Text | None = None
    under: Text | None = None
    style: str = ""  # "", suppressed
    shade: int | None = None  # of a heat map, 0 to SHADES - 1
    number: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row under the name of its group, metric or fact."""

    name: Text
    entries: tuple[Entry, ...]
    style: str = ""  # "", total


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table; the first head is that of the rows' names."""

    heads: tuple[Head, ...]
    rows: tuple[Row, ...]
    title: Text | None = None
    kind: str = "table"

    @property
    def long(self) -> bool:
        """Whether it scrolls in a box of its own."""
        return len(self.rows) > 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A name and what goes with it."""

    name: Text
    value: Text
    code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Facts in boxes, or in a list."""

    facts: tuple[Fact, ...]
    boxes: bool = False
    kind: str = "facts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The headline of one group."""

    title: Text
    value: Text
    error: Text | None
    lines: tuple[Text, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """Headlines side by side."""

    cards: tuple[Card, ...]
    kind: str = "cards"


Block = Paragraph | Chart | Table | Facts | Cards


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and what stands under it."""

    name: str  # of the anchor
    title: Text
    blocks: tuple[Block, ...]
    own: bool = False  # about the party's own data, which the partner does not hold

    @property
    def charts(self) -> tuple[Chart, ...]:
        """Its charts, in order."""
        return tuple(block for block in self.blocks if isinstance(block, Chart))


def nothing() -> Entry:
    """A cell with nothing to say."""
    return Entry(text=both("–"))
