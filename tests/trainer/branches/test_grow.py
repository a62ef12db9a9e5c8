"""Files of branches: all are grown from one trunk, equal what single branches are, and are compared with a control."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from infra.errors import UsageError
from tests.files import flip
from tests.pipeline.command import refinery_process
from tests.trainer.conftest import write_config
from tests.trainer.parallel.spawn import on_ranks
from trainer.api import branch, compare_branches, find_trunk, freeze, grow_branches, train
from trainer.branches.merge import MergeConfig, merge_weights
from trainer.checkpoint import Checkpoint, read_checkpoint
from trainer.run_files import find_checkpoint
from trainer.runs import read_rows

FILE = """
run = "run"

[all]
decay = { steps = 3 }

[branches.web]
mixture = { web = 1.0 }

[branches.web-again]
mixture = { web = 1.0 }

[branches.late]
decay = { hold = 1, steps = 2, type = "linear" }

[branches.seed]
data_seed = 9

[branches.deeper]
add = { layers = [4, 5, 6, 7] }

[branches.mean]
merge = "mean"

[branches.merged-decay]
merge = { method = "decay", last = 3 }
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, data: Path, other_data: Path) -> Path:
    """A trunk of 9 steps, frozen, its kept checkpoints, its branches, and their comparison."""
    root = tmp_path_factory.mktemp("grown")
    schedule = {"warmup_steps": 2, "trunk_steps": 9, "decay_steps": 3}
    kept = {"checkpoint_interval_steps": 3, "checkpoint_marks": [1, 3, 5, 7]}
    train(write_config(root, schedule=schedule, run=kept), data, root / "run")
    freeze(root / "run", root / "frozen")
    (root / "branches.toml").write_text(FILE)
    grow_branches(root / "frozen", root / "branches.toml", data, root / "out")
    compare_branches(root / "out", other_data)
    return root


def latest(run: Path) -> Checkpoint:
    return read_checkpoint(find_checkpoint(run))


def test_each_branch_is_what_it_is_alone(root: Path, data: Path, tmp_path: Path) -> None:
    record = json.loads((root / "out/branches.json").read_bytes())
    trunk = read_checkpoint(root / "frozen")
    assert (record["trunk"], record["step"], record["tokens"]) == (trunk.sha256, 9, 9 * 128)
    trained = dict.fromkeys(("control", "web", "web-again", "late", "seed", "deeper"), 3 * 128)
    tokens = {name: row["tokens"] for name, row in record["branches"].items()}
    assert tokens == {**trained, "mean": 0, "merged-decay": 0}
    alone = branch(root / "frozen", {"decay": {"steps": 3}}, data, tmp_path / "control")
    assert alone["sha256"] == latest(root / "out/control").sha256
    late = branch(root / "frozen", {"decay": {"hold": 1, "steps": 2, "type": "linear"}}, data, tmp_path / "late")
    assert late["sha256"] == latest(root / "out/late").sha256
    rates = [row["learning_rate"] for row in read_rows(root / "out/late/log.jsonl")]
    assert rates == pytest.approx([3e-3, 3e-3, 1.5e-3])
    assert latest(root / "out/web").header["state_sha256"] == latest(root / "out/web-again").header["state_sha256"]


def test_the_control_goes_on_with_the_trunk_bit_for_bit(root: Path, data: Path, tmp_path: Path) -> None:
    """Of a file without [all], whose control overrides nothing."""
    (tmp_path / "branches.toml").write_text("[branches.seed]\ndata_seed = 5\n")
    grow_branches(root / "frozen", tmp_path / "branches.toml", data, tmp_path / "out")
    shutil.copytree(root / "run", tmp_path / "run")
    (config,) = root.glob("config-*.toml")
    whole = train(config, data, tmp_path / "run", 12)
    assert latest(tmp_path / "out/control").header["state_sha256"] == whole["state_sha256"]


