"""How far the figures can be trusted: what was suppressed or not eligible, how complete the data were, own counts."""

from __future__ import annotations

from cleanroom.agreement.model import Noise
from cleanroom.release.table import Status
from cleanroom.report.blocks import Block, Entry, Head, Paragraph, Row, Section, Table
from cleanroom.report.run_files import Own, RunFiles
from cleanroom.report.texts import Text, both, say
from cleanroom.report.words import count_label

__all__ = ["own_data", "quality", "suppressed"]


def suppressed(run: RunFiles) -> Section:
    """Which figures are not shown, and why."""
    key = "suppressed.exact" if run.noise is Noise.NONE else "suppressed.noised"
    blocks: list[Block] = [Paragraph(text=say(key, n=run.min_people))]
    rows: list[Row] = []
    failed: list[str] = []
    for group in run.groups:
        cells = {metric: run.cells[group, metric.name] for metric in run.declared}
        if all(cell.status is Status.NOT_ELIGIBLE for cell in cells.values()):
            failed.append(group)
            continue
        missing = [metric for metric, cell in cells.items() if cell.status is Status.SUPPRESSED]
        if missing:
            gates = dict.fromkeys(metric.gate for metric in missing)
            names = say("suppressed.all") if len(missing) == len(cells) else both(_listed([m.name for m in missing]))
            row = (Entry(text=names, number=False), Entry(text=both(_listed(list(gates))), number=False))
            rows.append(Row(name=both(group), entries=row))
    if rows:
        heads = (both(run.scope.group_by), say("suppressed.what"), say("suppressed.gate"))
        blocks.append(Table(heads=tuple(Head(text=head, number=False) for head in heads), rows=tuple(rows)))
    else:
        blocks.append(Paragraph(text=say("suppressed.none")))
    if failed:
        blocks.append(Paragraph(text=say("suppressed.not_eligible", n=len(failed), groups=_listed(failed))))
    return Section(name="suppressed", title=say("suppressed.title"), blocks=tuple(blocks))


def quality(run: RunFiles) -> Section:
    """What each side declared of its data, and which metrics are about a sample."""
    blocks: list[Block] = []
    if run.verdicts:
        rows = [
            Row(name=both(party), entries=(Entry(text=_verdict(verdict), number=False),))
            for party, verdict in run.verdicts.items()
        ]
        heads = (Head(text=say("quality.party"), number=False), Head(text=say("quality.verdict"), number=False))
        blocks += [Paragraph(text=say("quality.declared")), Table(heads=heads, rows=tuple(rows))]
        if "failure" in run.verdicts.values():
            blocks.append(Paragraph(text=say("quality.failed"), style="strong"))
    else:
        blocks.append(Paragraph(text=say("quality.not_asked")))
    sampled: dict[float | None, list[str]] = {}
    for metric in run.declared:
        if metric.sampling != 1:
            sampled.setdefault(metric.sampling, []).append(metric.name)
    for share, names in sampled.items():
        if share is None:
            blocks.append(Paragraph(text=say("quality.mixed", metrics=_listed(names)), style="strong"))
        else:
            shown = f"{100 * share:g}"
            blocks.append(Paragraph(text=say("quality.sample", share=shown, metrics=_listed(names)), style="strong"))
    if not sampled:
        blocks.append(Paragraph(text=say("quality.whole")))
    return Section(name="quality", title=say("quality.title"), blocks=tuple(blocks))


def own_data(own: Own) -> Section:
    """The party's own counts."""
    blocks: list[Block] = [Paragraph(text=say("own.intro", party=own.party))]
    for part, counts in own.counts.items():
        rows = [Row(name=count_label(name), entries=(Entry(text=both(f"{n:,}")),)) for name, n in counts.items()]
        heads = (Head(text=_part(part), number=False), Head(text=say("own.count")))
        blocks.append(Table(heads=heads, rows=tuple(rows)))
    blocks += [Paragraph(text=say("own.warning", line=line), style="note") for line in own.warnings]
    blocks.append(Paragraph(text=say("own.backend", profile=own.profile, backend=own.backend), style="note"))
    return Section(name="own", title=say("own.title", party=own.party), blocks=tuple(blocks), own=True)


def _part(part: str) -> Text:
    try:
        return say(f"own.{part}")
    except KeyError:
        return both(part.replace("_", " "))


def _verdict(verdict: str) -> Text:
    try:
        return say(f"quality.{verdict}")
    except KeyError:
        return both(verdict)


def _listed(names: list[str], most: int = 12) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} … ({len(names)})"
