"""The progress report: one line a step where nobody watches, bars on a terminal."""

from __future__ import annotations

import io

from cleanroom.progress import ProgressReport


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def feed(report: ProgressReport) -> None:
    report("session.hello", 0, 0)
    report("oprf.blinded", 0, 0)
    report("oprf", 512, 1024)
    report("oprf", 1024, 1024)
    report("base_ot.sender_elements", 0, 0)
    report("ot.tree_sums", 0, 0)
    report("session.confirm", 0, 0)


def test_elsewhere_there_is_one_line_a_step_with_rows_a_second() -> None:
    stream = io.StringIO()
    with ProgressReport(name="media", stream=stream) as report:
        feed(report)
    lines = stream.getvalue().splitlines()
    titles = [line.split(": ")[1] for line in lines]
    assert titles == ["handshake", "oblivious PRF", "OT set-up", "compare the transcripts"]
    assert all(line.startswith("media: ") for line in lines)
    assert "1,024 rows" in lines[1] and "rows/s" in lines[1]
    assert "rows" not in lines[0]


def test_on_a_terminal_there_are_bars_with_speed_and_time_left() -> None:
    stream = Terminal()
    with ProgressReport(stream=stream) as report:
        feed(report)
    shown = stream.getvalue()
    assert "oblivious PRF" in shown and "1024/1024" in shown


def test_a_step_of_no_known_family_is_shown_under_its_own_name() -> None:
    stream = io.StringIO()
    with ProgressReport(stream=stream) as report:
        report("novel.part", 0, 0)
    assert stream.getvalue().startswith("novel: ")