def test_a_second_call_does_nothing_and_more_branches_may_be_added(root: Path, data: Path, tmp_path: Path) -> None:
    out = shutil.copytree(root / "out", tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("checkpoints/**/*")}
    shutil.copytree(root / "run", tmp_path / "run")
    file = tmp_path / "branches.toml"
    file.write_text(FILE)
    grow_branches(root / "frozen", file, data, out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("checkpoints/**/*")} == before
    file.write_text("[all]\ndecay = { steps = 3 }\n[branches.narrow]\nwindow = 2\n")
    grown = grow_branches(root / "frozen", file, data, out)["grown"]
    assert [*grown] == ["control", "narrow"]
    held = json.loads((out / "branches.json").read_bytes())["branches"]
    assert {"narrow", "web"} <= held.keys() and held["narrow"]["overrides"] == {"decay": {"steps": 3}, "window": 2}
    file.write_text("[all]\ndecay = { steps = 3 }\n[branches.narrow]\nwindow = 3\n")
    with pytest.raises(UsageError, match=r"has other branches .*window was 2 and is now 3"):
        grow_branches(root / "frozen", file, data, out)


def test_a_merge_is_the_average_of_what_the_trunk_kept(root: Path) -> None:
    name = "model.blocks.2.attention.wq"
    kept = [read_checkpoint(root / f"run/checkpoints/step-0000000{step}").tensors[name] for step in (3, 5, 7)]
    trunk = read_checkpoint(root / "frozen")
    mean = torch.stack([*kept, trunk.tensors[name]]).double().mean(0).float()
    merged = latest(root / "out/mean")
    assert torch.allclose(merged.tensors[name], mean, rtol=0, atol=1e-8)
    assert (merged.step, merged.header["state"]["tokens"]) == (9, 9 * 128)
    for moment in ("optimizer.exp_avg.blocks.2.attention.wq", "token_counts"):
        assert torch.equal(merged.tensors[moment], trunk.tensors[moment])
    declared = json.loads((root / "out/mean/branch.json").read_bytes())["overrides"]["merge"]
    assert [*declared["checkpoints"].values()] == [0.25] * 4 and trunk.sha256 in declared["checkpoints"]


def test_weights_of_a_merge_are_those_of_the_decay() -> None:
    """The i-th update counts as much as the decay's rate there (WSM, theorem 3.1)."""
    linear = merge_weights(MergeConfig("decay", type="linear"), [10, 20, 30, 40])
    assert linear == pytest.approx([0.25] * 4) == merge_weights(MergeConfig(), [10, 20, 30, 40])
    root = merge_weights(MergeConfig("decay", min_lr_factor=0.1), [10, 20, 30, 40])
    counted = [sum(root[i:]) for i in range(4)]
    assert counted == pytest.approx([1.0, *(0.1 + 0.9 * (1 - (i / 4) ** 0.5) for i in (1, 2, 3))], abs=1e-6)
    uneven = merge_weights(MergeConfig("decay", type="linear"), [10, 20, 40])
    assert uneven == pytest.approx([10 / 45, 20 / 45, 15 / 45], abs=1e-6)


def test_the_comparison(root: Path, other_data: Path, tmp_path: Path) -> None:
    answer = json.loads((root / "out/branch-comparison.json").read_bytes())
    assert set(answer["ranking"]) == {"control", *answer["branches"]}
    bits = {name: row["bits_per_byte"] for name, row in (answer["branches"] | {"control": answer["control"]}).items()}
    assert answer["ranking"] == sorted(bits, key=lambda name: (bits[name], name))
    for name, row in answer["branches"].items():
        assert row["difference"] == pytest.approx(bits[name] - bits["control"], abs=1e-12)
        assert row["low"] <= row["difference"] <= row["high"]
        beyond = abs(row["difference"]) - answer["noise_of_seeds"]
        assert (row["more_held_out_tokens"] == 0) == (row["verdict"] != "undecided")
        assert (row["more_held_out_tokens"] is None) == (beyond <= 0)
    web, again, seed = (answer["branches"][name] for name in ("web", "web-again", "seed"))
    assert {**web, "by_group": 0} == {**again, "by_group": 0} and web["by_group"].keys() >= {"iq", "eq", "code"}
    assert answer["noise_of_seeds"] == pytest.approx(abs(seed["difference"])) and seed["verdict"] == "undecided"
    cost = answer["cost"]
    # Six methods trained 3 steps each from a trunk of 9: (9 + 6 x 3) / 12 runs in place of 6.
    assert (cost["runs"], cost["runs_without_trunk"]) == (27 / 12, 6)
    assert cost["tokens"] == 27 * 128 and cost["tokens_without_trunk"] == 6 * 12 * 128
    assert cost["branch_flops"]["deeper"] > cost["branch_flops"]["control"] > cost["branch_flops"]["mean"] == 0


