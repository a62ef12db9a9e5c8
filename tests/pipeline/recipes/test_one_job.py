"""The recipes for one job: each does it and nothing else, on every kind of input, with the models that it needs."""

import re
import shutil
from functools import partial
from pathlib import Path

import pytest

from infra.dataset.reader import Dataset
from infra.errors import UsageError
from pipeline.recipes.parse import load_recipe
from pipeline.recipes.shipped import plain_names, plain_toml
from pipeline.stages.run import Run
from tests.files import ROOT, write_rows
from tests.pipeline.command import answer, refinery
from tests.pipeline.here import explained, run_here
from tests.pipeline.pages import write_warc
from tests.pipeline.published_pages import ENGLISH, GERMAN, Writer, article

TEXTS = {
    "http://a.example/1": article(1, 40),
    "http://a.example/copy": article(1, 40),
    "http://a.example/nearly": article(1, 40) + "\nOne more line of the same.",
    "http://bad.example/2": article(2, 40),
    "http://b.example/german": Writer(3, GERMAN).text(40),
    "http://b.example/short": " ".join(ENGLISH[:20]) + ".",
}
URLS = list(TEXTS)
LID, LISTS = "lid.176.ftz", "url-lists"
# recipe: (its models, what it drops of TEXTS)
JOBS: dict[str, tuple[set[str], set[str]]] = {
    "extract": (set(), set()),
    "exact": (set(), {"http://a.example/copy"}),
    "minhash": (set(), {"http://a.example/copy", "http://a.example/nearly"}),
    "substring": (set(), {"http://a.example/copy"}),
    "url-only": ({LISTS}, {"http://bad.example/2"}),
    "language": ({LID}, set()),
    "language:en": ({LID}, {"http://b.example/german"}),
    "language:de,fr": ({LID}, set(URLS) - {"http://b.example/german"}),
    "english": (
        {LID},
        {"http://a.example/copy", "http://a.example/nearly", "http://b.example/german", "http://b.example/short"},
    ),
}
KINDS = ("warc", "parquet", "jsonl", "jsonl.gz", "dataset")


def given(kind: str, folder: Path) -> Path:
    if kind == "warc":
        return write_warc(folder / "given.warc.gz", [(url, page(text)) for url, text in TEXTS.items()])
    if kind == "dataset":
        return run_here(Path("extract"), given("jsonl", folder), folder / "before").folder
    rows = [{"id": str(number), "url": url, "text": text} for number, (url, text) in enumerate(TEXTS.items())]
    return write_rows(folder / f"given.{kind}", rows)


def page(text: str) -> str:
    paragraphs = "".join(f"<p>{line}</p>" for line in text.split("\n"))
    return f"<html><head><title>A page</title></head><body><main>{paragraphs}</main></body></html>"


def models_of(name: str, every: Path, folder: Path) -> Path:
    """A model folder with the models that the recipe is said to need, and no others."""
    folder.mkdir()
    for model in JOBS[name][0]:
        (folder / model).symlink_to(every / model)
    return folder


def urls(run: Run) -> list[str]:
    return [str(url) for url in run.last.to_arrow(["url"])["url"].to_pylist()]


def with_one_copy(run: Run, kept: list[str]) -> list[str]:
    """`kept` as if the copy of a span that stays were the first page's: where it is that of the longer page, the
    shorter ones have no text left."""
    shared = article(1, 40).split("\n")[0]
    texts = run.last.to_arrow(["text"])["text"].to_pylist()
    assert sum(shared in text for text in texts) == 1 and sum("One more line" in text for text in texts) == 1
    return kept if "http://a.example/1" in kept else ["http://a.example/1", *kept]


