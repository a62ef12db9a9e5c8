"""A fingerprint changes with the code that a task reaches, and with no other."""

import ast
import functools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from dedup.keep import KeepOne
from dedup.tables import DECISIONS
from infra.code_version import PACKAGES, Code, Name, names_in, project
from infra.dataset.reader import Dataset, SideBySide
from infra.engines.job import PartJob
from infra.engines.shuffle import Gathered, ReduceTask, Spread, by_partition
from infra.engines.spill import Spilled, SpillJob
from pipeline.stages.dedup_work import Reduce
from pipeline.stages.extract import ExtractTask
from pipeline.stages.filter import FilterTask
from pipeline.stages.ingest import IngestTask
from pipeline.stages.tokenize import TokenizeTask
from tests.files import checkout
from tests.pipeline.here import run_here
from tests.pipeline.pages import write_crawl, write_recipe

ROOT = project().root
REDUCTION = (PartJob, Gathered, Spilled, Spread)
WORK = {
    "ingest": names_in([PartJob, IngestTask]),
    "extract": names_in([PartJob, ExtractTask]),
    "filter": names_in([PartJob, FilterTask]),
    "copies": names_in([*REDUCTION, ReduceTask(Reduce(KeepOne("first"), DECISIONS), 0, "key")]),
    "tokens": names_in([PartJob, TokenizeTask]),
}


def versions(code: Code) -> dict[str, str]:
    return {name: code.version(names) for name, names in WORK.items()}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages elsewhere, which changes no version."""
    folder = checkout(tmp_path_factory.mktemp("code"))
    assert versions(Code(folder)) == versions(project())
    return folder


@pytest.mark.parametrize(
    ("changed", "voided"),
    [
        ("infra/dataset/writer.py", set(WORK)),
        ("infra/engines/shuffle.py", {"copies"}),
        ("infra/engines/ray.py", set()),
        ("filters/gopher.py", {"extract", "filter"}),
        ("dedup/keep.py", {"copies"}),
        ("mixers/tokenizer.py", {"tokens"}),
        ("pipeline/warc/warc.py", {"ingest", "extract"}),
        ("pipeline/extract/extractors/strip_tags.py", {"extract"}),
        ("pipeline/extract/block_model.toml", {"extract"}),
        ("pipeline/recipes/yi.toml", set()),
        ("pipeline/cli/app.py", set()),
        ("trainer/model.py", set()),
    ],
)
def test_a_change_voids_the_receipts_of_what_reaches_it(changed: str, voided: set[str], copy: Path) -> None:
    path = copy / changed
    text = path.read_text()
    path.write_text(text + "# one more line\n")
    after = versions(Code(copy))
    path.write_text(text)
    assert {name for name, before in versions(project()).items() if after[name] != before} == voided


TREE = {
    "pipeline/__init__.py": "",
    "pipeline/steps/__init__.py": "from pipeline.steps.handed import handed_on\n",
    "pipeline/steps/handed.py": "def handed_on(): ...\n",
    "pipeline/steps/used.py": "from pipeline.steps.unused import nothing\nLIMIT = 3\ndef other(): nothing()\n",
    "pipeline/steps/unused.py": "def nothing(): ...\n",
    "pipeline/steps/table.txt": "a\n",
    "pipeline/steps/deep/rows.json": "[]\n",
}


@pytest.mark.parametrize(
    ("text", "reached"),
    [
        ("def work(): ...", ""),
        ("from pipeline.steps.used import LIMIT\ndef work(): return LIMIT", "used.py"),
        ("from pipeline.steps.used import LIMIT as MOST\ndef work(): return helper()\ndef helper(): MOST", "used.py"),
        ("from pipeline.steps.used import other\ndef work(): return other()", "unused.py used.py"),
        ("from pipeline.steps.used import other\ndef work(): ...\ndef unused(): other()", ""),
        ("from pipeline.steps import used\ndef work(): return used.LIMIT", "used.py"),
        ("from pipeline.steps import used\ndef work(): return getattr(used, 'LIMIT')", "unused.py used.py"),
        ("import pipeline.steps.used as steps\ndef work(): return steps.other()", "unused.py used.py"),
        ("import pipeline.steps.used\ndef work(): return pipeline.steps.used.LIMIT", "unused.py used.py"),
        ("from .used import LIMIT\ndef work(): return LIMIT", "used.py"),
        ("from . import used\ndef work(): return used.LIMIT", "used.py"),
        ("def work():\n    from pipeline.steps.unused import nothing\n    nothing()", "unused.py"),
        ("from pipeline.steps import handed_on\ndef work(): handed_on()", "handed.py"),
        ("from pipeline.steps.unused import nothing\nTABLE = {1: nothing}\ndef work(): return TABLE[1]", "unused.py"),
        ("from pipeline.steps.unused import nothing\nTABLE = {}\nTABLE[1] = nothing\ndef work(): ...", "unused.py"),
        ("from pipeline.steps.unused import nothing\nfor i in 1, 2:\n    nothing()\ndef work(): ...", "unused.py"),
        ("try:\n    from .unused import nothing as work\nexcept ImportError:\n    work = None", "unused.py"),
        ("from pipeline.steps.unused import nothing\n@nothing\nclass work: ...", "unused.py"),
        ("from pipeline.steps.unused import nothing\nclass work:\n    def do(self): nothing()", "unused.py"),
        ("from .unused import nothing\nA = 1\ndef f():\n    global A\n    A = nothing\ndef work(): A", "unused.py"),
        ("def work(): return 'pipeline.steps.used:other'", "unused.py used.py"),
        ("def work(): return 'pipeline.steps.used:LIMIT'", "used.py"),
        ("def work(): return 'pipeline.steps.used.LIMIT'", "used.py"),
        ("def work(): return 'see pipeline.steps.used:other'", ""),
        ("def work(): return 'pipeline.steps'", "deep/rows.json table.txt"),
        ("import json\ndef work(): return json.loads('pipeline.json')", ""),
    ],
)
def test_names_are_followed(text: str, reached: str, tmp_path: Path) -> None:
    for name, content in (TREE | {"pipeline/steps/work.py": text}).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    steps = tmp_path / "pipeline" / "steps"
    found = [path.relative_to(steps).as_posix() for path in Code(tmp_path).files([Name("pipeline.steps.work", "work")])
             if steps in path.parents]  # fmt: skip
    assert sorted({*reached.split(), "__init__.py", "work.py"}) == sorted(found)


def test_objects_lead_to_the_code_that_they_hold() -> None:
    reader, dataset = "infra.dataset.reader", Dataset(Path("no-such-folder"))
    assert names_in([SideBySide((dataset,))]) == {Name(reader, "SideBySide"), Name(reader, "Dataset")}
    assert names_in([{"a": [dataset.places]}]) == {Name(reader, "Dataset")}
    partial = functools.partial(by_partition, key="key")
    assert names_in([(partial, 3, "pipeline.steps", Path)]) == {Name("infra.engines.shuffle", "by_partition")}
    assert names_in(["infra.storage"]) == {Name("infra.storage")}


def test_a_module_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no_such_module is not a module"):
        project().version(names_in(["infra.no_such_module"]))


def test_versions_are_kept_until_a_byte_of_the_source_changes(tmp_path: Path) -> None:
    for name, content in (TREE | {"pipeline/steps/work.py": "from .used import LIMIT\ndef work(): LIMIT\n"}).items():
        path = tmp_path / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    kept, names = tmp_path / "cache" / "versions.json", frozenset({Name("pipeline.steps.work", "work")})
    version = Code(tmp_path / "code").version(names)

    def of_next_process() -> tuple[str, bool]:
        """The version, and whether it was kept: then no file's names were followed."""
        code = Code(tmp_path / "code", kept)
        return code.version(names), not code._modules

    assert [of_next_process(), of_next_process()] == [(version, False), (version, True)]
    for broken in (b"", b"[]", b'{"source": 1}', kept.read_bytes()[:-9]):
        kept.write_bytes(broken)
        assert [of_next_process(), of_next_process()] == [(version, False), (version, True)]
    path.write_text(path.read_text() + "# one more line\n")
    (changed, known), again = of_next_process(), of_next_process()
    assert changed != version and not known and again == (changed, True)
    assert changed == Code(tmp_path / "code").version(names)
    kept.unlink()
    kept.mkdir()  # where no file can be kept
    assert [of_next_process(), of_next_process()] == [(changed, False)] * 2


