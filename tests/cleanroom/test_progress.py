"""The progress report: one line a step where nobody watches, bars on a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from cleanroom.progress import ProgressReport
from cleanroom.protocols import buckets, equality
from tests.cleanroom.audit import runs


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


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The time in seconds, that a test sets."""
    now = [1000.0]
    monkeypatch.setattr("cleanroom.progress.time.monotonic", lambda: now[0])
    yield now


def told(clock: list[float], reports: list[tuple[float, str, int, int]]) -> list[str]:
    """The lines for reports that come so many seconds after the one before."""
    stream = io.StringIO()
    with ProgressReport(stream=stream) as report:
        for seconds, step, done, total in reports:
            clock[0] += seconds
            report(step, done, total)
    return stream.getvalue().splitlines()


def test_steps_in_turns_have_a_line_each_with_the_time_and_rows_of_all_stretches(clock: list[float]) -> None:
    reports: list[tuple[float, str, int, int]] = [(5, "hint.table", 0, 0)]
    for first in range(0, 300, 100):
        reports += [(1, "silent_vole.sums", 0, 0), (2, "silent_vole", 50, 100), (2, "silent_vole", 100, 100)]
        reports += [(0, "equality.tables", 0, 0), (3, "equality", first + 100, 300)]
    lines = told(clock, [*reports, (0, "mux", 10, 10), (4, "release", 0, 0)])
    assert lines == [
        "hint (OKVS): 1.0 s",
        "silent VOLE: 12.0 s, 300 rows, 25 rows/s",
        "equality in secret: 11.0 s, 300 rows, 27 rows/s",  # up to the next turn
        "shares of matched values: 4.0 s, 10 rows, 2 rows/s",
        "release: 0.0 s",
    ]


def test_a_step_that_takes_no_turns_is_told_when_the_next_one_begins(clock: list[float]) -> None:
    stream = io.StringIO()
    with ProgressReport(stream=stream) as report:
        for step in ("oprf", "base_ot", "silent_vole", "oprf"):
            report(step, 0, 0)
        assert stream.getvalue() == ""
        report("hint", 0, 0)
        assert stream.getvalue() == "oblivious PRF: 0.0 s\n"


def test_a_bucket_is_named_and_none_after_the_last(clock: list[float]) -> None:
    reports = [(0.0, "bins", 8, 8)]
    for bucket in range(2):
        reports += [(2, "bins.bucket", bucket, 2), (1, "bins.attempt", 0, 0), (0, "oprf", 2, 4), (1, "oprf", 4, 4)]
    assert told(clock, [*reports, (3, "bins.bucket", 2, 2), (0, "grouped_sum", 3, 3)]) == [
        "cuckoo bins: 2.0 s, 8 rows, 4 rows/s",
        "cuckoo bins, bucket 1 of 2: 1.0 s",
        "oblivious PRF, bucket 1 of 2: 3.0 s, 4 rows, 1 rows/s",
        "cuckoo bins, bucket 2 of 2: 1.0 s",
        "oblivious PRF, bucket 2 of 2: 4.0 s, 4 rows, 1 rows/s",
        "grouped sums (ring-LWE): 0.0 s",
    ]


def test_a_step_reported_twice_alike_has_its_rows_once(clock: list[float]) -> None:
    lines = told(clock, [(0, "hint", 5, 9), (1, "hint", 9, 9), (1, "hint", 9, 9), (0, "data.read", 4, 0)])
    assert lines == ["hint (OKVS): 2.0 s, 9 rows, 4 rows/s", "read and normalise: 0.0 s"]


@pytest.mark.parametrize("profile", ["ecdh", "kkrt", "vole"])
def test_a_run_in_buckets_has_one_line_a_step_and_bucket(
    profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "BUCKET_ROWS", 512)  # of 512 and 1024 rows
    monkeypatch.setattr(equality, "SLICE", 300)  # of 1301 bins
    streams: list[io.StringIO] = []

    real = runs.run

    def watched(*parts: object, **rest: object) -> object:
        stream = io.StringIO()
        streams.append(stream)
        with ProgressReport(stream=stream) as report:
            return real(*parts, **rest | {"progress": report})  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(runs, "run", watched)
    runs.finish_run(tmp_path / "run", "none", '["media", "shop"]', profile)
    assert len(streams) == 2
    for stream in streams:
        titles = [line.split(": ")[0] for line in stream.getvalue().splitlines()]
        assert len(set(titles)) == len(titles)
        of_a_bucket = ["oblivious PRF", "hint (OKVS)", "equality in secret", "grouped sums (ring-LWE)"]
        of_a_bucket += ["silent VOLE"] if profile == "vole" else []
        for title in of_a_bucket:
            assert {f"{title}, bucket 1 of 2", f"{title}, bucket 2 of 2"} <= set(titles)
        assert titles[-1] == "sign the transcript"
        assert not any("bucket" in title for title in titles[titles.index("compare the transcripts") :])
