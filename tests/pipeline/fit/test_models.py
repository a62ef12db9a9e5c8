"""`refinery fit`: input formats, independence of the order of input, and accuracy of the models."""

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.bag_of_words import quality_words
from infra.errors import UsageError
from mixers.domains import DOMAINS
from mixers.tokenizer import Tokenizer
from pipeline.fit.domains import fit_domains
from pipeline.fit.perplexity import fit_perplexity
from pipeline.fit.quality import fit_quality
from pipeline.fit.seeds import _conversations as conversations
from pipeline.fit.seeds import lead_domain
from pipeline.fit.texts import Sample, auc, read_samples, split
from pipeline.fit.tokenizer import fit_tokenizer
from pipeline.models.domains import load_domains
from pipeline.models.perplexity import load_perplexity
from pipeline.models.quality import load_quality
from tests.files import write_rows
from tests.pipeline.fits import sha256_of

TOPICS = {
    "mathematics": ["theorem", "proof", "number", "set", "integral", "function", "continuous", "lemma", "space"],
    "arts": ["painting", "music", "opera", "colour", "stage", "dancer", "melody", "gallery", "sculpture"],
    "science": ["cell", "energy", "planet", "atom", "protein", "reaction", "species", "gravity", "light"],
}


def sentence(draw: random.Random, words: list[str], length: int) -> str:
    return " ".join(draw.choice([*words, "the", "of", "and", "is"]) for _ in range(length))


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, draw = tmp_path_factory.mktemp("texts"), random.Random(3)
    files = {}
    for domain, words in TOPICS.items():
        rows = [
            {
                "text": sentence(draw, words, draw.randint(20, 90)),
                "url": f"http://h{i % 40}.example/{i}",
                "domain": domain,
            }
            for i in range(200)
        ]
        files[domain] = write_rows(folder / f"{domain}.jsonl.gz", rows)
    return files