@pytest.mark.parametrize("name", JOBS)
def test_it_asks_for_the_models_of_its_job(name: str) -> None:
    assert set(load_recipe(name).model_names()) == JOBS[name][0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", JOBS)
def test_it_does_its_job_and_nothing_else(name: str, kind: str, published_models: Path, tmp_path: Path) -> None:
    models = models_of(name, published_models, tmp_path / "models")
    run = run_here(Path(name), given(kind, tmp_path), tmp_path / "out", models)
    # which of several copies stays is decided by a hash of their content
    copies = {"http://a.example/copy", "http://a.example/nearly"} & JOBS[name][1]
    kept = ["http://a.example/1" if url in copies else url for url in urls(run)]
    if name == "substring":
        kept = with_one_copy(run, kept)
    assert kept == [url for url in URLS if url not in JOBS[name][1]]
    assert run.summary()["not_done"] == (
        [] if kind == "warc" else [{"stage": load_recipe(name).stages[1].name, "steps": ["extract"],
                                    "what": "extraction: the text is taken as it is"}]
    )  # fmt: skip


def test_every_document_gets_its_language(published_models: Path, tmp_path: Path) -> None:
    run = run_here(Path("language"), given("jsonl", tmp_path), tmp_path / "out", published_models)
    rows = run.last.to_arrow(["url", "language", "language_score"]).to_pylist()
    assert {row["url"]: row["language"] for row in rows} == {url: "de" if "german" in url else "en" for url in URLS}
    assert all(row["language_score"] > 0 for row in rows)


def test_addresses_are_judged_before_their_bodies_are_read(published_models: Path, tmp_path: Path) -> None:
    run = run_here(Path("url-only"), given("warc", tmp_path), tmp_path / "out", published_models)
    assert [row["step"] for row in run.summary()["funnel"]] == ["pages", "url", "extract"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("language:german", "german is de: say language:de,fr"),
        ("language:", "'' is no language code"),
        ("klingon", "no recipe 'klingon': choose one of arabic, "),
    ],
)
def test_an_unknown_language_is_refused(name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load_recipe(name)


def test_one_recipe_for_a_language_whatever_the_order() -> None:
    assert load_recipe("language:fr,de").source == load_recipe("language:de,fr,de").source


@pytest.mark.parametrize(("name", "code"), plain_names().items())
def test_a_plain_recipe_has_the_numbers_of_its_language(name: str, code: str) -> None:
    """Those of FineWeb2 are in its own recipe too, for ten languages."""
    rules = {
        (each.rule.signal, each.rule.bound): each.rule.threshold
        for step in load_recipe(name).stages[2].steps
        for each in step.rules
    }
    published = {
        (each.rule.signal, each.rule.bound): each.rule.threshold
        for step in load_recipe("fineweb2").stages[4].steps
        for each in step.rules
        if each.languages == (code,) and not each.rule.signal.startswith("fineweb")
    }
    if alphabetic := published.pop(("gopher_alphabetic_word_fraction", "min"), None):
        assert rules["gopher_alphabetic_word_fraction", "min"] == min(alphabetic, 0.8)
    assert published.items() <= rules.items()
    assert bool(published) == (code in {"zh", "de", "fr", "es", "ru", "ja", "pt", "it", "nl", "pl"})


@pytest.mark.parametrize("page", ["README.md", "docs/recipes.md"])
def test_the_docs_have_every_recipe(page: str) -> None:
    words = set(re.findall(r"[a-z0-9-]+", (ROOT / page).read_text()))
    assert set(plain_names()) | {name for name in JOBS if ":" not in name} <= words
    for name in re.findall(r"--recipe ([a-z0-9:,-]+)(?![a-z.])", (ROOT / page).read_text()):
        load_recipe(name)


def test_a_new_recipe_is_the_shipped_one_in_a_file(tmp_path: Path) -> None:
    new = partial(refinery, "recipes", "new", "--language")
    assert "recipe 'mine'" in new("de", "--out", tmp_path / "in" / "mine.toml")
    assert "recipe 'my-german'" in new("German", "--out", tmp_path / "german.toml")
    for path in (tmp_path / "in" / "mine.toml", tmp_path / "german.toml"):
        assert load_recipe(str(path)).source["stage"] == load_recipe("german").source["stage"]
    assert "exists: choose another --out" in new("de", "--out", tmp_path / "german.toml", code=2)
    assert "ends in .toml" in new("de", "--out", tmp_path / "german", code=2)
    assert "there is one for ar (arabic), de (german)" in new("xx", "--out", tmp_path / "x.toml", code=2)
    assert load_recipe(str(tmp_path / "german.toml")).name == "my-german" and not (tmp_path / "x.toml").exists()


def test_any_file_name_gives_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / 'a "b" $c.toml'
    refinery("recipes", "new", "--language", "de", "--out", path)
    assert load_recipe(str(path)).name == path.stem and max(map(len, plain_toml("de").splitlines())) <= 120
    shutil.copy(path, tmp_path / "copy.toml")
    assert load_recipe(str(tmp_path / "copy.toml")).sha256 == load_recipe("german").sha256


def test_a_list_of_addresses_without_texts(published_models: Path, tmp_path: Path) -> None:
    """In any form, beside documents with texts, through run, explain and readmit."""
    addresses = [{"url": url, "rank": number} for number, url in enumerate(URLS)]
    write_rows(tmp_path / "in" / "a.jsonl", addresses[:3])
    write_rows(tmp_path / "in" / "b.parquet", addresses[3:5])
    (tmp_path / "in" / "c.txt").write_text(URLS[5] + "\nhttp://x.example/casino\n\n")
    write_rows(tmp_path / "in" / "d.jsonl", [{"text": "no address"}])
    given = sorted((tmp_path / "in").iterdir())
    words = ("--recipe", "url-only", "--models", published_models)
    assert answer("run", *words, "--input", *given, "--out", tmp_path / "out")["counts"]["in"] == 8
    last = Dataset(tmp_path / "out" / "02-url")
    rows = last.to_arrow(["url", "text", "rank"]).to_pylist()
    assert [row["url"] for row in rows] == [*URLS[:3], URLS[4], URLS[5], None]
    assert [row["rank"] for row in rows] == [0, 1, 2, 4, None, None] and rows[-1]["text"] == "no address"
    assert [row["url"] for row in last.ledger().to_pylist()] == [URLS[3], "http://x.example/casino"]
    one = explained("http://x.example/casino", tmp_path / "out", models=published_models)
    assert one["rejected_by"] == ["url/max_url_hard_words"]
    again = answer("readmit", "--ledger", tmp_path / "out", *words, "--out", tmp_path / "again")
    assert (again["in"], again["readmitted"], again["rejected"]) == (2, 0, 2)
    with pytest.raises(UsageError, match="is a list of addresses"):
        run_here(Path("exact"), tmp_path / "in" / "c.txt", tmp_path / "never")
    with pytest.raises(UsageError, match="has no column `text`"):
        run_here(Path("exact"), tmp_path / "in" / "b.parquet", tmp_path / "never")
