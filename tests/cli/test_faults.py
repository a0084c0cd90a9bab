"""Every fault that is this side's own: the right exit code and one line, before anything is sent."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from cleanroom.agreement import load_agreement, sign_agreement
from tests.cli.world import PARTIES, Ended, Scene
from tests.ports import free_port


@contextmanager
def watched_port() -> Iterator[str]:
    """An address that a run may be told to connect to; fails the test if anything does."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        door.setblocking(False)
        yield f"127.0.0.1:{door.getsockname()[1]}"
        with pytest.raises(BlockingIOError):
            door.accept()


def refused(scene: Scene, party: str, code: int, **changes: object) -> str:
    """Runs one side that must fail before it connects; returns its line."""
    with watched_port() as address:
        ended = scene.start(party, "--connect", address, **changes).ended()  # type: ignore[arg-type]
    return checked(scene, party, code, ended)


def checked(scene: Scene, party: str, code: int, ended: Ended) -> str:
    """Checks the traces of a failure; returns its line."""
    assert ended.code == code, ended.stderr
    assert ended.stdout == ""
    line = ended.line
    scene.assert_nothing_left(party)
    if "failure.json" in scene.left(party):
        record = json.loads((scene.out(party) / "failure.json").read_text())
        assert record == {"version": 1, "exit_code": code, "reason": line}
    return line


def unsigned(scene: Scene) -> None:
    scene.agree(signers=())


def signed_by_one(scene: Scene) -> None:
    scene.agree(signers=("media",))


def changed_after_signing(scene: Scene) -> None:
    path = scene.agree()
    path.write_text(path.read_text().replace("min_people = 25", "min_people = 24"))


def certificate_changed_after_signing(scene: Scene) -> None:
    scene.agree()
    shutil.copy(scene.root / "stranger.crt", scene.root / "shop" / "shop.crt")


def expired(scene: Scene) -> None:
    path = scene.root / "agreement.toml"
    yesterday = date.today() - timedelta(days=2)
    scene.agree(signers=(), valid_until=f"{yesterday}")
    for party in PARTIES:
        sign_agreement(path, load_agreement(path, any_age=True), scene.identity(party))


def signature_of_another_agreement(scene: Scene) -> None:
    scene.agree(name="other")
    kept = (scene.root / "agreement.shop.sig").read_bytes()
    scene.agree()
    (scene.root / "agreement.shop.sig").write_bytes(kept)


def torn_signature(scene: Scene) -> None:
    scene.agree()
    path = scene.root / "agreement.shop.sig"
    path.write_bytes(path.read_bytes()[:-9])


AGREEMENT_FAULTS: dict[Callable[[Scene], None], str] = {
    unsigned: "agreement.media.sig: is missing: media has not signed",
    signed_by_one: "agreement.shop.sig: is missing: shop has not signed",
    changed_after_signing: "the agreement or a certificate was changed after signing",
    certificate_changed_after_signing: "the agreement or a certificate was changed after signing",
    expired: "valid_until: the agreement expired on",
    signature_of_another_agreement: "the agreement or a certificate was changed after signing",
    torn_signature: "agreement.shop.sig: expected one line",
}


def agreement_fault(scene: Scene, identities: Path, fault: Callable[[Scene], None]) -> None:
    shutil.copy(identities / "stranger" / "media.crt", scene.root / "stranger.crt")
    fault(scene)
    assert AGREEMENT_FAULTS[fault] in refused(scene, "media", 3)


def test_an_identity_that_the_agreement_does_not_name_is_exit_3(scene: Scene, identities: Path) -> None:
    scene.agree()
    line = refused(scene, "media", 3, identity=identities / "stranger")
    assert "holds no identity with the certificate that the agreement names" in line


VALUE = "7193518"
"""In what is spoilt; too long for the number of a folder or a port, which a line may hold."""


def truncated_csv(scene: Scene) -> str:
    path = scene.root / "orders.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:40]) + "\n" + lines[40][:9])
    return "orders.csv, row 40"


