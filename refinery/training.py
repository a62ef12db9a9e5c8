"""The trainer: a trunk, frozen once, and branches from it. Each function imports torch (the extra `train`) when called.

A mistake of the caller raises `UsageError`. `train`, `freeze` and `branch` can be called again with the same arguments:
they continue where they were stopped, or do nothing.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from infra.remote import anywhere, local
from trainer.start import config_file, importing_torch

StrPath = str | os.PathLike[str]
# One prompt, or several: as many texts come back.
Prompts = TypeVar("Prompts", str, list[str])
# Called after every step with its log row and the last step.
OnStep = Callable[[Mapping[str, Any], int], None]


def plan_training(
    config: StrPath = "tiny",
    *,
    data: StrPath | None = None,
    vocab_size: int | None = None,
    gpus: Sequence[int] = (1, 8, 64, 2000),
    gpu: str = "h100",
    mfu: float = 0.25,
    days: float = 42.0,
) -> dict[str, Any]:
    """What a training takes, by arithmetic: parameters, FLOPs and KV bytes of a token, memory and time by GPUs.

    data: the tokens dataset whose tokenizer sets the vocabulary; else vocab_size. gpus: numbers of GPUs of the kind
    `gpu`, kept at `mfu` (0 to 1) of their peak. days: the time for which tokens are counted.
    """
    file = config_file(os.fspath(config))
    with importing_torch():
        from trainer.plan import plan_training as plan

        return plan(file, None if data is None else local(data, "data"), vocab_size, gpus, gpu, mfu, days)


def train(
    data: StrPath,
    out: StrPath,
    *,
    config: StrPath = "tiny",
    steps: int | None = None,
    on_step: OnStep | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Trains a trunk on the tokens dataset `data` in the folder `out`, up to step `steps` (else the trunk's end).

    config: the name of a shipped configuration, or a .toml file. on_step: called with each row of the log, and the
    rates of its step (tokens_per_second, flops_per_second, mfu). device: auto (CUDA where there is a GPU), cpu or cuda.
    Returns a summary: the checkpoint and its hashes, the last loss, the number of parameters.
    """
    file = config_file(os.fspath(config))
    with importing_torch():
        from trainer.api import train as train_trunk

        return train_trunk(file, anywhere(data, "data"), local(out, "out", made=True), steps, on_step, device)


def freeze(run: StrPath, out: StrPath) -> dict[str, Any]:
    """Copies the latest checkpoint of a training run to the read-only folder `out`; returns its hashes."""
    with importing_torch():
        from trainer.api import freeze as freeze_run

        return freeze_run(local(run, "run"), local(out, "out", made=True))


