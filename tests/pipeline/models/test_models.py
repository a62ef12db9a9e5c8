"""The model folder, hashes of models, and loaders that refuse what is no model instead of crashing on it."""

import os
from pathlib import Path

import pytest

from filters.url import url_signals
from infra.errors import UsageError
from infra.hashing import sha256_file
from pipeline.document import Document
from pipeline.fit.fasttext_file import train_fasttext
from pipeline.fit.perplexity import perplexity_from
from pipeline.fit.texts import Sample
from pipeline.fit.url_lists import hash_hosts
from pipeline.models.domains import load_domains
from pipeline.models.fasttext import one_line
from pipeline.models.language import load_language
from pipeline.models.loaded import Models
from pipeline.models.perplexity import MAX_PERPLEXITY, load_perplexity
from pipeline.models.quality import load_quality
from pipeline.models.store import DEFAULT_MODELS, cache_folder, model_folder, resolve, shipped_models
from pipeline.models.url_lists import HASHED_DOMAINS, load_url_lists

SENTENCES = [
    f"the {colour} {animal} {action} over the {place} ."
    for colour in ("red", "blue", "old", "small")
    for animal in ("fox", "dog", "horse", "bird")
    for action in ("jumps", "walks", "looks")
    for place in ("river", "hill", "wall")
]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "quality.bin"
    good = [("good", f"evidence shows that {word} explains the result") for word in "abcdefgh"] * 20
    other = [("other", f"click here to buy {word} now cheap") for word in "abcdefgh"] * 20
    train_fasttext([pair for pairs in zip(good, other) for pair in pairs], path, dim=4, epoch=10)
    return path


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "perplexity"
    perplexity_from([Sample(text, text) for text in SENTENCES], path, 80, {}, "")
    return path


def test_which_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFINERY_MODELS", "/a")
    monkeypatch.setenv("REFINERY_CACHE", "/b")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert model_folder("/d") == Path("/d")
    assert (model_folder(None), cache_folder(None)) == (Path("/a"), Path("/b"))
    monkeypatch.delenv("REFINERY_MODELS")
    assert model_folder(None) == Path("/c/refinery/models")


@pytest.mark.parametrize("name", DEFAULT_MODELS)
def test_missing_default_names_the_command(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        resolve([name], tmp_path)
    assert str(caught.value) == (
        f"model {name!r} is not in {tmp_path}: run `refinery fit defaults --models {tmp_path} --only {name}`"
    )


def test_missing_defaults_are_made_by_one_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"model 'lid.176.ftz' .* --only lid.176.ftz url-lists`"):
        resolve(["url-lists", "my.bin", "lid.176.ftz"], tmp_path)


def test_models_of_an_earlier_version_are_made_with_missing_ones(tmp_path: Path) -> None:
    for name in ("quality-en.json", "quality-zh.json"):
        (tmp_path / name).write_text("of before")
    (tmp_path / "quality-en.json.card.json").write_text('{"made_by": "an earlier version"}')
    (tmp_path / "quality-zh.json.card.json").write_text("{}")  # of one's own
    (tmp_path / "hate-en.tsv").write_bytes(shipped_models()["hate-en.tsv"].read_bytes())
    (tmp_path / "hate-en.tsv.card.json").write_text('{"made_by": "an earlier version"}')
    with pytest.raises(UsageError, match=r"model 'grade-en.tsv' .* --only grade-en.tsv quality-en.json`"):
        resolve(["quality-en.json", "quality-zh.json", "hate-en.tsv", "grade-en.tsv"], tmp_path)


def test_missing_own_model_names_the_verbs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"with --out .*mine .`refinery fit --help`"):
        resolve(["mine"], tmp_path)


def test_hash_of_a_file_is_remembered_and_follows_its_bytes(tmp_path: Path) -> None:
    model = tmp_path / "m.bin"
    model.write_bytes(b"one")
    assert resolve(["m.bin"], tmp_path)["m.bin"].sha256 == sha256_file(model)
    memory = tmp_path / ".m.bin.sha256"
    memory.write_text(memory.read_text().replace(sha256_file(model), "remembered"))
    assert resolve(["m.bin"], tmp_path)["m.bin"].sha256 == "remembered"
    model.write_bytes(b"two")
    os.utime(model, ns=(1, 1))
    assert resolve(["m.bin"], tmp_path)["m.bin"].sha256 == sha256_file(model)
    memory.write_bytes(b"{cut")
    assert resolve(["m.bin"], tmp_path)["m.bin"].sha256 == sha256_file(model)


def test_hash_of_a_folder_covers_every_part_but_cards(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "a").write_bytes(b"1")
    first = resolve(["m"], tmp_path)["m"].sha256
    (folder / "x.card.json").write_bytes(b"{}")
    (folder / ".hidden").write_bytes(b"")
    assert resolve(["m"], tmp_path)["m"].sha256 == first
    (folder / "a").rename(folder / "b")
    assert resolve(["m"], tmp_path)["m"].sha256 != first


def test_absolute_path_is_itself(tmp_path: Path) -> None:
    model = tmp_path / "elsewhere.bin"
    model.write_bytes(b"x")
    assert resolve([str(model)], tmp_path / "models")[str(model)].path == model


