"""A folder of objects has one writer; a dead one loses it, and a writer that lost it finishes nothing."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest

from infra.errors import UsageError, WorkError
from infra.storage import check_locked, lease, lock, read_json, write_bytes, write_last
from tests.s3_server import Server, cut

SECONDS = 0.6
HOLDER = f"""
import sys
from infra.storage import check_locked, lease, lock, place, write_bytes
lease.LEASE_SECONDS = {SECONDS}
folder = place(sys.argv[1])
with lock(folder):
    print("held", flush=True)
    for line in sys.stdin:
        check_locked(folder)
        write_bytes(folder / "manifest.json", b"[]")
"""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", SECONDS)


@pytest.fixture
def holder(root: Path) -> "subprocess.Popen[str]":
    """Another driver, which holds the folder and writes a manifest when it is told a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process  # type: ignore[misc]
    process.kill()
    process.communicate()


def test_a_live_writer_keeps_the_folder(root: Path, holder: "subprocess.Popen[str]") -> None:
    with pytest.raises(UsageError, match=r"another driver, on .* is writing into s3://bucket/"), lock(root):
        pass
    _, said = holder.communicate("finish\n")
    assert (holder.returncode, said) == (0, "") and read_json(root / "manifest.json") == []
    with lock(root):  # it was given back
        check_locked(root)


def test_a_killed_writer_is_followed_at_once(
    root: Path, holder: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 1000.0)
    holder.kill()
    holder.wait()
    with lock(root):
        check_locked(root)


def test_a_writer_on_another_machine_is_followed_when_its_lease_has_ended(
    root: Path, holder: "subprocess.Popen[str]"
) -> None:
    holder.kill()
    holder.wait()
    written = {**read_json(root / ".lock"), "kernel": "another"}  # type: ignore[dict-item]
    write_bytes(root / ".lock", lease.canonical_json(written))
    began = time.monotonic()
    with lock(root):
        assert time.monotonic() - began >= SECONDS


def test_a_paused_writer_finishes_nothing(root: Path, holder: "subprocess.Popen[str]") -> None:
    holder.send_signal(signal.SIGSTOP)
    with lock(root):
        holder.send_signal(signal.SIGCONT)
        _, said = holder.communicate("finish\n")
        assert holder.returncode == 1 and "another driver has taken over s3://bucket/" in said
        assert not (root / "manifest.json").exists()
        check_locked(root)  # the other one has not disturbed it


def test_of_two_that_wait_one_gets_it(root: Path) -> None:
    write_bytes(root / ".lock", b'{"token":"gone","host":"there","kernel":"another"}')
    got: list[str] = []

    def take(name: str) -> None:
        try:
            lease.take(root / ".lock")  # type: ignore[arg-type]
            got.append(name)
        except UsageError:
            got.append("refused")

    threads = [Thread(target=take, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    time.sleep(SECONDS * 1.5)  # both have seen it unchanged for as long
    write_bytes(root / ".other", b"")
    holder = None
    while holder is None or len(got) < 2:
        holder = read_json(root / ".lock")
        if got and len(got) < 2:  # the one that has it renews it
            write_bytes(root / ".lock", lease.canonical_json({**holder, "renewal": time.monotonic()}))
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert sorted(got)[-1] == "refused" and len(set(got)) == 2


def test_a_renewal_whose_answer_was_lost_is_ours(root: Path, server: Server) -> None:
    with lock(root):
        held = lease._held[str(root / ".lock")]
        with held._turn:  # as if it had been written, and the answer cut
            write_bytes(root / ".lock", lease._content(held.token))
        check_locked(root)
        check_locked(root)


def test_a_holder_outlives_a_store_that_fails(root: Path, server: Server) -> None:
    with lock(root):
        server.fail(cut, times=3)
        check_locked(root)
        assert server.faults == []
    assert read_json(root / ".lock") == {}


def test_one_process_does_not_hold_a_folder_twice(root: Path) -> None:
    with lock(root), pytest.raises(UsageError, match="this process is writing"), lock(root):
        pass
    with pytest.raises(KeyError):
        check_locked(root)


def test_the_error_of_a_lost_lease(root: Path) -> None:
    with lock(root):
        write_bytes(root / ".lock", b'{"token":"another"}')
        with pytest.raises(WorkError, match="another driver has taken over"):
            check_locked(root)
    assert read_json(root / ".lock") == {"token": "another"}


def test_the_last_file_is_that_of_the_holder(root: Path, server: Server) -> None:
    """Also where a driver that had lost the lease wrote one in the meantime, and where an answer was lost."""
    path = root / "manifest.json"
    with lock(root):
        write_last(path, b"[1]")
        server.requests.clear()
        write_last(path, b"[1]")
        assert [method for method, asked in server.requests if asked.endswith("manifest.json")] == ["PUT", "GET"]
        write_last(path, b"[2]")
        assert read_json(path) == [2]
        write_bytes(root / ".lock", b'{"token":"another"}')
        with pytest.raises(WorkError, match="another driver has taken over"):
            write_last(path, b"[3]")
    assert read_json(path) == [2]


def test_a_holder_that_sleeps_after_its_last_renewal_writes_over_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, put = root / "manifest.json", lease._put

    def asleep(written: Path, content: bytes, version: object) -> object:
        if written == path:  # another takes over, and finishes
            write_bytes(root / ".lock", b'{"token":"another"}')
            write_bytes(path, b"[2]")
        return put(written, content, version)  # type: ignore[arg-type]

    with lock(root):
        monkeypatch.setattr(lease, "_put", asleep)
        with pytest.raises(WorkError, match="another driver has taken over"):
            write_last(path, b"[1]")
    assert read_json(path) == [2]