def branch(
    trunk: StrPath,
    out: StrPath,
    *,
    overrides: Mapping[str, Any] | StrPath | None = None,
    data: StrPath | None = None,
    steps: int | None = None,
    on_step: OnStep | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Trains a branch of the frozen trunk `trunk` in the folder `out`: its schedule continued into the decay.

    overrides: what differs, as a mapping or a .toml file; without them the branch is the control.
    data: the trunk's tokens dataset, or another one. steps: counted from the trunk's first step.
    """
    changed = overrides if overrides is None or isinstance(overrides, Mapping) else local(overrides, "overrides")
    other = None if data is None else anywhere(data, "data")
    with importing_torch():
        from trainer.api import branch as train_branch

        made = local(out, "out", made=True)
        return train_branch(local(trunk, "trunk"), changed, other, made, steps, on_step, device)


def grow_branches(
    trunk: StrPath, config: StrPath, out: StrPath, *, data: StrPath | None = None, device: str = "auto"
) -> dict[str, Any]:
    """Trains all branches of the file `config`, and the control, each in a folder of its name in the folder `out`.

    trunk: the frozen trunk. data: its tokens dataset, or another one, of the branches that name none.
    Returns the trunk's hash and step, each branch's overrides and tokens, and under `grown` what `branch` returns.
    """
    other = None if data is None else anywhere(data, "data")
    with importing_torch():
        from trainer.api import grow_branches as grow

        paths = local(trunk, "trunk"), local(config, "config")
        return grow(*paths, other, local(out, "out", made=True), device=device)


def compare_branches(
    folder: StrPath, data: StrPath, *, second: StrPath | None = None, k: int | None = None, device: str = "auto"
) -> dict[str, Any]:
    """Compares the branches in `folder`, the `out` of `grow_branches`, on the held-out tokens dataset `data`.

    second: the same branches from another mark of the trunk. k: experts per token. Returns, and writes into the folder
    (branch-comparison.json, .svg), the ranking, each branch's difference from the control with its interval and
    verdict, and what the comparison cost.
    """
    from infra.storage import write_bytes
    from pipeline.report.differences import differences_drawing

    with importing_torch():
        from trainer.api import compare_branches as compare

        place, other = local(folder, "folder"), None if second is None else local(second, "second")
        answer = compare(place, anywhere(data, "data"), other, k, device)
    write_bytes(place / "branch-comparison.svg", differences_drawing(answer).alone().encode())
    return answer


def evaluate(
    checkpoint: StrPath,
    data: StrPath,
    *,
    k: Sequence[int] | None = None,
    policy: StrPath = "fixed",
    device: str = "auto",
) -> dict[str, Any]:
    """Measures bits per byte by domain on the held-out tokens dataset `data`, beside a unigram model and gzip.

    checkpoint: a run, a branch or a frozen trunk. k: experts per token, one result for each, or the most of them under
    a policy. policy: `fixed`, `top_p=P`, `min_p=P`, `table=K,K,…`, or the file of `calibrate_experts`.
    """
    with importing_torch():
        from trainer.api import evaluate as evaluate_checkpoint

        paths = local(checkpoint, "checkpoint"), anywhere(data, "data")
        return evaluate_checkpoint(*paths, k, os.fspath(policy), device)


def evaluate_grid(
    checkpoint: StrPath,
    grid: StrPath,
    *,
    training: Sequence[StrPath] | StrPath = (),
    out: StrPath | None = None,
    k: int | None = None,
    policy: StrPath = "fixed",
    device: str = "auto",
) -> dict[str, Any]:
    """Measures bits per byte on held-out distributions, beside what xz reaches on each.

    grid: a .toml or .json file that names them, or a folder of JSON lines. training: what was trained on, a dataset of
    tokens or documents or files of texts; it gives each distribution its distance, and marks those that it has too.
    out: a folder for the answer (grid.json) and its picture (grid.svg). k and policy: as `evaluate` has them.
    """
    from pipeline.metric.answers import grid_answer

    inputs = [os.fspath(each) for each in ([training] if isinstance(training, str | os.PathLike) else training)]
    folder = None if out is None else local(out, "out", made=True)
    with importing_torch():
        from trainer.api import TextScorer

        score = TextScorer(local(checkpoint, "checkpoint"), k, os.fspath(policy), device)
    return grid_answer(score, local(grid, "grid"), inputs, folder)


def evaluate_rejects(
    checkpoint: StrPath,
    run: StrPath,
    *,
    per_rule: int = 30,
    source: StrPath | None = None,
    out: StrPath | None = None,
    k: int | None = None,
    policy: StrPath = "fixed",
    device: str = "auto",
) -> dict[str, Any]:
    """Measures bits per byte of what each rule of the finished run `run` rejected, beside what it kept.

    per_rule: texts of each rule, at most. source: where the archives are now. out: a folder for the answer.
    """
    from pipeline.metric.answers import rejects_answer

    where, folder = None if source is None else os.fspath(source), None if out is None else local(out, "out", made=True)
    with importing_torch():
        from trainer.api import TextScorer

        score = TextScorer(local(checkpoint, "checkpoint"), k, os.fspath(policy), device)
    return rejects_answer(score, anywhere(run, "run"), per_rule, where, folder)


def plan_data(
    budget: float,
    parameters: float,
    *,
    available: float | None = None,
    table: StrPath | None = None,
    law: StrPath | None = None,
    loss: str | None = None,
    out: StrPath | None = None,
) -> dict[str, Any]:
    """How strict a pool should be for `budget` tokens and a model of `parameters`, and how often it may be repeated.

    available: unique tokens that the loosest pool has; else as many as the budget. table: runs of yours, which the law
    is fitted on, and written to the file `out`; law: such a file; without either the shipped law answers. loss: the
    held-out distribution, or several with + between them. Needs no torch.
    Returns the best pool, the best keep rate, the half-life of a repeat, a row for each pool, all with 80 % bands, and
    how far the question is from the runs that the law was fitted on.
    """
    from trainer.scaling.pool_answer import DataPlanner, check_out

    runs = None if table is None else local(table, "table")
    file = None if out is None else local(out, "out", made=True)
    check_out(file, runs)
    planner = DataPlanner.of(runs, None if law is None else local(law, "law"), loss)
    if file is not None:
        planner.save(file)
    return planner.answer(budget, parameters, available)


def audit(run: StrPath, page: str | None = None, *, data: Sequence[StrPath] = ()) -> dict[str, Any]:
    """Proves what a training run was trained on, from its own record; needs no torch.

    page: a URL or an id: the steps that had it. Without one, of each source how many documents were seen 0, 1, 2, …
    times. data: the tokens datasets of the run, by default the one that it read last.
    Returns them with `faults`: where the record does not hold; empty where it does.
    """
    from trainer.data.audit import audit as audit_run

    return audit_run(local(run, "run"), page, [anywhere(each, "data") for each in data])


def calibrate_experts(
    checkpoint: StrPath,
    data: StrPath,
    out: StrPath,
    *,
    mean_k: float,
    policy: Literal["top_p", "min_p", "table"] = "top_p",
    k: int | None = None,
    minimum: int = 1,
    device: str = "auto",
) -> dict[str, Any]:
    """Finds the policy that uses `mean_k` experts per token of the held-out tokens dataset `data`; writes it to `out`.

    policy: the kind of policy. k: the most experts of a token; minimum: the fewest.
    Returns what the file has: the policy, and what was measured with it.
    """
    with importing_torch():
        from trainer.api import calibrate_experts as calibrate

        paths = local(checkpoint, "checkpoint"), anywhere(data, "data")
        return calibrate(*paths, mean_k, local(out, "out", made=True), policy, k, minimum, device)


def generate(
    checkpoint: StrPath,
    prompt: Prompts = "",  # type: ignore[assignment]
    *,
    tokens: int = 100,
    k: int | None = None,
    policy: StrPath = "fixed",
    temperature: float = 0.8,
    top_p: float = 1.0,
    top_k: int | None = None,
    seed: int = 0,
    dtype: Literal["float32", "bfloat16"] | None = None,
    device: str = "auto",
    batch_size: int = 16,
) -> Prompts:
    """Continues `prompt`, or each of several, by at most `tokens` tokens; returns the new text of each.

    k and policy: as `evaluate` has them. temperature 0 takes the most likely token; else one is drawn, from the `top_k`
    likeliest and those that hold `top_p` of the probability. dtype: what is computed in, and kept in weights and
    caches. Prompts are continued `batch_size` at a time; a prompt's text is the same alone and among others.
    """
    with importing_torch():
        from trainer.api import Sampling
        from trainer.api import generate as generate_texts

        prompts = [prompt] if isinstance(prompt, str) else prompt
        sampling = Sampling(temperature, top_p, top_k, seed)
        read = local(checkpoint, "checkpoint"), prompts, tokens, k, os.fspath(policy), sampling, dtype, device
        texts = [row.text for row in generate_texts(*read, batch_size)]
    return texts[0] if isinstance(prompt, str) else texts


def export_model(
    checkpoint: StrPath,
    out: StrPath,
    *,
    dtype: Literal["float32", "bfloat16"] = "float32",
    k: int | None = None,
    policy: StrPath = "fixed",
    format: Literal["transformers", "dcp"] = "transformers",
    moments: bool = False,
) -> dict[str, Any]:
    """Writes `checkpoint` as the new folder `out`, which `transformers` loads with `trust_remote_code=True`.

    k and policy: the experts per token of the exported model, as `evaluate` has them. format "dcp": weights that
    `torch.distributed.checkpoint.load` reads, with `moments` the optimizer's state too.
    Returns the hash of the checkpoint, the number of parameters, and the bytes and hash of the weights.
    """
    with importing_torch():
        from trainer.api import export_model as export

        paths = local(checkpoint, "checkpoint"), local(out, "out", made=True)
        return export(*paths, dtype, k, os.fspath(policy), format, moments)
