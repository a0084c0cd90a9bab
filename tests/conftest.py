"""One hypothesis profile for all tests: the same examples every time, and nothing that a busy machine could fail."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "cleanroom",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],  # measures seconds
)
settings.load_profile("cleanroom")
