"""One hypothesis profile for all tests: the same examples every time, and nothing that a busy machine could fail.

And interrupts reach the commands that tests start: a shell's background job and all that it starts ignore them.
"""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

settings.register_profile(
    "cleanroom",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],  # measures seconds
)
settings.load_profile("cleanroom")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
