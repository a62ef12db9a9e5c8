"""`audit`: what the record proves is what the batches had."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from infra.errors import UsageError
from infra.hashing import readable_json, sha256_json
from tests.trainer.data.made import Made, write_made
from trainer.data.audit import audit
from trainer.data.cursor import START, Cursor
from trainer.data.loader import Loader
from trainer.data.mixture import MixtureSchedule, MixtureStage, mixture_json
from trainer.data.parts import present_part
from trainer.data.tokens import TokenDataset

L, BATCH = 9, 4
WEB = [Made(f"w{i}", "web", 2 + i % 9, 1 + i % 2) for i in range(30)]
BOOKS = [Made(f"b{i}", "books", 12, 2) for i in range(6)]
REST = [Made(f"x{i}", "rest", 5, i % 2) for i in range(8)]


class Run:
    """Steps of a run over several parts, with what every step had, and the record that a checkpoint holds."""

    def __init__(self) -> None:
        self.cursor, self.step = START, 0
        self.history: list[dict[str, Any]] = []
        self.had: list[tuple[int, str]] = []  # (step, document) of each token
        self.state: dict[str, Any] = {}

    def train(self, folder: Path, rows: list[Made], seed: int, steps: int, *mixture: MixtureStage) -> None:
        dataset = TokenDataset(folder)
        loader = Loader(dataset, seed, L, MixtureSchedule(mixture, dataset.documents, BATCH, self.step))
        if self.state:
            data, section = self.state["data"]["manifest_sha256"], self.state["config"]["data"]
            self.history.append(present_part(self.history, data, section, self.step, self.cursor).as_dict())
        for _ in range(steps):
            batch, self.cursor = loader.batch(self.cursor, BATCH)
            self.step += 1
            self.had += [(self.step, rows[row].id) for row in batch.documents.ravel().tolist()]
        section = {"seed": seed, "sequence_length": L, "global_batch_size": BATCH, "mixture": mixture_json(mixture)}
        self.state = {
            "data": {"manifest_sha256": dataset.ref.manifest_sha256}, "config": {"data": section},
            "history": self.history, "step": self.step, "cursor": self.cursor.as_dict(),
        }  # fmt: skip

    def write(self, folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        header = json.loads(json.dumps({"state": self.state}))
        (folder / "checkpoint.json").write_bytes(readable_json(header | {"sha256": sha256_json(header)}))
        return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path, list[Path]]:
    """Three parts: a change of weights within the first, then another dataset, then another seed."""
    root = tmp_path_factory.mktemp("audit")
    first, second = WEB + BOOKS + REST, BOOKS + WEB
    data = [write_made(root / "first", first), write_made(root / "second", second, 3)]
    made = Run()
    made.train(data[0], first, 1, 9, MixtureStage(4, {"web": 2, "books": 1}))
    made.train(data[1], second, 1, 3)
    made.train(data[1], second, 2, 11, MixtureStage(17, {"books": 1}))
    return made, made.write(root / "run"), data


def test_the_whole_run(run: tuple[Run, Path, list[Path]]) -> None:
    made, folder, data = run
    answer = audit(folder, data=data)
    assert answer["faults"] == []
    assert [(part["first_step"], part["last_step"], part["seed"]) for part in answer["parts"]] == [
        (1, 9, 1), (10, 12, 1), (13, 23, 2),
    ]  # fmt: skip
    tokens = Counter(name[0] for _, name in made.had)
    assert {source["name"]: source["trained"] for source in answer["sources"]} == {
        "web": tokens["w"], "books": tokens["b"], "rest": tokens["x"],
    }  # fmt: skip
    for source in answer["sources"]:
        assert sum(source["seen"].values()) == source["documents"]
        whole = source["trained"] // source["tokens"]
        assert [epoch["epoch"] for epoch in source["epochs"]] == list(range(len(source["epochs"])))
        assert all(epoch["tokens"] == source["tokens"] for epoch in source["epochs"][:whole])
    books = next(source for source in answer["sources"] if source["name"] == "books")
    assert books["trained"] > 2 * books["tokens"]


@pytest.mark.parametrize("name", ["w0", "w7", "w13", "b0", "b5", "x0", "x1", "https://example.org/w21"])
def test_a_page_was_trained_on_in_the_steps_that_had_it(run: tuple[Run, Path, list[Path]], name: str) -> None:
    made, folder, data = run
    answer = audit(folder, name, data)
    had = Counter(step for step, document in made.had if document == name.rpartition("/")[2])
    found: Counter[int] = Counter()
    for each in answer["exposures"]:
        if each["first_step"] == each["last_step"]:
            found[each["first_step"]] += each["tokens"]
        else:
            assert had[each["first_step"]] and had[each["last_step"]]
    assert sum(each["tokens"] for each in answer["exposures"]) == sum(had.values())
    assert all(had[step] >= count for step, count in found.items())
    assert {step for each in answer["exposures"] for step in (each["first_step"], each["last_step"])} <= set(had)
    documents = {each["data"]: each for each in answer["documents"]}
    assert len(documents) == (1 if name.startswith("x") else 2)
    times = sum(each["times"] for each in documents.values())
    assert times == pytest.approx(sum(had.values()) / next(iter(documents.values()))["tokens"])


def test_a_page_that_no_dataset_has(run: tuple[Run, Path, list[Path]]) -> None:
    with pytest.raises(UsageError, match="'w99': it was not trained on"):
        audit(run[1], "w99", run[2])


def test_other_names_are_no_proof(run: tuple[Run, Path, list[Path]], tmp_path: Path) -> None:
    """That a page was not trained on would follow from a file without it."""
    folders = [shutil.copytree(folder, tmp_path / folder.name) for folder in run[2]]
    names = folders[0] / "documents.parquet"
    pq.write_table(pq.read_table(names).slice(1), names)
    with pytest.raises(UsageError, match=r"documents\.parquet is not the file that the manifest names"):
        audit(run[1], "w1", folders)


def changed(made: Run, **values: Any) -> Run:
    other = Run()
    other.state = json.loads(json.dumps(made.state)) | values
    return other


def test_a_record_that_does_not_hold(run: tuple[Run, Path, list[Path]], tmp_path: Path) -> None:
    """A documents' position that was moved back, steps that are not those of the sequences, parts that do not meet."""
    made, _, data = run
    back = json.loads(json.dumps(made.state["cursor"]))
    next(iter(back["sources"].values()))["tokens"] -= 3
    faults = audit(changed(made, cursor=back).write(tmp_path / "a"), data=data)["faults"]
    assert len(faults) == 1 and "is not where its sequences end" in faults[0]
    faults = audit(changed(made, step=25).write(tmp_path / "b"), data=data)["faults"]
    assert faults == ["steps 13 to 25: 44 sequences are not these steps of 4"]
    history = [dict(part) for part in json.loads(json.dumps(made.history))]
    history[1]["first_cursor"] = START.as_dict()
    faults = audit(changed(made, history=history).write(tmp_path / "c"), data=data)["faults"]
    assert "the part after step 9 does not begin where the one before it ended" in faults


