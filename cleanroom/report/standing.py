"""What the page stands on: what may be added up, what was spent of privacy, parameters, signatures, how to read it."""

from __future__ import annotations

from cleanroom.agreement.model import Noise
from cleanroom.report.blocks import Block, Entry, Fact, Facts, Head, Paragraph, Row, Section, Table
from cleanroom.report.run_files import RunFiles
from cleanroom.report.texts import both, say
from cleanroom.report.words import adding_up, cap_text, error_of, metric_title, spent

__all__ = ["adding", "privacy", "reading", "signatures"]


def adding(run: RunFiles) -> Section:
    """Which columns may be added over groups, and why."""
    rows = []
    for metric in run.declared:
        may, why = adding_up(run, metric)
        entries = (metric_title(run, metric), say("adding.yes" if may else "adding.no"), why)
        rows.append(Row(name=both(metric.name), entries=tuple(Entry(text=text, number=False) for text in entries)))
    heads = (say("adding.metric"), say("adding.what"), say("adding.over", group=run.scope.group_by), say("adding.why"))
    table = Table(heads=tuple(Head(text=head, number=False) for head in heads), rows=tuple(rows))
    note = Paragraph(text=say("adding.note", n=run.max_groups_per_person), style="note")
    return Section(name="adding", title=say("adding.title"), blocks=(table, note))


def privacy(run: RunFiles) -> Section:
    """What the release cost each person, and how exact each column is."""
    if run.noise is Noise.NONE:
        first = Paragraph(text=say("privacy.none"))
    else:
        first = Paragraph(text=say("privacy.spent", cost=spent(run), noise=say(f"privacy.{run.noise.value}")))
    rows = []
    for metric in run.metrics:
        cell = run.cells[run.groups[0], metric.name]
        tag = say("privacy.gate") if metric.automatic and not metric.support else both("")
        off = error_of(run, cell.std_error) or say("privacy.exact")
        entries = (Entry(text=cap_text(run, metric)), Entry(text=both(f"{cell.std_error:,.2f}")), Entry(text=off))
        rows.append(Row(name=both(metric.name), entries=(Entry(text=tag, number=False), *entries)))
    heads = (
        Head(text=say("adding.metric"), number=False),
        Head(text=say("privacy.kind"), number=False),
        Head(text=say("privacy.cap")),
        Head(text=say("privacy.std_error")),
        Head(text=say("privacy.off")),
    )
    blocks: tuple[Block, ...] = (first, Table(heads=heads, rows=tuple(rows)))
    return Section(name="privacy", title=say("privacy.title"), blocks=blocks)


def signatures(run: RunFiles) -> Section:
    """Hashes, the session, and that both signed."""
    facts = [
        Fact(name=say("signed.agreement"), value=both(run.agreement_hash), code=True),
        Fact(name=say("signed.definition"), value=both(run.definition), code=True),
        Fact(name=say("signed.session"), value=both(run.session), code=True),
    ]
    facts += [
        Fact(
            name=say("signed.by", party=entry.party, covers=entry.covers),
            value=both(f"{entry.signature[:32]}…"),
            code=True,
        )
        for entry in run.signatures
    ]
    facts += [
        Fact(name=say("signed.certificate", party=party), value=both(certificate), code=True)
        for party, certificate in run.certificates.items()
    ]
    facts.append(Fact(name=say("signed.recipients"), value=both(", ".join(run.recipients))))
    note = Paragraph(text=say("signed.note"), style="note")
    return Section(name="signed", title=say("signed.title"), blocks=(Facts(facts=tuple(facts)), note))


def reading(run: RunFiles) -> Section:
    """How to read the page."""
    keys = ["error", "order", "cap", "suppressed", "window", "cause"]
    if run.noise is Noise.NONE:
        keys = ["exact", "cap", "suppressed", "window", "cause"]
    return Section(
        name="reading",
        title=say("reading.title"),
        blocks=tuple(Paragraph(text=say(f"reading.{key}", n=run.min_people)) for key in keys),
    )