# Where a name or path is put together at run time: the trainer's shipped configurations are read as files, the child of
# the sandbox is sent a target and an extractor's module that its parent imports, and this machinery finds the root.
PUT_TOGETHER = {
    "infra/code_version.py: __file__",
    "trainer/export/export.py: __file__",
    "infra/sandbox/child.py: import_module",
    "pipeline/extract/child.py: import_module",
    "trainer/start.py: files",
}


def test_no_code_finds_modules_or_data_by_names_put_together() -> None:
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    found = {f"{path.relative_to(ROOT)}: {what}" for path in sources for what in put_together(path)}
    assert found == PUT_TOGETHER


def put_together(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        match node:
            case ast.Name(id="__file__" | "__package__" | "__spec__" | "__path__" | "__import__" as name):
                yield name
            case ast.ImportFrom(names=[ast.alias(name="*")]) | ast.Attribute(attr="__subclasses__"):
                yield "what is found is not named"
            case ast.Call(func=ast.Attribute(attr="import_module" | "files" as name), args=[ast.Constant(str(text))]):
                if "." not in text:
                    yield name
            case ast.Call(func=ast.Attribute(ast.Name("importlib" | "resources"), "import_module" | "files" as name)):
                yield name


def test_all_code_that_runs_for_a_partition_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uncounted: set[tuple[str, str]] = set()
    tasks = set()

    def watch(kind: type[PartJob] | type[SpillJob], method: str, parts_of: Any) -> None:
        run = getattr(kind, method)

        def watched(job: Any, *live: Any) -> Any:
            task, things = parts_of(job)
            tasks.add(type(task).__name__)
            counted = {str(path) for path in project().files(names_in(things))}
            files: set[str] = set()

            def note(frame: FrameType, event: str, _: object) -> None:
                if event == "call":
                    files.add(frame.f_code.co_filename)

            sys.setprofile(note)
            try:
                return run(job, *live)
            finally:
                sys.setprofile(None)
                uncounted.update((type(task).__name__, file) for file in ours(files) if file not in counted)

        monkeypatch.setattr(kind, method, watched)

    watch(PartJob, "make", lambda job: (job.task, [*REDUCTION, job.task, job.parts]))
    watch(SpillJob, "run", lambda job: (job, [SpillJob, job.spread]))
    write_crawl(tmp_path / "crawl", files=2, each=15)
    run_here(write_recipe(tmp_path), tmp_path / "crawl", tmp_path / "out")
    assert uncounted == set()
    assert {"IngestTask", "ExtractTask", "FilterTask", "TableTask", "ReduceTask", "SpillJob", "ApplyCuts"} <= tasks


def ours(files: Iterable[str]) -> list[str]:
    folders = tuple(f"{ROOT / package}/" for package in PACKAGES)
    return [file for file in files if file.startswith(folders)]