def truncated_parquet(scene: Scene) -> str:
    whole = scene.root / "whole.parquet"
    pd.read_csv(scene.root / "orders.csv").to_parquet(whole)
    content = whole.read_bytes()
    whole.unlink()
    (scene.root / "orders.parquet").write_bytes(content[: len(content) // 2])
    binding = scene.root / "shop.toml"
    binding.write_text(binding.read_text().replace("orders.csv", "orders.parquet"))
    return "orders.parquet"


def _replaced(scene: Scene, old: str, new: str) -> None:
    path = scene.root / "orders.csv"
    lines = path.read_text().splitlines()
    assert old in lines[0]
    column = lines[0].split(",").index(old)
    cells = lines[7].split(",")
    cells[column] = new
    lines[7] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n")


def bad_amount(scene: Scene) -> str:
    _replaced(scene, "paid", f"{VALUE}.5x")
    return "orders.csv, row 7, column paid: expected"


def negative_amount(scene: Scene) -> str:
    _replaced(scene, "paid", f"-{VALUE}.25")
    return "orders.csv, row 7, column paid: expected"


def bad_time(scene: Scene) -> str:
    _replaced(scene, "at", f"yesterday-{VALUE}")
    return "orders.csv, row 7, column at: expected"


def wrong_encoding(scene: Scene) -> str:
    path = scene.root / "orders.csv"
    lines = path.read_bytes().splitlines()
    lines[7] = b"\xff\xfe" + VALUE.encode() + lines[7]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return "orders.csv, row 7"


def missing_source(scene: Scene) -> str:
    (scene.root / "orders.csv").unlink()
    return "shop.toml: source.path: expected a file"


def missing_binding(scene: Scene) -> str:
    (scene.root / "shop.toml").unlink()
    return "shop.toml"


def missing_column(scene: Scene) -> str:
    path = scene.root / "orders.csv"
    path.write_text(path.read_text().replace("paid", "payed", 1))
    return "orders.csv, column paid"


def empty_source(scene: Scene) -> str:
    (scene.root / "orders.csv").write_text("buyer,at,paid,order_id\n")
    return "expected at least one row"


def many_null_identifiers(scene: Scene) -> str:
    path = scene.root / "orders.csv"
    lines = path.read_text().splitlines()
    lines[1:30] = ["," + line.split(",", 1)[1] for line in lines[1:30]]
    path.write_text("\n".join(lines) + "\n")
    return "expected at most a share of 0.01 of null or malformed identifiers, found 29 in 427 rows"


DATA_FAULTS: tuple[Callable[[Scene], str], ...] = (
    truncated_csv,
    truncated_parquet,
    bad_amount,
    negative_amount,
    bad_time,
    wrong_encoding,
    missing_source,
    missing_binding,
    missing_column,
    empty_source,
    many_null_identifiers,
)


def data_fault(scene: Scene, fault: Callable[[Scene], str]) -> None:
    scene.agree()
    words = fault(scene)
    line = refused(scene, "shop", 4)
    assert words in line
    assert VALUE not in line, "no value of the data"


def more_rows_than_agreed(scene: Scene, party: str, bound: str) -> None:
    scene.agree(**{bound: "64"})
    assert "max_rows" in refused(scene, party, 4)


def test_a_budget_over_its_limit_is_exit_6_before_anything_is_sent(scene: Scene) -> None:
    scene.agree(noise="gaussian")
    certificate = str(scene.root / "media" / "media.crt")
    identity = ("--identity", str(scene.root / "shop"))
    limit = ("--partner", certificate, "--epsilon", "5", "--delta", "1e-5")
    told = scene.command("budget", "set", *identity, *limit).ended()
    assert (told.code, "runs without noise have no epsilon" in told.stdout) == (0, True)
    assert "release.epsilon: 0 of 5 is spent with media" in refused(scene, "shop", 6)
    shown = scene.command("budget", "show", *identity, "--agreement", str(scene.root / "agreement.toml")).ended()
    assert "left: epsilon 5" in shown.stdout
    assert "costs epsilon 8" in shown.stdout
    scene.agree()
    shutil.rmtree(scene.out("shop"))
    assert "the limit with media allows no run without noise" in refused(scene, "shop", 6)


def test_a_second_run_without_noise_over_an_overlapping_period_is_exit_6(scene: Scene) -> None:
    scene.agree()
    assert [ended.code for ended in scene.pair().values()] == [0, 0]
    for party in PARTIES:
        scene.out(party).rename(scene.root / f"{party}-first")
    scene.agree(start="2025-02-27T00:00:00Z")
    assert "over an overlapping period was made with media" in refused(scene, "shop", 6)
    shutil.rmtree(scene.out("shop"))
    (scene.root / "orders.csv").write_text("".join((scene.root / "orders.csv").read_text().splitlines(True)[:-1]))
    scene.agree()
    assert "over an overlapping period was made with media" in refused(scene, "shop", 6)


USAGE_FAULTS: tuple[tuple[str, ...], ...] = (
    (),
    ("--listen", "127.0.0.1:0", "--connect", "127.0.0.1:0"),
    ("--listen", "127.0.0.1"),
    ("--connect", "127.0.0.1:99999"),
    ("--connect", "127.0.0.1:9", "--connect-timeout", "0"),
    ("--connect", "127.0.0.1:9", "--step-timeout", "nan"),
    ("--connect", "127.0.0.1:9", "--threads", "0"),
    ("--connect", "127.0.0.1:9", "--unknown"),
)


def usage_fault(scene: Scene, options: tuple[str, ...]) -> None:
    scene.agree()
    checked(scene, "media", 2, scene.start("media", *options).ended())
    assert scene.left("media") == set()


def cases(identities: Path) -> dict[str, Callable[[Scene], None]]:
    """Every fault that needs one process and nothing else, by name."""
    named: dict[str, Callable[[Scene], None]] = {}
    for fault in AGREEMENT_FAULTS:
        named[f"exit 3: {fault.__name__}"] = partial(agreement_fault, identities=identities, fault=fault)
    for spoilt in DATA_FAULTS:
        named[f"exit 4: {spoilt.__name__}"] = partial(data_fault, fault=spoilt)
    for party, bound in (("media", "rows_exposure"), ("shop", "rows_outcome")):
        named[f"exit 4: more than {bound}"] = partial(more_rows_than_agreed, party=party, bound=bound)
    for options in USAGE_FAULTS:
        named[f"exit 2: {' '.join(options) or 'no address'}"] = partial(usage_fault, options=options)
    return named


@pytest.fixture(scope="module")
def played(identities: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseException | None]:
    """Plays all cases, two at a time, each in a scene of its own; what a case raised is its result."""
    named = cases(identities)

    def play(name: str) -> BaseException | None:
        scene = Scene.make(tmp_path_factory.mktemp("case"), identities)
        try:
            named[name](scene)
        except BaseException as error:  # noqa: BLE001  # raised again by the test of this case
            return error
        finally:
            scene.stop_all()
        return None

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(named, pool.map(play, named), strict=True))


@pytest.mark.parametrize("name", list(cases(Path())))
def test_a_fault_of_ones_own_ends_the_run_before_it_connects(
    played: dict[str, BaseException | None], name: str
) -> None:
    fault = played[name]
    if fault is not None:
        raise fault


def test_a_folder_that_holds_something_is_exit_2_and_untouched(scene: Scene) -> None:
    scene.agree()
    scene.out("media").mkdir()
    (scene.out("media") / "notes.txt").write_text("mine")
    with watched_port() as address:
        ended = scene.start("media", "--connect", address).ended()
    assert ended.code == 2
    assert "is not empty" in ended.line
    assert scene.left("media") == {"notes.txt"}


def test_an_unknown_party_is_exit_2(scene: Scene) -> None:
    scene.agree()
    arguments = ["--agreement", str(scene.root / "agreement.toml"), "--party", "nobody", "--connect", "127.0.0.1:9"]
    arguments += ["--identity", str(scene.root / "media"), "--data", str(scene.root / "media.toml")]
    ended = scene.command("run", *arguments, "--out", str(scene.out("media"))).ended()
    assert "the agreement's parties are media and shop" in checked(scene, "media", 2, ended)


def test_a_folder_with_only_a_failure_is_used_again(scene: Scene) -> None:
    scene.agree()
    (scene.root / "orders.csv").rename(scene.root / "kept.csv")
    refused(scene, "shop", 4)
    assert scene.left("shop") == {"failure.json"}
    (scene.root / "kept.csv").rename(scene.root / "orders.csv")
    assert [ended.code for ended in scene.pair().values()] == [0, 0]
    assert "failure.json" not in scene.left("shop")
    assert "release.csv" in scene.left("shop")


def test_a_full_disk_is_exit_1_with_nothing_left(scene: Scene) -> None:
    scene.agree()
    disk = scene.root / "disk"
    disk.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if not mounted or mounted.returncode != 0:
        pytest.skip("a small disk cannot be mounted here; the writer's own tests cover a disk that refuses")
    try:
        port = free_port()
        media = scene.start("media", "--listen", f"127.0.0.1:{port}", out=disk / "out")
        shop = scene.start("shop", "--connect", f"127.0.0.1:{port}")
        ended = media.ended()
        assert ended.code == 1, ended.stderr
        assert "No space left on device" in ended.line
        assert shop.ended().code == 0
        assert {entry.name for entry in disk.iterdir()} <= {"out"}
        assert {entry.name for entry in (disk / "out").iterdir()} <= {"failure.json"}
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    # nothing is lost: the exact repeat returns what the disk did not take
    shutil.rmtree(scene.out("shop"))
    again = scene.pair("--json")
    assert [json.loads(ended.stdout)["repeated"] for ended in again.values()] == [True, True]


@pytest.mark.parametrize("closed", [(0,), (0, 1, 2)])
def test_closed_standard_streams_change_nothing(scene: Scene, closed: tuple[int, ...]) -> None:
    scene.agree()
    (scene.root / "orders.csv").unlink()

    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    started = scene.start(
        "shop", "--connect", f"127.0.0.1:{free_port()}", stdin=None, stdout=None, stderr=None, preexec_fn=close
    )
    assert started.process.wait(60) == 4
    scene.assert_nothing_left("shop")
    assert json.loads((scene.out("shop") / "failure.json").read_text())["exit_code"] == 4