def test_a_second_mark_of_the_trunk(root: Path, data: Path, other_data: Path, tmp_path: Path) -> None:
    out = shutil.copytree(root / "out", tmp_path / "first")
    mark = root / "run/checkpoints/step-00000005"
    (tmp_path / "b.toml").write_text("[all]\ndecay = { steps = 3 }\n[branches.web]\nmixture = { web = 1.0 }\n")
    grow_branches(mark, tmp_path / "b.toml", data, tmp_path / "second")
    second = compare_branches(out, other_data, tmp_path / "second")["second"]
    assert second["step"] == 5 and set(second["ranking"]) == {"control", "web"} == set(second["bits_per_byte"])
    assert second["spearman"] in (1.0, -1.0) and second["best_agrees"] == (second["spearman"] == 1.0)
    assert len(second["flipped_pairs"]) == (second["spearman"] == -1.0)
    assert [*second["verdicts"]] == ["web"]


def test_a_flipped_byte_in_the_trunk_or_in_what_is_merged_is_refused(root: Path, data: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "run", tmp_path / "run")
    kept = tmp_path / "run/checkpoints/step-00000005"
    flip(kept / "part-00000.bin", 0.01)
    (tmp_path / "b.toml").write_text('run = "run"\n[branches.mean]\nmerge = "mean"\n')
    copy = shutil.copytree(root / "frozen", tmp_path / "frozen")
    for path in (copy, *copy.iterdir()):
        path.chmod(0o755)
    with pytest.raises(UsageError, match=r"step-00000005/part-00000\.bin was changed"):
        grow_branches(copy, tmp_path / "b.toml", data, tmp_path / "out")
    flip(copy / "part-00000.bin", 0.5)
    with pytest.raises(UsageError, match=r"frozen/part-00000\.bin was changed"):
        grow_branches(copy, tmp_path / "b.toml", data, tmp_path / "other")


def test_another_number_of_ranks_goes_on(root: Path, data: Path, tmp_path: Path) -> None:
    """The branches of a file on two ranks, one of which grows; the same documents, and nearly the same weights."""
    merged = f"run = '{root / 'run'}'\n[branches.mean]\nmerge = 'mean'\n"
    text = merged + "[branches.deep]\nadd = { layers = [6, 7] }\n[branches.experts]\nadd = { experts = 2 }\n"
    (tmp_path / "b.toml").write_text(text)
    on_ranks(2, grow_branches, root / "frozen", tmp_path / "b.toml", data, tmp_path / "two")
    grow_branches(root / "frozen", tmp_path / "b.toml", data, tmp_path / "one")
    assert latest(tmp_path / "one/mean").sha256 == latest(tmp_path / "two/mean").sha256
    for name in ("control", "deep", "experts"):
        one, two = latest(tmp_path / "one" / name), latest(tmp_path / "two" / name)
        assert one.header["state"]["cursor"] == two.header["state"]["cursor"]
        for tensor in ("model.blocks.1.ffn.experts.w_out", "model.head"):
            assert torch.allclose(one.tensors[tensor], two.tensors[tensor], rtol=0, atol=1e-4), (name, tensor)


