"""Lift: what the campaign added, by comparison and metric, with its interval; or why there is no estimate."""

from __future__ import annotations

from cleanroom.lift import LiftRow, LiftStatus
from cleanroom.report import charts
from cleanroom.report.blocks import Block, Chart, Entry, Head, Paragraph, Row, Section, Table, nothing
from cleanroom.report.lifts import lift_of
from cleanroom.report.run_files import RunFiles
from cleanroom.report.texts import Text, both, say
from cleanroom.report.words import metric_title

__all__ = ["lift"]


def lift(run: RunFiles, place: str) -> Section | None:
    """The section; None where the agreement compares nothing."""
    rows = lift_of(run)
    if run.lift is None or not rows:
        return None
    level = f"{100 * rows[0].confidence:g}"
    blocks: list[Block] = [
        Paragraph(text=say(f"lift.{run.lift.design.value}")),
        Paragraph(text=say("lift.intro", level=level)),
    ]
    drawn = [row for row in rows if row.relative_low is not None and row.relative_high is not None]
    drawn = drawn[: 2 * charts.MOST_BARS]
    if drawn:
        figure = charts.intervals(
            [both(f"{row.comparison} · {row.metric}") for row in drawn],
            [
                (100 * (row.relative_low or 0), 100 * (row.relative or 0), 100 * (row.relative_high or 0))
                for row in drawn
            ],
            unit=say("lift.relative_unit"),
        )
        blocks.append(Chart(id=f"{place}-lift", label=say("lift.label"), figure=figure))
    blocks.append(_table(run, rows))
    blocks.append(Paragraph(text=say("lift.zero"), style="note"))
    return Section(name="lift", title=say("lift.title"), blocks=tuple(blocks))


def _table(run: RunFiles, rows: tuple[LiftRow, ...]) -> Table:
    titles = {metric.name: metric_title(run, metric) for metric in run.metrics}
    heads = (
        Head(text=say("lift.comparison"), number=False),
        Head(text=say("adding.metric"), number=False),
        Head(text=say("lift.incremental")),
        Head(text=say("lift.relative")),
        Head(text=say("lift.per_1000")),
        Head(text=say("lift.noise"), under=say("lift.noise_under")),
    )
    return Table(
        heads=heads,
        rows=tuple(
            Row(
                name=both(row.comparison),
                entries=(
                    Entry(text=titles.get(row.metric, both(row.metric)), under=_note(row), number=False),
                    *_figures(row),
                ),
            )
            for row in rows
        ),
    )


def _figures(row: LiftRow) -> tuple[Entry, ...]:
    if row.status is not LiftStatus.ESTIMATED:
        return (Entry(text=say(f"lift.{row.status.value}"), style="suppressed"), *(nothing() for _ in range(3)))
    return (
        _between(row.incremental, row.incremental_low, row.incremental_high, places=0),
        _between(row.relative, row.relative_low, row.relative_high, scale=100, places=1, unit=" %"),
        _between(row.per_1000, row.per_1000_low, row.per_1000_high, places=1),
        Entry(text=both(f"{row.noise_error or 0:,.1f} / {row.sampling_error or 0:,.1f}")),
    )


def _between(
    value: float | None, low: float | None, high: float | None, *, places: int, scale: float = 1, unit: str = ""
) -> Entry:
    if value is None:
        return nothing()
    error = None
    if low is not None and high is not None:
        error = both(f"{scale * low:+,.{places}f} … {scale * high:+,.{places}f}{unit}")
    return Entry(text=both(f"{scale * value:+,.{places}f}{unit}"), error=error)


def _note(row: LiftRow) -> Text | None:
    return both(row.note) if row.note else None