@pytest.mark.parametrize("cut", [0, 3, 8, 60, 100, 400, -9, -1])
def test_cut_fasttext_model_is_refused(classifier: Path, cut: int, tmp_path: Path) -> None:
    path = tmp_path / "cut.bin"
    path.write_bytes(classifier.read_bytes()[:cut])
    with pytest.raises(UsageError, match="not a whole fastText model"):
        load_language(path)


def test_foreign_and_padded_files_are_refused(classifier: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    for content in (b"PK\x03\x04" + bytes(500), classifier.read_bytes() + b"x", b"\\data\\\n" * 100):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="not a whole fastText model"):
            load_quality(path)


def test_scorer_by_label(classifier: Path) -> None:
    score = load_quality(classifier)
    good, other = score("Evidence shows\nthat A explains the result."), score("CLICK here | to buy • a now")
    assert 0 <= other < 0.5 < good <= 1
    assert load_quality(classifier, "other")("click here to buy a now") > 0.5
    with pytest.raises(UsageError, match="has the labels good, other, not hq"):
        load_quality(classifier, "hq")


def test_hostile_texts_have_a_score(classifier: Path, language_model: Path) -> None:
    for measure in (load_quality(classifier), load_perplexity(language_model)):
        for text in ("", "\n\0\n", "\ud800", "a" * 300_000, "<s> </s> <unk>", "\u2581\u2581", "\x1c\x85\u2028"):
            first = measure(text)
            assert first == measure(text)
            assert 0 <= first <= MAX_PERPLEXITY


def test_perplexity_is_ccnets_formula(language_model: Path) -> None:
    import kenlm
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(model_file=str(language_model / "sentencepiece.model"))
    model = kenlm.Model(str(language_model / "lm.arpa"))
    log10_p, length = 0.0, 0
    for line in ("the red fox jumps over the wall .", "a cafe in 0000"):
        words = pieces.encode(line, out_type=str)
        log10_p += model.score(" ".join(words))
        length += len(words) + 1
    perplexity = load_perplexity(language_model)
    assert perplexity("The red fox jumps over the wall .\n\nA café in 1987") == round(10 ** (-log10_p / length), 4)
    assert perplexity(SENTENCES[0]) < perplexity("zq xk vj qq") < perplexity("") == MAX_PERPLEXITY


def test_broken_perplexity_models_are_refused(language_model: Path, tmp_path: Path) -> None:
    pieces = (language_model / "sentencepiece.model").read_bytes()
    arpa = (language_model / "lm.arpa").read_bytes()
    cases = [(pieces[:50], arpa, "SentencePiece"), (pieces, arpa[:-200], "KenLM"), (pieces, b"", "KenLM")]
    for number, (sentencepiece, lm, message) in enumerate(cases):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "sentencepiece.model").write_bytes(sentencepiece)
        (folder / "lm.arpa").write_bytes(lm)
        with pytest.raises(UsageError, match=message):
            load_perplexity(folder)
    (folder / "lm.arpa").unlink()
    with pytest.raises(UsageError, match="holds neither"):
        load_perplexity(folder)


def test_hashed_domains_answer_like_listed_ones(tmp_path: Path) -> None:
    hosts = [f"host-{i}.example" for i in range(1000)]
    listed, hashed = tmp_path / "listed", tmp_path / "hashed"
    for folder in (listed, hashed):
        folder.mkdir()
    (listed / "domains.txt").write_text("# a comment\n" + "\n".join(hosts).upper() + "\n\n")
    (hashed / HASHED_DOMAINS).write_bytes(hash_hosts(["# a comment", "", *hosts, *hosts]))
    (hashed / "hard.txt").write_text("casino\n")
    one, other = load_url_lists(listed), load_url_lists(hashed)
    assert len(one.domains) == len(other.domains) == 1000
    for url in ("http://host-7.example/a", "http://www.HOST-999.example", "http://x.host-0.example/", "http://e.org/"):
        name = "url_blocked_domain"
        assert url_signals(url, one)[name] == url_signals(url, other)[name] == float("host" in url.lower())
    assert url_signals("http://e.org/casino", other)["url_hard_words"] == 1


def test_broken_url_lists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no URL list"):
        load_url_lists(tmp_path)
    (tmp_path / HASHED_DOMAINS).write_bytes(b"1234567")
    with pytest.raises(UsageError, match="no list of hashes"):
        load_url_lists(tmp_path)
    (tmp_path / "urls.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="UTF-8"):
        load_url_lists(tmp_path)


def test_domain_model_without_calibration_is_refused(classifier: Path, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(classifier.read_bytes())
    with pytest.raises(UsageError, match="no temperature"):
        load_domains(tmp_path)


def test_loaded_models_open_each_once(classifier: Path, language_model: Path) -> None:
    models = Models({"q": str(classifier), "p": str(language_model)})
    quality = models.scorer("quality", "q")
    assert quality is models.scorer("quality", "q")
    assert quality(Document("evidence shows that a explains the result"))["quality"] > 0.5
    assert models.scorer("perplexity", "p")(Document(SENTENCES[0]))["perplexity"] > 1
    assert models.language("q")("click here") != ("und", 0.0)


def test_one_line() -> None:
    assert one_line("a\r\n\0b\u2028\ud800c  d", 100) == "a b ?c d"
    assert one_line("abcdef", 3) == "abc"
