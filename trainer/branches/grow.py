"""Grows all branches of a file from one trunk, one after another or side by side.

```
OUT/branches.json    the trunk, its step and tokens, and what each branch overrides
OUT/NAME/            the run's folder of each branch
```
A second call goes on where the first stopped, and makes what the file has more.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import UsageError
from infra.hashing import readable_json
from infra.storage import disk_errors, lock, read_json, write_bytes
from trainer.branches.branch import branch, plan_branch
from trainer.branches.branch_file import BranchFile, NamedBranch, read_branch_file
from trainer.branches.merge import kept_checkpoints, merge
from trainer.checkpoint import Checkpoint, read_checkpoint
from trainer.device import choose_device
from trainer.parallel.ranks import Ranks, joined
from trainer.runs import first_difference
from trainer.train import OnStep, Tell

FORMAT = "refinery.branches/1"
BRANCHES = "branches.json"


@dataclass(frozen=True)
class GrowJob:
    """One branch of a file, which can be made in another process."""

    branch: NamedBranch
    trunk: Path
    data: Path | None
    """The trunk's dataset, for a branch that names no other."""

    run: Path | None
    """The trunk's run, for a merge."""

    out: Path
    device: str

    def grow(self, on_step: OnStep | None = None, tell: Tell | None = None) -> dict[str, Any]:
        """The summary of the branch."""
        if self.branch.merge is not None:
            assert self.run is not None
            return merge(self.trunk, self.run, self.branch.merge, self.out)
        data = self.branch.data or self.data
        return branch(self.trunk, self.branch.overrides, data, self.out, None, on_step, self.device, tell)


# Makes some branches and returns their summaries, in order.
GrowAll = Callable[[Sequence[GrowJob]], list[dict[str, Any]]]


def grow_branches(
    trunk: Path,
    config: Path,
    data: Path | None,
    out: Path,
    on_step: OnStep | None = None,
    device: str = "auto",
    tell: Tell | None = None,
    grow_all: GrowAll | None = None,
) -> dict[str, Any]:
    """Grow the branches of the file `config` from the frozen checkpoint `trunk` in folders below `out`.

    `data`: the trunk's tokens dataset; a branch may name another. `grow_all`: how they are made, by default one after
    another, each on all ranks. Returns the content of `branches.json` and `grown`, the summary of each branch.
    UsageError as `branch` and `merge`, for branches that do not train on equally many tokens, and when `out` has
    branches of another trunk or with other overrides.
    """
    checkpoint, file = read_checkpoint(trunk), read_branch_file(config)
    record, jobs = planned(checkpoint, file, data, out, device)
    with joined(choose_device(device), 1) as ranks:
        ranks.first_does(lambda: claim(out, record))
        if grow_all is not None:
            summaries = grow_all(jobs)
        else:
            summaries = []
            for number, job in enumerate(jobs, 1):
                if tell is not None and ranks.leads:
                    tell(f"branch {job.branch.name}, {number} of {len(jobs)}")
                summaries.append(job.grow(on_step, tell) if job.branch.merge is None else _merged(job, ranks))
    return {**record, "grown": {job.branch.name: summary for job, summary in zip(jobs, summaries)}}


def _merged(job: GrowJob, ranks: Ranks) -> dict[str, Any]:
    """The summary of a merge, which rank 0 makes; empty on the others."""
    made: dict[str, Any] = {}
    ranks.first_does(lambda: made.update(job.grow()))
    return made


def planned(
    trunk: Checkpoint, file: BranchFile, data: Path | None, out: Path, device: str
) -> tuple[dict[str, Any], list[GrowJob]]:
    """What `branches.json` will hold, and the jobs. All of the file is checked before anything is made."""
    rows: dict[str, dict[str, Any]] = {}
    jobs = []
    for each in file.branches:
        jobs.append(GrowJob(each, trunk.folder, data, file.run, out / each.name, device))
        if each.merge is not None:
            assert file.run is not None
            kept_checkpoints(trunk, file.run, each.merge)
            rows[each.name] = {"overrides": {"merge": each.merge.declared()}, "tokens": 0}
            continue
        try:
            plan = plan_branch(trunk, each.overrides, each.data or data)
        except UsageError as error:
            raise UsageError(f"{file.path}, branch {each.name!r}: {error}") from None
        rows[each.name] = {"overrides": dict(plan.declared), "tokens": plan.tokens(trunk.step)}
    _check_equal_tokens(file, rows)
    state = trunk.header["state"]
    record = {"format": FORMAT, "trunk": trunk.sha256, "step": trunk.step, "tokens": state["tokens"], "branches": rows}
    return record, jobs


def _check_equal_tokens(file: BranchFile, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """UsageError unless all branches that train see equally many tokens."""
    (control, first), *others = rows.items()
    for name, row in others:
        if row["tokens"] not in (0, first["tokens"]):
            raise UsageError(
                f"{file.path}: branch {name!r} trains {row['tokens']:,} tokens, {control} {first['tokens']:,}: give it "
                "decay.steps, and decay.hold for steps before the decay, that make them equal"
            )


def claim(out: Path, record: Mapping[str, Any]) -> None:
    """Write `branches.json`, with the branches that it has already. UsageError when these are others."""
    out.mkdir(parents=True, exist_ok=True)
    with disk_errors(out), lock(out):
        held = read_json(out / BRANCHES)
        branches = dict(record["branches"])
        if isinstance(held, Mapping):
            old = {**held, "branches": {name: row for name, row in held["branches"].items() if name in branches}}
            new = {**record, "branches": {name: row for name, row in branches.items() if name in old["branches"]}}
            difference = first_difference(old, new)
            if difference:
                raise UsageError(f"{out} has other branches ({difference}): choose another --out")
            branches = {**held["branches"], **branches}
        write_bytes(out / BRANCHES, readable_json({**record, "branches": branches}))
