"""An agreement in words: what is counted, what each side will learn, and what nobody learns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

import cleanroom.plan  # as a module: the plan imports this package's model
from cleanroom.agreement.checks import agreement_warnings
from cleanroom.agreement.completeness import completeness_lines
from cleanroom.agreement.eligibility import eligibility_lines
from cleanroom.agreement.legal import legal_lines
from cleanroom.agreement.lift import lift_lines
from cleanroom.agreement.model import (
    Agreement,
    Identifier,
    Measure,
    Metric,
    Noise,
    PartyEntry,
    Period,
    Profile,
    Role,
)
from cleanroom.agreement.sampling import sampling_lines
from cleanroom.errors import AgreementError

__all__ = ["describe"]

_WIDTH = 100
_SHOWN_GROUPS = 12
_CREDIT_RULES = {
    "last_touch": "all to the last",
    "first_touch": "all to the first",
    "linear": "equal shares",
    "position": "40 % to the first, 40 % to the last, the rest shared by those between",
    "time_decay": "a touch's weight halves for every",
}
_PROFILES = {
    Profile.ECDH: "an oblivious PRF on an elliptic curve (RFC 9497), which takes the most time",
    Profile.KKRT: "an oblivious PRF by transfer extension (ePrint 2016/799), which takes the least time",
    Profile.VOLE: "an oblivious PRF by silent vector OLE (ePrint 2022/320), which takes the fewest bytes",
}


def describe(agreement: Agreement, party: str | None = None, *, errors: Sequence[str] = ()) -> str:
    """Explains an agreement to the people who sign it.

    Args:
        agreement: the agreement.
        party: whose view to take ("you"); None for a neutral one.
        errors: sentences on the expected error of each metric (`cleanroom.release`), shown with the noise.

    Returns:
        Paragraphs under plain headings, lines of at most 100 characters where words allow it.

    Raises:
        AgreementError: if there is no such party.
    """
    if party is not None and agreement.party(party) is None:
        names = " and ".join(entry.name for entry in agreement.parties)
        raise AgreementError(f"parties: there is no party {party!r}; the parties are {names}")
    sections = [
        (f"Agreement {agreement.name}", _frame(agreement)),
        ("What is counted", _counted(agreement)),
        ("What is released", [*_released(agreement), *errors]),
    ]
    sections += [(_learner(entry, party), _learns(agreement, entry)) for entry in agreement.parties]
    sections.append(("What nobody learns", _hidden()))
    sections.append(("What this cannot stop", _limits(agreement)))
    if agreement.lift is not None:
        sections.append(("What is compared", list(lift_lines(agreement.lift))))
    if agreement.legal is not None:
        sections.append(("On what basis, and for how long", list(legal_lines(agreement.legal))))
    if agreement.completeness is not None:
        sections.append(("How complete the data must be", list(completeness_lines(agreement.completeness))))
    if agreement.sampling:
        sections.append(("What is a sample", list(sampling_lines(agreement.sampling))))
    if agreement.eligibility:
        sections.append(("Which groups may be shown", list(eligibility_lines(agreement.eligibility))))
    warnings = agreement_warnings(agreement)
    if warnings:
        sections.append(("Warnings", list(warnings)))
    return "\n\n".join(_section(heading, lines) for heading, lines in sections) + "\n"


def _section(heading: str, lines: Iterable[str]) -> str:
    wrapped = (
        textwrap.fill(
            line,
            _WIDTH,
            initial_indent="- ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in lines
    )
    return "\n".join([heading, *wrapped])


def _frame(agreement: Agreement) -> list[str]:
    lines = [
        f"purpose: {agreement.purpose}",
        f"valid until {agreement.valid_until}; SHA-256 {agreement.hash.hex()}",
    ]
    for entry in agreement.parties:
        data = "who was touched, when, in which group" if entry.role is Role.EXPOSURE else "who did what, when"
        side = f"{entry.name} is the {entry.role.value} side: it holds {data}"
        lines.append(f"{side}; certificate SHA-256 {entry.fingerprint.hex()}")
    profile = agreement.protocol.profile
    lines.append(
        f"rows are joined with profile {profile.value}: {_PROFILES[profile]}; the profile decides what a run costs, "
        "not what anybody learns"
    )
    return lines


def _counted(agreement: Agreement) -> list[str]:
    time, exposure, rules = agreement.time, agreement.exposure, agreement.release
    identifiers = [_identifier(identifier) for identifier in agreement.match.identifiers]
    people = f"people are matched by {', else by '.join(identifiers)}"
    if len(identifiers) > 1:
        people += ": the first of them that the exposure side holds, and neither side learns which"
    period = f"from {exposure.start.isoformat()} to {exposure.end.isoformat()}"
    touches = f"touches of kind {_list(exposure.events)} {period}"
    share = f"{float(agreement.match.max_invalid) * 100:.4g} %"
    if exposure.instants is not None:
        touches += f", at {_count(len(exposure.instants), 'agreed time')} only"
    lines = [
        f"{people}; a run stops if more than {share} of a file's identifiers are unusable",
        f"{touches}, by {exposure.group_by}: {_groups(exposure.groups)}",
        f"a person counts in at most {_count(rules.max_groups_per_person, 'group')}; "
        "further memberships are dropped by a keyed rule",
        f"outcomes from {time.start.isoformat()} to {time.end.isoformat()}, in ticks of {time.resolution.value} "
        f"({'calendar dates in ' + time.zone if time.resolution.value == '1d' else 'elapsed time'})",
    ]
    if exposure.frequency is not None:
        lines.append(
            f"each group is split by how often a person was touched in it: {_list(exposure.bands)} times; "
            "a person is in one band of a group"
        )
    if any(metric.credit for metric in agreement.metrics):
        lines += _credit(agreement)
    for label in agreement.outcome.labels:
        lines.append(f"outcomes carry the label {label.column}: {_labels(label.values)}")
    lines += [f"{metric.name}: {_metric(agreement, metric)}" for metric in agreement.metrics]
    return lines


def _identifier(identifier: Identifier) -> str:
    form = ", ".join(
        part
        for part in (
            identifier.rule and f"rule {identifier.rule}",
            identifier.country and f"country {identifier.country}",
            identifier.version and f"version {identifier.version}",
            identifier.hash and f"as {identifier.hash}",
        )
        if part
    )
    return identifier.type + (f" ({form})" if form else "")


def _credit(agreement: Agreement) -> list[str]:
    """How touches share the credit of an outcome, and what bounds it."""
    exposure = agreement.exposure
    rule = _CREDIT_RULES[str(exposure.credit)]
    if exposure.credit_step_ticks is not None:
        rule += f" {_count(exposure.credit_step_ticks, 'tick')} that it is older"
    lines = [f"an outcome's credit goes to the touches within the window before it: {rule}; the shares sum to one"]
    if exposure.priority is not None:
        classes = [*exposure.priority]
        rest = tuple(event for event in exposure.events if all(event not in events for events in classes))
        classes += [rest] if rest else []
        order = ", then ".join(_list(events) for events in classes)
        lines.append(f"of these touches only those of the highest kind present share it: {order}")
    windows = _count(agreement.release.max_windows, "disjoint window")
    lines.append(f"a person's touches earn credit in at most {windows}; later touches are dropped")
    if exposure.max_touches is not None:
        last = exposure.max_touches - 1
        kept = "only a person's first touch" if last == 0 else f"a person's first and latest {last} touches"
        lines.append(f"{kept} may earn credit")
    return lines


def _metric(agreement: Agreement, metric: Metric) -> str:
    if metric.measure is Measure.MATCHED:
        return "people of the group whom the outcome side knows at all"
    anchor = "first" if agreement.exposure.anchor == "first_touch" else "last"
    kind = "" if metric.via is None else f" of kind {_list(metric.via)}"
    side = "within" if metric.period is Period.AFTER else "before, within"
    when = f"{side} {metric.window} of a person's {anchor} touch{kind} in the group"
    cap_unit = "a person and group"
    if metric.credit:
        when = f"credited to the group's touches{kind} within {metric.window} before them"
        cap_unit = "a person and window, before credit is shared"
    if metric.by is not None:
        when += f", for each {metric.by}"
    if metric.measure is Measure.PEOPLE:
        return f"people with at least one {metric.event} {when}"
    if metric.measure is Measure.EVENTS:
        return f"events of kind {metric.event} {when}, at most {metric.cap} {cap_unit}"
    precision = agreement.outcome.precision or 1
    money = f" {agreement.outcome.currency}" if agreement.outcome.currency else ""
    cap = f"{(metric.cap or 0) * precision}{money}"
    what = f"the sum of {agreement.outcome.value} over events of kind {metric.event}"
    return f"{what} {when}, at most {cap} {cap_unit}"


def _released(agreement: Agreement) -> list[str]:
    rules = agreement.release
    plan = cleanroom.plan.plan_of(agreement)
    metrics = sum(column.declared for column in plan.columns)
    cells = f"one figure for each of {_count(plan.groups, 'group')} and {_count(metrics, 'metric')}; no totals"
    if rules.noise is Noise.NONE:
        lines = [
            cells,
            f"a figure is shown only if at least {_count(rules.min_people, 'person')} stand behind it, compared in "
            "secret: of a suppressed figure only that it was suppressed is learned",
            "no noise is added: shown figures are exact, and a second run of this kind over the same time is refused",
        ]
        if rules.suppress_differences:
            lines.append(
                "of windows that contain each other, and of matched people, a figure is shown only if at least "
                f"{_count(rules.min_people, 'person')} more stand behind it than behind the smaller one that is shown"
            )
        return lines
    automatic = len(plan.columns) - metrics
    cost = f"epsilon {rules.epsilon:g}" + (f" and delta {rules.delta:g}" if rules.noise is Noise.GAUSSIAN else "")
    lines = [
        cells,
        f"a figure is shown only if the noised count of people behind it is at least {rules.min_people}",
        f"each side adds its own {rules.noise.value} noise to every figure; the whole release costs each person "
        f"{cost}, charged to both sides' ledgers",
    ]
    if automatic:
        noun = "column of people counts is" if automatic == 1 else "columns of people counts are"
        lines.append(f"{automatic} more {noun} opened, noised and paid for: the thresholds of figures need them")
    return lines


def _learner(entry: PartyEntry, party: str | None) -> str:
    if party is None:
        return f"What {entry.name} learns"
    return f"What you, {entry.name}, learn" if entry.name == party else f"What the other side, {entry.name}, learns"


def _learns(agreement: Agreement, entry: PartyEntry) -> list[str]:
    recipient = entry.name in agreement.release.recipients
    table = (
        "the released table, signed by both sides"
        if recipient
        else "not the released table: only which figures were suppressed"
    )
    bounds = agreement.protocol
    other = bounds.rows_outcome if entry.role is Role.EXPOSURE else bounds.rows_exposure
    lines = [
        table,
        f"that the other side's prepared data fits {other} rows, the agreed bound; not how many there are",
        "whether the other side's prepared data changed between two runs of this agreement",
    ]
    if recipient and agreement.release.noise is not Noise.NONE:
        lines.append("the noised count of people behind every figure, also where it is below the threshold")
    return lines


def _hidden() -> list[str]:
    return [
        "which people both sides know, or how many, beyond what a released figure says",
        "any identifier, event, time or amount of the other side, for any single person",
        "how many rows of the other side were filtered, capped or unmatched; each sees its own counts only",
    ]


def _limits(agreement: Agreement) -> list[str]:
    lines = [
        "a side that prepares false data: its input is committed to, so an audit can find it, but nothing prevents it",
        "a side that stops after the other's shares were opened: it may have the table alone",
    ]
    if agreement.release.noise is not Noise.NONE:
        lines.append("what is charged stays charged, even if a run fails after the opening began")
    elif agreement.release.suppress_differences:
        lines.append("someone who subtracts exact figures of groups that share people: the difference may be few")
    else:
        lines.append(
            "someone who subtracts exact figures, of nested windows for instance: the difference may be few people"
        )
    return lines


def _groups(groups: tuple[str, ...]) -> str:
    shown = ", ".join(groups[:_SHOWN_GROUPS])
    more = f" and {len(groups) - _SHOWN_GROUPS} more" if len(groups) > _SHOWN_GROUPS else ""
    return f"{_count(len(groups), 'group')} ({shown}{more}); other labels are ignored"


def _labels(values: tuple[str, ...]) -> str:
    shown = ", ".join(values[:_SHOWN_GROUPS])
    more = f" and {len(values) - _SHOWN_GROUPS} more" if len(values) > _SHOWN_GROUPS else ""
    return f"{_count(len(values), 'value')} ({shown}{more}); other values belong to none"


def _list(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _count(number: int, noun: str) -> str:
    plural = "people" if noun == "person" else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"
