"""RedPajama's signals that need lists: from a folder through a label step to rules, datasets and `measure`."""

import json
import shutil
from itertools import chain, combinations
from pathlib import Path

import pytest

from filters.redpajama import LISTED
from filters.view import View
from infra.dataset.reader import Dataset
from infra.dataset.schema import signal_names
from pipeline.models.redpajama import FILES, combination_number, load_importance, load_redpajama
from pipeline.models.store import resolve
from tests.files import write_rows
from tests.pipeline.command import answer, refinery
from tests.pipeline.here import explained
from tests.pipeline.pages import sentences
from tests.pipeline.recipe_texts import judge, recipe, stage, step

NAME = "redpajama-lists"
LABEL = step("label", what="redpajama", model=NAME)
BAD, UT1, BOOKS = "rps_doc_ldnoobw_words", "rps_doc_ut1_blacklist", "rps_doc_books_importance"


def rows(folder: Path) -> dict[str, dict[str, float | None]]:
    return {row["id"]: row["signals"] for row in Dataset(folder).to_arrow().to_pylist()}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("redpajama")
    lists = folder / "models" / NAME
    for name, content in {
        "bad_words/en.txt": "darn\noh my word\n\n",
        "ut1/games/domains": "games.example\nboth.example\n",
        "ut1/adult/domains": "WWW.adult.example\nboth.example\nboth.example\n",
        "ut1/adult/urls": "adult.example/x\n",
    }.items():
        (lists / name).parent.mkdir(parents=True, exist_ok=True)
        (lists / name).write_text(content)
    (lists / "ut1" / "sex").symlink_to("adult")
    for name, word in (("books", "river"), ("web", "buy")):
        texts = [{"text": f"{word} " * (5 + number) + " ".join(sentences(0))} for number in range(40)]
        write_rows(folder / f"{name}.jsonl.gz", texts)
    table = lists / "importance" / "books.json"
    words = ("--positive", folder / "books.jsonl.gz", "--negative", folder / "web.jsonl.gz")
    card = answer("fit", "importance", *words, "--out", table)
    assert card["held_out"]["auc"] == 1 and json.loads((table.parent / "books.json.card.json").read_text()) == card
    documents = [
        {"id": "bad", "text": "Darn! Oh, my word. River, river.", "url": "http://games.example/1", "language": "en"},
        {"id": "french", "text": "Darn! Buy now, buy now.", "url": "http://www.adult.example/", "language": "fr"},
        {"id": "both", "text": "Nothing here.", "url": "http://both.example/", "language": "en"},
        {"id": "good", "text": "River, river.", "url": "http://other.example/", "language": "en"},
    ]
    write_rows(folder / "given.jsonl", documents)
    rules = judge("lists", {"signal": BAD, "max": 1}, {"signal": UT1, "max": 1}, {"signal": BOOKS, "min": 0})
    (folder / "rules.toml").write_text(recipe("rules", stage("label", "filter", LABEL), stage("keep", "filter", rules)))
    (folder / "label.toml").write_text(recipe("label", stage("label", "filter", LABEL)))
    words = ("--models", folder / "models", "--input", folder / "given.jsonl")
    refinery("run", "--recipe", folder / "rules.toml", *words, "--out", folder / "out")
    refinery("measure", "--recipe", folder / "label.toml", *words, "--out", folder / "measured")
    return folder


def test_measure_has_the_signals(world: Path) -> None:
    found = rows(world / "measured")
    assert {name: (values[BAD], values[UT1]) for name, values in found.items()} == {
        "bad": (2, 1),
        "french": (None, 0),
        "both": (0, 2),
        "good": (0, None),
    }
    assert found["bad"][BOOKS] > 0 > found["french"][BOOKS]  # type: ignore[operator]
    table = load_importance(world / "models" / NAME / "importance" / "books.json")
    for suffix, corrected in (("", False), ("_length_correction", True)):
        assert found["good"][BOOKS + suffix] == table.weight("River, river.", corrected)
    assert found["good"]["rps_doc_wikipedia_importance"] is None


def test_rules_of_a_later_stage_judge_by_them(world: Path) -> None:
    (last,) = world.glob("out/*-keep")
    ledger = {(row["id"], row["rule"]): row["value"] for row in Dataset(last).ledger().to_pylist()}
    assert {key: value for key, value in ledger.items() if BOOKS not in key[1]} == {
        ("bad", f"max_{BAD}"): 2,
        ("both", f"max_{UT1}"): 2,
    }
    assert ("french", f"min_{BOOKS}") in ledger
    (good,), measured = rows(last).values(), rows(world / "measured")["good"]
    assert {name: good[name] for name in LISTED} == {name: measured[name] for name in LISTED}


