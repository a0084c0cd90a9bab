"""The floors and the start of the command: that they can be measured at all, never how fast they are."""

from __future__ import annotations

from benchmarks import floors, start


def test_frames_go_through_the_link() -> None:
    assert floors.link_rate(frames=3) > 0


def test_the_command_shows_its_help_and_gets_ready() -> None:
    for seconds in (start.help_seconds(), start.ready_seconds()):
        assert seconds.wall > 0 and seconds.cpu > 0
