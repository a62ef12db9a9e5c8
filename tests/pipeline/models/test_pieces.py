"""Pieces word by word: those that SentencePiece finds in the whole line, whatever the line is."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import UsageError
from pipeline.fit.sentencepiece_bpe import train_bpe
from pipeline.models import pieces
from pipeline.models.pieces import load_sentencepiece, load_speller, protobuf_fields

LINES = [
    "the fox walks over the wall , and the dog sleeps",
    "she sells sea shells",
    "狐狸 跑 了 。 天 气 很 好",
    "fox-walks 0.00",
]
WORDS = [
    "the",
    "fox",
    "walks",
    "狐狸跑了",
    "q",
    "\u2581",
    "a\u2581",
    "",
    "zz" * 20,
    "é",
    "\u00a0",
    "the\u3000fox",
    "<s>",
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pieces")
    for name, options in {
        "bpe": {"normalization_rule_name": "identity"},
        "bytes": {"normalization_rule_name": "identity", "byte_fallback": True, "vocab_size": 360},
        "unigram": {"model_type": "unigram", "normalization_rule_name": "identity", "vocab_size": 43},
        "nfkc": {"normalization_rule_name": "nfkc"},
        "across": {"normalization_rule_name": "identity", "split_by_whitespace": False},
    }.items():
        (folder / name).write_bytes(train_bpe(LINES * 20, **{"vocab_size": 90, **options}))
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["bpe", "bytes", "unigram", "nfkc", "across"])
@given(
    lines=st.lists(st.lists(st.sampled_from(WORDS) | st.text("the foxwalk狐", max_size=9)).map(" ".join), max_size=4)
)
def test_the_pieces_of_words_are_those_of_their_line(models: dict[str, Path], name: str, lines: list[str]) -> None:
    model = load_sentencepiece(models[name])
    spelled = load_speller(models[name])(lines)
    assert [line.split(" ")[:-1] for line in spelled] == [model.encode(line, out_type=str) for line in lines]


def test_only_where_no_piece_goes_over_a_space_and_nothing_is_normalized(models: dict[str, Path]) -> None:
    by_word = {name: hasattr(load_speller(path), "__self__") for name, path in models.items()}
    assert by_word == {"bpe": True, "bytes": True, "unigram": False, "nfkc": False, "across": False}


def test_a_field_of_another_type_is_passed_over_and_parts_of_one_are_joined(
    models: dict[str, Path], tmp_path: Path
) -> None:
    by_word = {}
    for name, more in {
        "bpe": b"\x10\x05\x18\x05",  # integers where the trainer's and the normalizer's messages are
        "nfkc": b"\x1a\x02\x18\x01",  # a second part of the normalizer's message, without its character map
    }.items():
        (tmp_path / name).write_bytes(models[name].read_bytes() + more)
        speller, model = load_speller(tmp_path / name), load_sentencepiece(tmp_path / name)
        by_word[name] = hasattr(speller, "__self__")
        assert speller(["ﬁve fox"]) == [" ".join(model.encode("ﬁve fox", out_type=str)) + " "]
    assert by_word == {"bpe": True, "nfkc": False}


def test_a_piece_that_is_no_text_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(models["bpe"].read_bytes() + b"\x0a\x08\x0a\x01\xff\x15\0\0\0\0")
    with pytest.raises(UsageError, match="is not a SentencePiece model"):
        load_speller(tmp_path / "broken")


def test_no_more_is_remembered_than_allowed(models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "REMEMBERED", 10)
    speller = load_speller(models["bpe"])
    words = [f"fox{number}" for number in range(30)]
    known = speller.__self__._known  # type: ignore[attr-defined]
    assert [speller([word, "x" * 99]) for word in words] == [speller([word, "x" * 99]) for word in words]
    assert len(speller.__self__._known) <= 10 and "x" * 99 not in known  # type: ignore[attr-defined]


def test_fields_of_a_message() -> None:
    message = b"\x08\x96\x01\x12\x02hi\x1d\x01\x02\x03\x04\x21abcdefgh"
    assert [*protobuf_fields(message)] == [(1, 150), (2, b"hi"), (3, b"\x01\x02\x03\x04"), (4, b"abcdefgh")]
    for cut in (b"\x08", b"\x12\x03hi", b"\x1d\x01", b"\x0b", b"\x08" + b"\xff" * 12):
        with pytest.raises(ValueError, match="cut"):
            list(protobuf_fields(cut))
