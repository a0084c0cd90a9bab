"""Audits of finished runs: `verify` needs the folders alone, `replay` both inputs and both private audit files."""

from cleanroom.audit.faults import AuditReport, Fault
from cleanroom.audit.replay import replay
from cleanroom.audit.verify import verify

__all__ = ["AuditReport", "Fault", "replay", "verify"]
