"""The release: what may leave a run, at what cost, and proof of it."""

from cleanroom.release.accounting import ExpectedError, PrivacyCost, expected_errors, privacy_cost
from cleanroom.release.document import check_document, suppression_rows
from cleanroom.release.files import check_out, write_failure, write_finished
from cleanroom.release.noise import draw_noise, load_noise, record_noise
from cleanroom.release.opening import Opening, SideOpening, exposure, outcome
from cleanroom.release.signatures import Sign, SignedRelease, check_signatures, sign_release
from cleanroom.release.table import ReleaseRow, Status, gate_rows, release_rows
from cleanroom.release.terms import ReleaseTerms, terms_of
from cleanroom.release.verdicts import Compare, Conjoin

__all__ = [
    "Compare",
    "Conjoin",
    "ExpectedError",
    "Opening",
    "PrivacyCost",
    "ReleaseRow",
    "ReleaseTerms",
    "SideOpening",
    "Sign",
    "SignedRelease",
    "Status",
    "check_document",
    "check_out",
    "check_signatures",
    "draw_noise",
    "expected_errors",
    "exposure",
    "gate_rows",
    "load_noise",
    "outcome",
    "privacy_cost",
    "record_noise",
    "release_rows",
    "sign_release",
    "suppression_rows",
    "terms_of",
    "write_failure",
    "write_finished",
]