def test_reading_formats_and_order(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("plain text\n")
    rows = [{"text": "from json", "url": "http://www.a.example/x", "domain": "arts"}, {"text": " "}, {"no": "text"}]
    write_rows(tmp_path / "a.jsonl.gz", rows)
    table = pa.table({"text": ["from parquet", "from json"], "source": ["books", "zzz"]})
    pq.write_table(table, tmp_path / "c.parquet")
    expected = [
        Sample("from json", "a.example", "arts"),
        Sample("from parquet", "books"),
        Sample("plain text\n", "b.txt"),
    ]
    assert read_samples([tmp_path]) == expected
    assert read_samples([tmp_path / "c.parquet", tmp_path / "a.jsonl.gz", tmp_path / "b.txt"]) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"{", "JSON"),
        ("a.parquet", b"x", "Parquet"),
        ("a.doc", b"x", "is no"),
        ("a.jsonl", b"\n", "no text"),
    ],
)
def test_unreadable_texts(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_samples([tmp_path / name])
    with pytest.raises(UsageError, match="does not exist"):
        read_samples([tmp_path / "absent"])


def test_split_keeps_groups_together() -> None:
    samples = [Sample(f"text {i}", f"host {i % 50}") for i in range(500)]
    training, held_out = split(samples)
    assert held_out and len(training) + len(held_out) == 500
    assert not {sample.group for sample in training} & {sample.group for sample in held_out}


def test_auc() -> None:
    assert auc([3, 4], [1, 2]) == 1
    assert auc([1], [1]) == 0.5
    assert auc([1, 3], [2]) == 0.5
    assert auc([], [1]) == 0.5


def test_quality_separates_its_sides_but_not_their_length(texts: dict[str, Path], tmp_path: Path) -> None:
    positive, negative = [texts["mathematics"], texts["science"]], [texts["arts"]]
    card = fit_quality(positive, negative, tmp_path / "a.bin")
    fit_quality(positive[::-1], negative, tmp_path / "b.bin")
    assert sha256_of("a.bin", tmp_path) == sha256_of("b.bin", tmp_path)
    assert (tmp_path / "a.bin").stat().st_size < 2_000_000
    assert card["held_out"]["auc"] > 0.95
    assert abs(card["held_out"]["auc_of_length_alone"] - 0.5) < 0.1
    assert json.loads((tmp_path / "a.bin.card.json").read_bytes()) == card
    score = load_quality(tmp_path / "a.bin")
    assert score("the theorem and the proof of gravity") > 0.5 > score("the opera and the melody of the dancer")


def test_quality_depends_on_words_only() -> None:
    assert quality_words("• Item | 42\n\nNext_one – Ünï!") == "item 00 next one ünï"


def test_quality_needs_text_on_both_sides(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("too short")
    with pytest.raises(UsageError, match="too little text"):
        fit_quality([tmp_path / "a.txt"], [tmp_path / "a.txt"], tmp_path / "q.bin")


def test_domains(texts: dict[str, Path], tmp_path: Path) -> None:
    card = fit_domains([str(path) for path in texts.values()], tmp_path / "a")
    fit_domains([f"{domain}={path}" for domain, path in reversed(texts.items())], tmp_path / "b")
    assert sha256_of("a", tmp_path) == sha256_of("b", tmp_path)
    assert card["held_out"]["accuracy"] > 0.9
    domain, probabilities = load_domains(tmp_path / "a")("the integral of a continuous function is a number")
    assert domain == "mathematics"
    assert list(probabilities) == list(DOMAINS)
    assert sum(probabilities.values()) == pytest.approx(1, abs=0.001)


def test_domains_must_be_known(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("some text")
    with pytest.raises(UsageError, match="give DOMAIN=PATH"):
        fit_domains([str(tmp_path / "a.txt")], tmp_path / "d")
    with pytest.raises(UsageError, match="two domains"):
        fit_domains([f"arts={tmp_path / 'a.txt'}"], tmp_path / "d")


def test_perplexity(texts: dict[str, Path], tmp_path: Path) -> None:
    card = fit_perplexity([texts["mathematics"], texts["arts"]], tmp_path / "a", vocab_size=100)
    fit_perplexity([texts["arts"], texts["mathematics"]], tmp_path / "b", vocab_size=100)
    assert sha256_of("a", tmp_path) == sha256_of("b", tmp_path)
    assert card["held_out"]["median_perplexity"] < 20
    perplexity = load_perplexity(tmp_path / "a")
    assert perplexity("the theorem of the space") < perplexity("gravity reaction xylophone")


def test_too_large_a_vocabulary(texts: dict[str, Path], tmp_path: Path) -> None:
    for fit in (fit_perplexity, fit_tokenizer):
        with pytest.raises(UsageError, match="a vocabulary of 60000 cannot be fitted"):
            fit([texts["arts"]], tmp_path / "m", 60_000)


def test_tokenizer_is_lossless_and_the_same_twice(texts: dict[str, Path], tmp_path: Path) -> None:
    card = fit_tokenizer(list(texts.values()), tmp_path / "a.model", 400)
    fit_tokenizer(list(texts.values())[::-1], tmp_path / "b.model", 400)
    assert sha256_of("a.model", tmp_path) == sha256_of("b.model", tmp_path)
    tokenizer = Tokenizer(tmp_path / "a.model")
    assert tokenizer.vocab_size == 400
    text = "  the theorem\n\tof 2024 \u4e2d"
    assert tokenizer.decode(tokenizer.encode_batch([text])[0]) == text
    assert card["held_out"]["bytes_per_token"] > 3


@pytest.mark.parametrize(
    ("title", "topic", "description", "domain"),
    [
        ("Jane Eyre", "Arts", "1847 novel by Charlotte Brontë", "literature"),
        ("Guernica", "Arts", "1937 painting by Pablo Picasso", "arts"),
        ("Euler", "People", "Swiss mathematician and physicist", "mathematics"),
        ("Paris", "Geography", "Capital of France, known for its art", "general"),
        ("Shame", "Society and social sciences", "Unpleasant emotion", "emotion"),
        ("Fascism", "Society and social sciences", "Far-right, authoritarian ideology", "society"),
        ("Compiler", "Technology", "Computer program", "code"),
        ("Fire", "a topic of another list", "Rapid oxidation", "general"),
    ],
)
def test_domain_of_an_article(title: str, topic: str, description: str, domain: str) -> None:
    assert lead_domain(title, topic, description) == domain


def test_conversations() -> None:
    corpus = (
        "categories:\n- x\nconversations:\n- - Hello\n  - 'It''s folded\n    here'\n- - \"Say \\\"hi\\\"\"\n"
        "  - |\n    def f():\n        return 1\n"
    )
    assert list(conversations(corpus)) == [["Hello", "It's folded here"], ['Say "hi"', "def f():\n    return 1"]]
