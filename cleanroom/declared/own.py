"""What a side finds out about its own data for the tables `[completeness]` and `[eligibility]` of an agreement."""

from __future__ import annotations

from dataclasses import dataclass, field

from cleanroom.agreement.completeness import Verdict
from cleanroom.agreement.model import Agreement, Role
from cleanroom.data.binding import Binding
from cleanroom.data.rows import RowCount
from cleanroom.declared.completeness import COLUMNS, Census, CheckedCompleteness, check_completeness
from cleanroom.declared.eligibility import eligible_groups, facts_columns
from cleanroom.errors import DataError

__all__ = ["Declared", "OwnCheck"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One side's findings: its verdict and the declared groups that its facts let through; numbers stay at home."""

    verdict: Verdict
    eligible: tuple[bool, ...]
    completeness: CheckedCompleteness | None = field(repr=False)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """What local.json holds of it: counts that never leave the side."""
        checked = self.completeness
        if checked is None:
            return {}
        outside = {verdict: 0 for verdict in (Verdict.WARNING, Verdict.FAILURE)}
        for deviation in checked.deviations:
            outside[deviation.verdict] += 1
        return {
            "completeness": {
                "expected": checked.expected,
                "read": checked.read,
                "warnings": outside[Verdict.WARNING],
                "failures": outside[Verdict.FAILURE],
            }
        }


class OwnCheck:
    """Counts rows while they are read, then compares; does nothing where the agreement asks this side for nothing."""

    def __init__(self, agreement: Agreement, role: Role, binding: Binding) -> None:
        """Raises:
        DataError: the agreement asks for a manifest or for facts, and the binding names none.
        """
        self._agreement = agreement
        self._party = agreement.of_role(role).name
        rules = agreement.completeness
        self._rules = rules if rules is not None and self._party in rules.parties else None
        self._manifest = self._listed(binding, "manifest", COLUMNS) if self._rules is not None else None
        judges = any(rule.party == self._party for rule in agreement.eligibility)
        self._facts = self._listed(binding, "facts", facts_columns(agreement, self._party)) if judges else None
        self._census = Census(agreement, role) if self._rules is not None else None

    @property
    def count(self) -> RowCount | None:
        """To be told of every row that is read; None where nobody needs it."""
        return None if self._census is None else self._census.add

    def declared(self) -> Declared:
        """The findings, once all rows are read.

        Raises:
            DataError: the manifest or the list of facts cannot be read.
        """
        checked = None
        if self._rules is not None and self._census is not None and self._manifest is not None:
            checked = check_completeness(self._rules, self._census, self._manifest)
        eligible = (True,) * len(self._agreement.exposure.groups)
        if self._facts is not None:
            eligible = tuple(bool(one) for one in eligible_groups(self._agreement, self._party, self._facts))
        return Declared(
            verdict=Verdict.COMPLETE if checked is None else checked.verdict, eligible=eligible, completeness=checked
        )

    @staticmethod
    def _listed(binding: Binding, section: str, columns: tuple[str, ...]) -> Binding:
        found = binding.listed(section, columns)
        if found is None:
            raise DataError(f"{binding.name}: [{section}]: expected a path, because the agreement asks for it")
        return found