def test_explain_names_each(world: Path) -> None:
    steps = {one["signal"]: one for one in explained("bad", world / "out", models=world / "models")["steps"]}
    assert steps.keys() == LISTED.keys()
    assert steps[BAD]["value"] == 2 and steps[BAD]["rule"] == f"max_{BAD}"


def test_measure_asks_for_the_label_only_where_it_is_needed(world: Path, tmp_path: Path) -> None:
    words = ("measure", "--recipe", world / "label.toml", "--input", world / "given.jsonl", "--models")
    refinery(*words, world / "models", "--out", tmp_path / "one", "--signals", UT1)
    assert rows(tmp_path / "one")["bad"][UT1] == 1
    assert refinery(*words, world / "models", "--out", tmp_path / "two", "--signals", "words")
    assert BAD not in signal_names(Dataset(tmp_path / "two").schema)
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "other").write_text("")
    assert "holds none of bad_words/*.txt" in refinery(*words, tmp_path, "--out", tmp_path / "three", code=2)


def test_the_hash_covers_every_list_but_no_card(world: Path, tmp_path: Path) -> None:
    lists = shutil.copytree(world / "models" / NAME, tmp_path / NAME, symlinks=True)
    first = resolve([NAME], tmp_path)[NAME].sha256
    assert first == resolve([NAME], world / "models")[NAME].sha256
    (lists / "importance" / "books.json.card.json").unlink()
    assert resolve([NAME], tmp_path)[NAME].sha256 == first
    for name in ("bad_words/en.txt", "ut1/games/domains", "importance/books.json"):
        (lists / name).write_text((lists / name).read_text() + "\n")
        second = resolve([NAME], tmp_path)[NAME].sha256
        assert second != first
        first = second


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ({"bad_words/en.txt": b"\xff"}, "en.txt cannot be read as UTF-8"),
        ({"importance/books.json": b'{"log_ratio": [0.5'}, "run `refinery fit importance` again"),
        ({"importance/books.json": b'{"log_ratio": [], "target_length": 1, "source_length": 1}'}, "no table"),
        ({"importance/books.json": b'{"log_ratio": [1], "target_length": 0, "source_length": 1}'}, "no table"),
        ({"bad_words/en.txt": None}, f"'{BAD}' is measured with"),
        ({"ut1/games/domains": None, "ut1/adult/domains": None}, "put the list there"),
        ({"importance/books.json": None}, "which is not there: run `refinery fit importance`"),
    ],
)
def test_a_list_that_is_missing_or_damaged_is_one_line(
    damage: dict[str, bytes | None], says: str, world: Path, tmp_path: Path
) -> None:
    lists = shutil.copytree(world / "models" / NAME, tmp_path / NAME, symlinks=True)
    for name, content in damage.items():
        (lists / name).unlink() if content is None else (lists / name).write_bytes(content)
    words = ("--input", world / "given.jsonl", "--models", tmp_path, "--out", tmp_path / "out")
    told = refinery("run", "--recipe", world / "rules.toml", *words, code=2)
    assert says.replace("no table", "is not a table of importance") in told


def test_a_missing_folder_says_what_to_put_there(world: Path, tmp_path: Path) -> None:
    words = ("--input", world / "given.jsonl", "--models", tmp_path, "--out", tmp_path / "out")
    told = refinery("run", "--recipe", world / "rules.toml", *words, code=2)
    assert "put bad_words, ut1 or importance into a folder" in told


@pytest.mark.parametrize(
    ("out", "says"), [("wikipedia.bin", "wikipedia.json, books.json"), ("arxiv.json", "wikipedia.json, books.json")]
)
def test_a_table_that_no_signal_reads_is_not_fitted(out: str, says: str, world: Path, tmp_path: Path) -> None:
    given = world / "books.jsonl.gz"
    told = refinery("fit", "importance", "--positive", given, "--negative", given, "--out", tmp_path / out, code=2)
    assert says in told and not any(tmp_path.iterdir())


def test_every_listed_signal_has_its_file() -> None:
    assert FILES.keys() == LISTED.keys()


def test_sets_of_categories_are_numbered_as_redpajama_numbers_them() -> None:
    every = chain.from_iterable(combinations(range(6), size) for size in range(1, 7))
    assert [combination_number(list(members), 6) for members in every] == list(range(2**6 - 1))


def test_hostile_addresses_and_texts_are_measured(world: Path) -> None:
    measured = load_redpajama(world / "models" / NAME)
    for text in ("", "\ud800", "\0" * 9, "x" * 100_000):
        assert measured(View(text, url=f"http://\ud800{text[:9]}.example/", language="en")).keys() == LISTED.keys()