WRONG = [
    ("", "has no branches: add a table"),
    ("[branch.a]\nwindow = 2", "has 'branch'; a file of branches has run, all, branches"),
    ("[branches.control]\nwindow = 2", "'control' is always made"),
    ("[branches.'a/b']\nwindow = 2", "branch 'a/b': a name has letters"),
    ("[branches.a]\nmixture = { webb = 1.0 }", "branch 'a': data.mixture from step 9: .* no source 'webb'"),
    ("[branches.a]\nmixture = { web = -1.0 }", "branch 'a': .* it must be 0 or more"),
    ("[branches]\na = 2", "branch 'a' must be a table"),
    ("[branches.a]\ndepth = 2", "branch 'a': a branch cannot override 'depth'"),
    ("[branches.a]\ndecay = { steps = 2 }", "trains 256 tokens, control 384: give it decay.steps"),
    ("[branches.a]\nsequence_length = 64", "trains 768 tokens, control 384"),
    ("[branches.a]\nmerge = 'mean'", "name it, run = "),
    ("run = 'nowhere'\n[branches.a]\nmerge = 'mean'", "kept 1 checkpoints .* needs 2: train it with"),
    ("run = 'run'\n[branches.a]\nmerge = 'median'", "merge.method is 'median'"),
    ("run = 'run'\n[branches.a]\nmerge = { last = 1 }", "last must be 2 or more"),
    ("run = 'run'\n[branches.a]\nmerge = 'mean'\nwindow = 2", "so it overrides nothing else"),
    ("run = 'run'\n[branches.a]\nmerge = { last = 9 }", "kept 4 checkpoints .* needs 9"),
    ("run = 'out/late'\n[branches.a]\nmerge = 'mean'", "is not the run that the trunk"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), WRONG, ids=[told for _, told in WRONG])
def test_what_is_no_file_of_branches_is_told_before_anything_is_made(
    root: Path, data: Path, tmp_path: Path, text: str, told: str
) -> None:
    file = root / "wrong.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=told) as error:
        grow_branches(root / "frozen", file, data, tmp_path / "out")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_a_trunk_is_found_by_its_hash(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    sha256 = read_checkpoint(root / "frozen").sha256
    assert find_trunk(Path(sha256[:12])) == Path("frozen") == find_trunk(Path(sha256))
    assert find_trunk(root / "run") == root / "run"
    with pytest.raises(UsageError, match="no checkpoint in this folder"):
        find_trunk(Path("0123456789abcdef"))


def test_a_folder_that_is_not_of_branches_or_not_done_is_told(root: Path, other_data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no branches.json: give the --out"):
        compare_branches(root / "run", other_data)
    out = shutil.copytree(root / "out", tmp_path / "out")
    shutil.rmtree(out / "late/checkpoints")
    with pytest.raises(UsageError, match=r"'late' in .* has no checkpoint"):
        compare_branches(out, other_data)
    shutil.copytree(out / "mean/checkpoints", out / "late/checkpoints")
    with pytest.raises(UsageError, match=r"'late' in .* has trained 0 of 384 tokens"):
        compare_branches(out, other_data)


@pytest.mark.long
def test_side_by_side_on_ray_is_one_after_another(root: Path, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "b.toml"
    file.write_text(f"run = '{root / 'run'}'\n[branches.narrow]\nwindow = 2\n[branches.mean]\nmerge = 'mean'\n")
    words = ("branch", "--trunk", root / "frozen", "--config", file, "--data", data, "--engine", "ray", "--workers", 2)
    answer = json.loads(refinery_process(*words, "--out", tmp_path / "ray", "--json"))
    grow_branches(root / "frozen", file, data, tmp_path / "one")
    for name in ("control", "narrow", "mean"):
        assert answer["grown"][name]["sha256"] == latest(tmp_path / "one" / name).sha256
    file.write_text("[branches.narrow]\nwindow = 3\n")
    told = refinery_process(*words, "--out", tmp_path / "ray", code=2)
    assert "has other branches" in told
