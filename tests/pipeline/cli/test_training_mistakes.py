"""What a user gives wrongly to the trainer's commands is told in one line that says how to mend it, and leaves nothing
behind; and `audit` of a run that ended."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.command import answer, refinery
from tests.trainer.conftest import documents, train_tokenizer, write_config, write_tokens
from trainer.api import freeze, train


def damaged(folder: Path, name: str, change: Callable[[bytes], bytes | None]) -> None:
    """A copy of the frozen trunk, in which a file is changed, or gone."""
    copy = shutil.copytree(folder / "frozen", folder / f"{name}-copy")
    for path in (copy, *copy.iterdir()):
        path.chmod(0o755)
    path = copy / ("checkpoint.json" if name == "header" else "part-00000.bin")
    content = change(path.read_bytes())
    path.unlink() if content is None else path.write_bytes(content)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mistakes")
    tokenizer = train_tokenizer(documents(seed=9, count=80), 384)
    write_tokens(folder / "tokens", documents(count=20), tokenizer)
    write_tokens(folder / "other", documents(count=8), train_tokenizer(documents(seed=1, count=40), 300))
    write_tokens(folder / "empty", [], tokenizer)
    shutil.copytree(folder / "tokens", folder / "short")
    shard = folder / "short/part-00001.bin"
    shard.write_bytes(shard.read_bytes()[:-2])
    write_config(folder).rename(folder / "c.toml")
    text = (folder / "c.toml").read_text()
    changes = {
        "unknown": ("[model]", "[model]\ndepth = 3"),
        "section": ("[model]", "[modle]"),
        "k": ("full_k = 4", "full_k = 17"),
        "window": ("window = 4", "window = 0"),
        "broken": ("[model]", "[model"),
    }
    for name, (old, new) in changes.items():
        (folder / f"{name}.toml").write_text(text.replace(old, new))
    (folder / "narrow.toml").write_text("window = 0\n")
    (folder / "deep.toml").write_text("depth = 3\n")
    train(folder / "c.toml", folder / "tokens", folder / "run", 3)
    freeze(folder / "run", folder / "frozen")
    shutil.copytree(folder / "run", folder / "moved")
    info = json.loads((folder / "moved/run.json").read_bytes())
    (folder / "moved/run.json").write_text(json.dumps(info | {"data": str(folder / "gone")}))
    shutil.copytree(folder / "run", folder / "begun", ignore=shutil.ignore_patterns("step-*"))
    damaged(folder, "cut", lambda content: content[:-100])
    damaged(folder, "changed", lambda content: content[:999] + bytes([content[999] ^ 1]) + content[1000:])
    damaged(folder, "missing", lambda _: None)
    damaged(folder, "header", lambda content: content.replace(b'"step": 3', b'"step": 4'))
    (folder / "file").write_text("a file")
    return folder


CHECKPOINTS = [
    ("gone", "gone does not exist: give a frozen trunk, a run or a branch"),
    ("file", "file is not a checkpoint (it has no checkpoint.json); give a frozen trunk, a run or a branch"),
    ("begun", "begun is a run without a checkpoint: run the command that began it again"),
    ("cut-copy", "part-00000.bin was changed after it was written (its sha256 differs): take another copy"),
    ("changed-copy", "part-00000.bin was changed after it was written (its sha256 differs): take another copy"),
    ("missing-copy", "part-00000.bin is missing: the checkpoint is not whole; take another copy"),
    ("header-copy", "checkpoint.json was changed after it was written (its sha256 differs): take another copy"),
]
READERS = {
    "evaluate": "evaluate --checkpoint {given} --data tokens",
    "generate": "generate --checkpoint {given}",
    "calibrate-experts": "calibrate-experts --checkpoint {given} --data tokens --mean-k 2 --out new",
    "export-model": "export-model {given} --out new",
    "freeze": "freeze {given} --out new",
    "branch": "branch --trunk {given} --data tokens --out new",
    "audit": "audit {given}",
}
# `audit` reads no tensor, and `branch` the changed one after it has told the memory of a step.
WRONG_CHECKPOINTS = [
    (READERS[command].format(given=given), told)
    for command in READERS
    for given, told in CHECKPOINTS
    if not (command == "audit" and told.startswith("part-")) and (command, given) != ("branch", "changed-copy")
]

TRAIN = "train --data tokens --config c.toml --out new"
BRANCH = "branch --trunk frozen --data tokens --out new"
CALIBRATE = "calibrate-experts --checkpoint run --data tokens --mean-k 4"
WRONG = [
    ("train --data gone --config c.toml --out new", "gone is no dataset (it has no manifest.json): make one with"),
    ("train --data file --config c.toml --out new", "file is no dataset (it has no manifest.json): make one with"),
    ("train --data empty --config c.toml --out new", "has no documents"),
    ("train --data tokens --config gone.toml --out new", "give a .toml file, or one of base, small, tiny, yi-"),
    ("train --data tokens --config unknown.toml --out new", "has no field 'depth'; its fields are d_model, n_heads"),
    ("train --data tokens --config section.toml --out new", "has no field 'modle'; its fields are model, data,"),
    (
        "train --data tokens --config k.toml --out new",
        "full_k is 17; it must be from 1 to model.n_experts, which is 16",
    ),
    ("train --data tokens --config window.toml --out new", "model.window is 0; it must be at least 1"),
    ("train --data tokens --config broken.toml --out new", "broken.toml cannot be read as TOML: Expected ']'"),
    (f"{TRAIN} --steps 99", "the schedule in {root}/c.toml has steps 1 to 12"),
    (f"{TRAIN} --device cuda", "use --device cpu, or auto"),
    (f"{TRAIN} --device tpu", "use auto, cpu or cuda"),
    (f"{TRAIN} --engine beam", "it has local and ray"),
    (f"{TRAIN}/below --out file", "file cannot be made a folder: choose another --out"),
    (f"{TRAIN} --out file/below", "below cannot be made a folder: choose another --out"),
    (f"{TRAIN} --out tokens", "tokens already holds a dataset (manifest.json): choose another --out"),
    (f"{TRAIN} --out frozen", "frozen already holds a checkpoint (checkpoint.json): choose another --out"),
    (f"{TRAIN} --data other --out run", "was made with other arguments (data was"),
    (f"{TRAIN} --data other --out run", "with other data or settings, freeze it and make a branch"),
    ("freeze run --out tokens", "tokens exists and is no frozen checkpoint: choose another --out"),
    ("freeze run --out file/below", "below cannot be written: File exists; choose another --out"),
    ("evaluate --checkpoint run --data gone", "gone is no dataset (it has no manifest.json): make one with"),
    ("evaluate --checkpoint run --data other", "another tokenizer than the checkpoint: tokenize it with {root}/run/"),
    ("evaluate --checkpoint run --data empty", "has no documents"),
    ("evaluate --checkpoint run --data short", "the manifest says 1090: it is damaged; take another copy"),
    ("evaluate --checkpoint run --data tokens --k 17", "the model has 16 experts, so k may be 1 to 16"),
    ("evaluate --checkpoint run --data tokens --k 0", "the model has 16 experts, so k may be 1 to 16"),
    ("evaluate --checkpoint run --data tokens --policy half", "give fixed, top_p=P, min_p=P, table=K,K,…"),
    ("evaluate --checkpoint run --data tokens --policy c.toml", "is no JSON, and no policy: give fixed, top_p=P"),
    ("generate --checkpoint run --k 17", "the model has 16 experts, so k may be 1 to 16"),
    ("generate --checkpoint run --tokens 0", "'--tokens'"),
    (f"generate --checkpoint run --tokens {10**13}", "GiB are free: give fewer --tokens, or a smaller --batch-size"),
    ("generate --checkpoint run --temperature nan", "it must be at least 0"),
    ("generate --checkpoint run --dtype half", "use float32 or bfloat16"),
    ("generate --checkpoint run --dtype bfloat16", "use float32"),
    ("generate --checkpoint run --prompts gone.txt", "gone.txt cannot be read as lines of text"),
    (
        "branch --trunk run --data tokens --out new",
        "run is a run: freeze it (`refinery freeze {root}/run --out FROZEN`)",
    ),
    ("branch --trunk 0123456789 --data tokens --out new", "begins with 0123456789: give its folder"),
    ("branch --trunk frozen --out new", "give --data: the trunk was trained on the dataset whose manifest.json has"),
    (f"{BRANCH} --data gone", "gone is no dataset (it has no manifest.json): make one with"),
    (f"{BRANCH} --data other", "has another tokenizer than the trunk: tokenize it with the trunk's tokenizer.model"),
    (f"{BRANCH} --overrides deep.toml", "cannot override 'depth'; it may override add, data,"),
    (f"{BRANCH} --overrides narrow.toml", "model.window is 0; it must be at least 1"),
    (f"{BRANCH} --overrides gone.toml", "gone.toml does not exist: name a TOML file"),
    (f"{BRANCH} --steps 99", "its schedule ends at step 12; override decay.steps"),
    (f"{BRANCH} --steps 2", "its schedule ends at step 12; give --steps after the trunk's"),
    (f"{BRANCH} --out run", "run already holds another kind of run (training.json): choose another --out"),
    (f"{BRANCH} --out tokens", "tokens already holds a dataset (manifest.json): choose another --out"),
    (f"{CALIBRATE} --data other --out new", "another tokenizer than the checkpoint: tokenize it with {root}/run/"),
    (f"{CALIBRATE} --mean-k 99 --out new", "it may be 1 to 4 (see --k)"),
    (f"{CALIBRATE} --k 17 --out new", "the model has 16 experts, so k may be 1 to 16"),
    (f"{CALIBRATE} --policy fixed --out new", "choose one of top_p, min_p, table"),
    (f"{CALIBRATE} --out tokens", "tokens is a folder: give --out the name of the policy's file"),
    (f"{CALIBRATE} --out c.toml", "c.toml exists and is no policy: choose another --out, or delete it first"),
    (f"{CALIBRATE} --out file/below", "below cannot be written: File exists; choose another --out"),
    ("audit moved", "give --data: steps 1 to 3 were trained on the dataset whose manifest.json has sha256"),
    ("audit run --data other", "give --data: steps 1 to 3 were trained on the dataset whose manifest.json has sha256"),
    ("audit run https://example.org/none", "'https://example.org/none': it was not trained on"),
    ("export-model run --out tokens", "tokens exists already: choose another --out"),
    ("export-model run --out file/below", "below cannot be written: File exists; choose another --out"),
    ("export-model run --out new --k 17", "the model has 16 experts, so k may be 1 to 16"),
    ("export-model run --out new --policy top_p=2", "it must be over 0 and at most 1"),
    ("export-model run --out new --dtype half", "use float32 or bfloat16"),
]


@pytest.mark.parametrize(("line", "told"), [*WRONG_CHECKPOINTS, *WRONG])
def test_a_mistake_is_told_with_what_mends_it(root: Path, line: str, told: str) -> None:
    before = sorted(root.rglob("*"))
    printed = refinery(*(place(root, word) for word in line.split()), code=2)
    assert told.format(root=root) in printed
    assert sorted(root.rglob("*")) == before


def place(root: Path, word: str) -> str:
    """Words that name something in the folder, or would."""
    names = {"new", "gone", "gone.txt", "gone.toml"} | {path.name for path in root.iterdir()}
    return str(root / word) if word.split("/")[0] in names else word


def test_the_audit_of_a_run(root: Path) -> None:
    """That it ended, of all pages and of one; and that a record was changed is exit code 1 or 2."""
    found = answer("audit", root / "run")
    assert found["faults"] == [] and sum(source["trained"] for source in found["sources"]) == 3 * 4 * 32
    assert "no document was seen more often than its repeats" in refinery("audit", root / "run")
    page = answer("audit", root / "run", "https://example.org/5")
    (document,) = page["documents"]
    tokens = sum(each["tokens"] for each in page["exposures"])
    assert document["times"] == tokens / document["tokens"]
    assert all(1 <= each["first_step"] <= each["last_step"] <= 3 for each in page["exposures"])
