"""`cleanroom data`: a side's own data, checked before a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path

import click

from cleanroom.agreement import Agreement, Role, load_agreement
from cleanroom.agreement.durations import MAX_TICKS, tree_fault
from cleanroom.agreement.sections import MAX_ROWS
from cleanroom.check import CheckedData, check_data
from cleanroom.cli.output import echo_result, json_option
from cleanroom.data import IdentifierQuality, load_binding
from cleanroom.errors import UsageError
from cleanroom.plan import plan_of
from cleanroom.progress import ProgressReport
from cleanroom.tree_proposals import TreeCost, has_tree

__all__ = ["command"]

_MEGABIT_BYTES = 125_000
_GIBIBYTE = 1 << 30
_SHOWN_DEVIATIONS = 20


@click.group(name="data")
def command() -> None:
    """A side's own data."""


@command.command()
@click.option("--agreement", required=True, type=click.Path(path_type=Path), help="The agreement, signed or not.")
@click.option("--party", required=True, help="This side's name in it.")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="The binding: where this side's data are.")
@click.option(
    "--tree",
    multiple=True,
    help="A tree to count rows for, such as the partner's proposal: 1,6,24. Once for each.",
)
@json_option
def check(agreement: Path, party: str, data: Path, tree: tuple[str, ...], as_json: bool) -> int:
    """Read, normalise, count and complain as a run would, and say what a run will cost. Nothing leaves."""
    loaded = load_agreement(agreement)
    entry = loaded.party(party)
    if entry is None:
        names = " and ".join(other.name for other in loaded.parties)
        raise UsageError(f"--party: the agreement's parties are {names}")
    trees = [_tree_of(text) for text in tree]
    if trees and not has_tree(loaded, plan_of(loaded)):
        raise UsageError("--tree: this agreement does not use time.tree")
    binding = load_binding(data)
    with ProgressReport() as progress:
        checked = check_data(loaded, role=entry.role, binding=binding, progress=progress, trees=trees)
    problem = checked.problem
    facts = {"party": party, **_facts(loaded, checked)}
    if problem is not None:
        facts |= {"error": str(problem), "exit_code": problem.exit_code}
    echo_result("\n".join(_lines(loaded, party, checked)), facts, as_json=as_json)
    if problem is None:
        return 0
    click.echo(f"cleanroom: {problem}", err=True)
    return problem.exit_code


def _tree_of(text: str) -> tuple[int, ...]:
    """Reads sizes with commas, also in brackets."""
    try:
        tree = tuple(int(word) for word in text.strip().removeprefix("[").removesuffix("]").split(","))
    except ValueError:
        raise UsageError("--tree: expected sizes with commas, such as 1,6,24") from None
    fault = f"expected sizes up to {MAX_TICKS}" if max(tree) > MAX_TICKS else tree_fault(tree)
    if fault is not None:
        raise UsageError(f"--tree: {fault}")
    return tree


def _facts(agreement: Agreement, checked: CheckedData) -> dict[str, object]:
    cost = checked.forecast
    return {
        "role": checked.role.value,
        "source": asdict(checked.source),
        "identifiers": [asdict(entry) for entry in checked.quality],
        "completeness": _completeness_facts(checked),
        "not_eligible": _not_eligible(agreement, checked),
        "invalid_share": float(_invalid_share(checked)),
        "max_invalid": float(agreement.match.max_invalid),
        "preparation": None if checked.preparation is None else asdict(checked.preparation),
        "max_rows": checked.bound,
        "trees": [_tree_facts(entry) for entry in checked.trees],
        "tree_unused": checked.tree_unused,
        "run": {
            "profile": agreement.protocol.profile.value,
            "bytes_sent": cost.sent.bytes,
            "bytes_received": cost.received.bytes,
            "messages_sent": cost.sent.messages,
            "messages_received": cost.received.messages,
            "bytes_by_step": dict(cost.steps),
            "estimated_preparation_seconds": round(checked.seconds, 3),
            "estimated_seconds": round(cost.seconds, 1),
            "estimated_memory_bytes": cost.memory_bytes,
        },
    }


def _tree_facts(entry: TreeCost) -> dict[str, object]:
    return asdict(entry) | {
        "tree": list(entry.tree),
        "seconds": round(entry.seconds, 3),
        "run_seconds": None if entry.run_seconds is None else round(entry.run_seconds, 1),
    }


def _tree_lines(agreement: Agreement, checked: CheckedData) -> list[str]:
    """The table of trees, and how two owners choose."""
    side, partner = checked.role.value, checked.role.other.value
    if checked.tree_unused:
        why = "exposure.instants makes every row a single tick: time.tree is unused"
    else:
        why = "no metric looks at time: time.tree makes no difference"
    lines = [
        f"rows of this side under each tree, at most {checked.bound} agreed (protocol.max_rows.{side}):",
        f"{'rows':>14}{'bound':>12}{'seconds':>10}{'run s':>9}{'run MB':>9}  time.tree",
    ]
    for place, entry in enumerate(checked.trees):
        notes = ["fits" if entry.fits else "does not fit"]
        if place == 0 and has_tree(agreement, plan_of(agreement)):
            notes.append("the agreement's")
        if entry.proposal is not None:
            notes.append(f"proposal {entry.proposal}")
        run = f"{'-':>9}{'-':>9}"
        if entry.run_seconds is None or entry.run_bytes is None:
            whose = "this side's bound" if entry.bound > MAX_ROWS else "the partner's bound, by the model,"
            notes.append(f"{whose} is more than an agreement allows")
        else:
            run = f"{entry.run_seconds:>9.1f}{entry.run_bytes / 1e6:>9.0f}"
        lines.append(
            f"{entry.rows:>14}{entry.bound:>12}{entry.seconds:>10.2f}{run}  {list(entry.tree)}: {', '.join(notes)}"
        )
    if not has_tree(agreement, plan_of(agreement)):
        return [*lines, why]
    return [
        *lines,
        "seconds: what the bound, a power of two, adds to a run on a core of 2021, the same unit for both sides",
        f"run: a guess, as if the partner's rows were max_rows.{partner} under the agreement's tree",
        "to choose, before signing: count the partner's proposals too (--tree), add both sides' seconds for each tree, "
        "and write the tree with the smallest sum and both bounds into the agreement; a run proposes nothing",
    ]


