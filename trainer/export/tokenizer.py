"""The SentencePiece model as `tokenizer.json`, which `tokenizers` and so `AutoTokenizer` read without SentencePiece.

SentencePiece's BPE joins the two neighbours whose joined piece has the best score; `tokenizers` joins the pair of the
first rule. So there is a rule for each way to make a piece of two others, in the order of the pieces' scores. One thing
is not kept: a U+2581 in a text, SentencePiece's sign for the space, is read as a space.
"""

from collections.abc import Iterator
from typing import Any

from infra.errors import UsageError

SPACE_SIGN = "\u2581"


def tokenizer_json(processor: Any, eod_id: int) -> dict[str, Any]:
    """`tokenizer.json` of a lossless BPE model (`mixers.tokenizer.TRAINING_OPTIONS`): ids as SentencePiece gives them,
    after the end-of-document token, which begins every text that the model has seen. UsageError for a model that is no
    BPE with byte fallback."""
    pieces = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
    if not all(processor.piece_to_id(f"<0x{byte:02X}>") != processor.unk_id() for byte in range(256)):
        raise UsageError("the checkpoint's tokenizer has no byte fallback, so it cannot be exported")
    eod = pieces[eod_id]
    special = [i for i in range(len(pieces)) if processor.is_control(i) or processor.is_unknown(i)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(i, pieces[i]) for i in special],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": SPACE_SIGN},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [_special(eod, 0), _sequence("A", 0)],
            "pair": [_special(eod, 0), _sequence("A", 0), _special(eod, 1), _sequence("B", 1)],
            "special_tokens": {eod: {"id": eod, "ids": [eod_id], "tokens": [eod]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE_SIGN}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": pieces[processor.unk_id()],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {piece: i for i, piece in enumerate(pieces)},
            "merges": list(_merges(processor, pieces)),
        },
    }


def tokenizer_config(processor: Any, eod_id: int) -> dict[str, Any]:
    """`tokenizer_config.json`. Names of special tokens in a text are text, as in training."""
    eod = processor.id_to_piece(eod_id)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": eod,
        "eos_token": eod,
        "pad_token": eod,
        "unk_token": processor.id_to_piece(processor.unk_id()),
        "padding_side": "left",
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }


def _merges(processor: Any, pieces: list[str]) -> Iterator[list[str]]:
    usual = [i for i in range(len(pieces)) if not _has_no_text(processor, i)]
    known = {pieces[i] for i in usual}
    # Equal scores keep the order of the ids.
    for i in sorted(usual, key=lambda i: -processor.get_score(i)):
        piece = pieces[i]
        for end in range(1, len(piece)):
            if piece[:end] in known and piece[end:] in known:
                yield [piece[:end], piece[end:]]


def _has_no_text(processor: Any, i: int) -> bool:
    return bool(processor.is_control(i) or processor.is_unknown(i) or processor.is_byte(i))


def _added(i: int, piece: str) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": i, "content": piece, **flags}


def _special(token: str, segment: int) -> dict[str, Any]:
    return {"SpecialToken": {"id": token, "type_id": segment}}


def _sequence(name: str, segment: int) -> dict[str, Any]:
    return {"Sequence": {"id": name, "type_id": segment}}
