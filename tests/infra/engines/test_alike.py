"""A worker that has other code or other libraries than its driver is refused before it makes anything."""

import json
from pathlib import Path

import pytest

from infra.dataset.receipts import RECEIPTS
from infra.engines.alike import CODE, VARIABLE, check_alike, code_hash, told_versions, versions_here
from infra.engines.beam import read_noted, run_noted
from infra.engines.failures import take_failure
from infra.engines.job import RangeJob
from infra.engines.ray import NOT_LOADED, raise_ours
from infra.engines.ray_tasks import read_job, run_in
from infra.errors import UsageError
from tests.files import ROOT, checkout


def told_with(**others: str) -> dict[str, str]:
    return {VARIABLE: json.dumps({**versions_here(), **others})}


def test_the_same_is_taken_and_what_one_side_lacks_does_not_count() -> None:
    check_alike({})
    check_alike(told_versions())
    check_alike(told_with(of_the_driver_alone="1"))


@pytest.mark.parametrize(("name", "version"), [("pyarrow", "1.0"), (CODE, "0123456789ab"), ("python", "3.9")])
def test_a_difference_is_named(name: str, version: str) -> None:
    with pytest.raises(UsageError, match=rf"differs from the driver in {name} \S+ \({version}\): install the same"):
        check_alike(told_with(**{name: version}))


def test_a_job_is_refused_before_it_runs(tmp_path: Path) -> None:
    """Beam's runners tell no more than that a job failed: the driver finds why in the folder."""
    (tmp_path / RECEIPTS).mkdir()
    nothing: RangeJob = None  # type: ignore[assignment]
    with pytest.raises(UsageError):
        run_noted(nothing, str(tmp_path), told_with(pyarrow="1.0"))
    failure = take_failure(tmp_path)
    assert isinstance(failure, UsageError) and "differs from the driver in pyarrow" in str(failure)


def test_jobs_that_the_worker_cannot_read_are_refused_too(tmp_path: Path) -> None:
    """Of a class that its code does not have."""
    (tmp_path / RECEIPTS).mkdir()
    told, unread = told_with(**{CODE: "0123456789ab"}), b"cinfra.engines.job\nNoSuchJob\n."
    with pytest.raises(UsageError, match=r"cannot read its task \(.*NoSuchJob.*\): install the same"):
        read_job(unread)
    with pytest.raises(UsageError, match="differs from the driver in refinery's code"):
        run_in(str(tmp_path), told, str(tmp_path / "no word"), unread)
    (tmp_path / "jobs").write_bytes(unread)
    with pytest.raises(UsageError, match="differs from the driver in refinery's code"):
        read_noted(str(tmp_path / "jobs"), str(tmp_path), told)
    assert isinstance(take_failure(tmp_path), UsageError)


def test_a_node_without_this_package_is_one_line() -> None:
    """In the words in which Ray tells it."""
    from ray.exceptions import RayTaskError

    found = "Traceback (most recent call last):\nModuleNotFoundError: No module named 'infra'"
    told = f"{NOT_LOADED}. {found}"
    error = RayTaskError("run_in", told, RuntimeError(told))  # type: ignore[no-untyped-call]
    with pytest.raises(UsageError, match=r"a node .* cannot load this refinery \(ModuleNotFoundError: No module"):
        raise_ours(error)


def test_the_hash_is_of_the_code_alone(tmp_path: Path) -> None:
    copy = checkout(tmp_path)
    (copy / "infra" / "notes.txt").write_text("no module")
    (copy / "infra" / ".#hashing.py").symlink_to("somebody@machine.1")  # the lock of an editor
    assert code_hash(copy) == code_hash(ROOT)
    changed = copy / "infra" / "hashing.py"
    changed.write_text(changed.read_text() + "\n")
    assert code_hash(copy) != code_hash(ROOT)
