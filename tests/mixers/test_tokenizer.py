"""No byte of a text is lost in the tokenizer, whatever the text; models that would lose some are refused."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import SentencePieceTrainer

from infra.errors import UsageError
from mixers import tokenizer
from mixers.tokenizer import TRAINING_OPTIONS, Tokenizer, utf8_bytes


def sentences() -> Iterator[str]:
    words = ["the", "proof", "of", "theorem", "def", "return", "river", "她", "说", "证明", "été", "über"]
    for i in range(400):
        yield " ".join(words[(i * k) % len(words)] for k in range(1, 9)) + f"\n    x = {i}\n\n"


def train(path: Path, **changed: Any) -> Path:
    model = io.BytesIO()
    options = {**TRAINING_OPTIONS, "vocab_size": 340, "num_threads": 1, "minloglevel": 2, **changed}
    SentencePieceTrainer.train(sentence_iterator=sentences(), model_writer=model, **options)
    path.write_bytes(model.getvalue())
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer(train(tmp_path_factory.mktemp("model") / "tiny.model"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\n\t  leading and trailing  \r\n",
        "▁ ▁▁ a▁b ▁",
        "<s></s><unk><0x41>",
        "NUL\x00 BOM\ufeff line\u2028 nbsp\u00a0 ideographic\u3000",
        "e\u0301 ﬁ ½ Ａ \u1100\u1161",
        "\U0001f642\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0010ffff",
        "她说：2024年。",
    ],
)
def test_round_trip_of_awkward_texts(model: Tokenizer, text: str) -> None:
    assert model.decode(model.encode_batch([text])[0]) == text


@settings(max_examples=50, deadline=None)
@given(text=st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from(" \n\t▁the证0")), max_size=60))
def test_round_trip_of_any_unicode(model: Tokenizer, text: str) -> None:
    assert model.decode(model.encode_batch([text])[0]) == text


def test_lone_surrogates_become_question_marks(model: Tokenizer) -> None:
    assert model.decode(model.encode_batch(["a\ud800b"])[0]) == "a?b"
    assert utf8_bytes(["a\ud800b", "é证", ""]).tolist() == [3, 5, 0]


def test_digits_are_split(model: Tokenizer) -> None:
    assert len(model.encode_batch(["123456"])[0]) == 6


def test_long_texts_are_encoded_in_pieces(model: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "the river▁\n证明" * 50
    monkeypatch.setattr(tokenizer, "MAX_PIECE_CHARS", 7)
    assert model.decode(model.encode_batch([text])[0]) == text


def test_documents_end_in_eod_which_no_text_contains(model: Tokenizer) -> None:
    encoded = model.encode_batch(["the proof", "", "</s>"])
    ended = model.end_documents(encoded)
    assert [tokens.tolist() for tokens in ended] == [[*tokens.tolist(), model.eod_id] for tokens in encoded]
    assert all(tokens.dtype == np.uint16 for tokens in (*encoded, *ended))
    assert not any(model.eod_id in tokens for tokens in encoded)
    assert model.decode(ended[0]) == "the proof"


def test_ids_outside_the_vocabulary_are_refused(model: Tokenizer) -> None:
    for token in (-1, model.vocab_size):
        with pytest.raises(ValueError, match="token ids"):
            model.decode([token])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"normalization_rule_name": "nmt_nfkc"}, "loses text"),
        ({"remove_extra_whitespaces": True}, "loses text"),
        ({"add_dummy_prefix": True}, "loses text"),
        ({"byte_fallback": False, "vocab_size": 90}, "byte fallback"),
        ({"eos_id": -1}, "end-of-sentence"),
    ],
)
def test_models_that_do_not_fit(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    path = train(tmp_path / "bad.model", **changed)
    with pytest.raises(UsageError, match=words):
        Tokenizer(path)


def test_no_model_or_another_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="refinery fit tokenizer"):
        Tokenizer(tmp_path / "none.model")
    (tmp_path / "junk.model").write_bytes(b"not a model")
    with pytest.raises(UsageError, match="not a SentencePiece model"):
        Tokenizer(tmp_path / "junk.model")
