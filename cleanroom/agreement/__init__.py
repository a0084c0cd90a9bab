"""The agreement: what both owners sign. Loading, checking, canonical bytes, signatures, the template.

`cleanroom.agreement.words` explains an agreement; it is imported on its own because it asks the release for its noise.
"""

from __future__ import annotations

from cleanroom.agreement.checks import agreement_warnings
from cleanroom.agreement.definition import definition_differences, definition_hash
from cleanroom.agreement.definition_file import DefinitionText, read_definition
from cleanroom.agreement.legal import Legal, delete_by, legal_lines
from cleanroom.agreement.load import load_agreement, parse_agreement
from cleanroom.agreement.model import (
    CREDIT_UNIT,
    Agreement,
    Exposure,
    Identifier,
    Label,
    Match,
    Measure,
    Metric,
    Noise,
    Outcome,
    PartyEntry,
    Period,
    Profile,
    ProtocolChoice,
    ReleaseRules,
    Resolution,
    Role,
    TimeRules,
)
from cleanroom.agreement.signatures import sign_agreement, signature_path, verify_signatures
from cleanroom.agreement.template import agreement_template, write_template

__all__ = [
    "CREDIT_UNIT",
    "Agreement",
    "DefinitionText",
    "Exposure",
    "Identifier",
    "Label",
    "Legal",
    "Match",
    "Measure",
    "Metric",
    "Noise",
    "Outcome",
    "PartyEntry",
    "Period",
    "Profile",
    "ProtocolChoice",
    "ReleaseRules",
    "Resolution",
    "Role",
    "TimeRules",
    "agreement_template",
    "agreement_warnings",
    "definition_differences",
    "definition_hash",
    "delete_by",
    "legal_lines",
    "load_agreement",
    "parse_agreement",
    "read_definition",
    "sign_agreement",
    "signature_path",
    "verify_signatures",
    "write_template",
]