def _completeness_facts(checked: CheckedData) -> dict[str, object] | None:
    found = checked.declared.completeness
    if found is None:
        return None
    return {
        "verdict": found.verdict.value,
        "expected": found.expected,
        "read": found.read,
        "deviations": [
            {
                "date": entry.date.isoformat(),
                "event": entry.event,
                "expected": entry.expected,
                "read": entry.read,
                "verdict": entry.verdict.value,
            }
            for entry in found.deviations
        ],
    }


def _completeness_lines(checked: CheckedData) -> list[str]:
    found = checked.declared.completeness
    if found is None:
        return []
    lines = [f"completeness: {found.verdict.value}; the manifest says {found.expected} rows, {found.read} were read"]
    for entry in found.deviations[:_SHOWN_DEVIATIONS]:
        lines.append(
            f"{entry.verdict.value:>14}  {entry.date} {entry.event}: {entry.expected} expected, {entry.read} read"
        )
    more = len(found.deviations) - _SHOWN_DEVIATIONS
    return lines + ([f"{'':>14}  and {more} more: --json lists all"] if more > 0 else [])


def _not_eligible(agreement: Agreement, checked: CheckedData) -> list[str]:
    groups = agreement.exposure.groups
    return [group for group, eligible in zip(groups, checked.declared.eligible, strict=True) if not eligible]


def _quality_lines(quality: Sequence[IdentifierQuality]) -> list[str]:
    """The table of identifiers: a line a type, and a warning where a value stands for more than a person."""
    heads = [name for name in asdict(quality[0]) if name != "identifier"]
    lines = [f"{'identifier':>14}" + "".join(f"{head:>12}" for head in heads)]
    for entry in quality:
        lines.append(f"{entry.identifier:>14}" + "".join(f"{getattr(entry, head):>12}" for head in heads))
    for entry in quality:
        if entry.placeholder:
            lines.append(
                f"warning: {entry.placeholder} rows hold a placeholder {entry.identifier}, such as a test number: "
                "clean them, they match whoever else holds it"
            )
        if entry.shared:
            lines.append(
                f"warning: {entry.shared} values of {entry.identifier} belong to more than one account: "
                "one of the accounts keeps each"
            )
    return lines


def _invalid_share(checked: CheckedData) -> Decimal:
    return Decimal(checked.source.invalid_identifiers) / max(checked.source.rows, 1)


def _lines(agreement: Agreement, party: str, checked: CheckedData) -> list[str]:
    source, cost, exposure = checked.source, checked.forecast, checked.role is Role.EXPOSURE
    share = f"{float(_invalid_share(checked)):.3%} of rows; at most {float(agreement.match.max_invalid):.3%} agreed"
    lines = [f"{party}, the {checked.role.value} side: {source.rows} rows read"]
    filters = [entry for entry in _FILTERS if exposure or entry[0] != "out_of_scope"]
    if not exposure:
        filters = [(name, _MERGED if name == "duplicates" else text) for name, text in filters]
    lines += [f"{getattr(source, name):>14}  {text}" for name, text in filters]
    lines.append(f"invalid identifiers: {share}")
    lines += _quality_lines(checked.quality)
    lines += _completeness_lines(checked)
    if agreement.eligibility:
        failing = _not_eligible(agreement, checked)
        lines.append("groups that this side's facts let through: " + ("all" if not failing else "all but these:"))
        lines += [f"{'':>14}  {group}" for group in failing]
    if checked.preparation is not None:
        lines.append("prepared:")
        lines += [f"{value:>14}  {name.replace('_', ' ')}" for name, value in asdict(checked.preparation).items()]
    lines += _tree_lines(agreement, checked)
    if exposure:
        lines.append("groups over a person's cap were dropped by a throw-away key here; a run may keep other ones")
    whole = cost.sent.bytes + cost.received.bytes
    lines += [
        f"a run with profile {agreement.protocol.profile.value}, from public sizes alone:",
        f"{cost.sent.bytes:>14}  bytes sent in {cost.sent.messages} messages, if every figure is released",
        f"{cost.received.bytes:>14}  bytes received in {cost.received.messages} messages",
        f"{whole / (100 * _MEGABIT_BYTES):>14.1f}  seconds for these bytes at 100 Mbit/s",
        f"{checked.seconds:>14.1f}  seconds to read and prepare, as here",
        f"{cost.seconds:>14.1f}  seconds of work after that: an estimate, for two machines like this one",
        f"{cost.memory_bytes / _GIBIBYTE:>14.2f}  GiB of memory: an estimate",
    ]
    return lines


_FILTERS = (
    ("null_identifiers", "without an identifier"),
    ("malformed_identifiers", "with a malformed identifier"),
    ("other_event", "of another event"),
    ("out_of_scope", "of a group that is not declared"),
    ("out_of_period", "outside the period"),
    ("duplicates", "equal to another row"),
    ("kept", "kept"),
)
_MERGED = "merged into an event with the same event id, their amounts added up"