def test_documents_that_were_used_again_are_found(run: tuple[Run, Path, list[Path]], tmp_path: Path) -> None:
    """A run that began its source anew in the middle of an epoch, as runs did before cursors were kept by source."""
    _, _, data = run
    rows, made = WEB + BOOKS + REST, Run()
    made.train(data[0], rows, 1, 3)
    made.cursor = Cursor(made.cursor.sequences, {})
    made.train(data[0], rows, 1, 3)
    faults = audit(made.write(tmp_path / "run"), data=data)["faults"]
    assert any("were seen more often than their repeats" in fault for fault in faults)


def test_datasets_are_asked_for_and_changes_refused(run: tuple[Run, Path, list[Path]], tmp_path: Path) -> None:
    made, folder, data = run
    with pytest.raises(UsageError, match=r"give --data: steps 10 to 12 .* sha256 [0-9a-f]{64}"):
        audit(folder, data=data[:1])
    with pytest.raises(UsageError, match=r"is not a checkpoint \(it has no checkpoint.json\)"):
        audit(tmp_path)
    path = made.write(tmp_path / "run") / "checkpoint.json"
    path.write_text(path.read_text().replace('"step": 23', '"step": 24'))
    with pytest.raises(UsageError, match="was changed after it was written"):
        audit(path.parent, data=data)
