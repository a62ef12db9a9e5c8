"""What a draw says of itself: of today's manifests, and of those of earlier versions."""

from typing import Any

from mixers.told import COLUMNS, draw_lines, target_rows

GROUP: dict[str, Any] = {
    "source": "web", "domain": "code", "documents": 4, "tokens": 100, "drawn": 2, "drawn_tokens": 150,
}  # fmt: skip


def test_an_earlier_manifest_is_told() -> None:
    mixture = {
        "groups": [GROUP], "binding": ["max_share code = 0.5"], "missed": {"EQ": [0.4, 0.25]},
        "shares": {"axis": {"IQ": 1.0}}, "config": {"targets": {"IQ": 0.6, "EQ": 0.4}},
    }  # fmt: skip
    size, *lines = draw_lines(mixture)
    assert size.startswith(
        "150 tokens with repeats (counted by a fixed pattern, no tokenizer), of 100 in the pool; 2 of 4"
    )
    assert lines == ["target of EQ missed: 40.0% asked for, 25.0% possible", "limited by max_share code = 0.5"]
    row = {"of": "axis", "what": "IQ", "asked": "60.0%", "share of tokens": "100.0%", "of the pool drawn": ""}
    assert target_rows(mixture) == [row]


def test_misses_and_languages() -> None:
    target = {"asked": 0.3, "planned": 0.3, "drawn": 0.31, "limited_by": []}
    mixture = {
        "groups": [GROUP], "targets": {"zh": target, "IQ": target | {"drawn": 0.301}},
        "languages": {
            "en": {"tokens": 200, "kept_tokens": 100, "drawn_tokens": 100},
            "zh": {"tokens": 50, "kept_tokens": 50, "drawn_tokens": 45},
        },
        "config": {"language_targets": {"zh": 0.3}},
    }  # fmt: skip
    assert draw_lines(mixture)[1:] == [
        "target of zh missed: 30.0% asked for, 31.0% drawn; limited by whole documents: the pool has few in it"
    ]
    rows = [[row[name] for name in COLUMNS[1:]] for row in target_rows(mixture)]
    assert rows == [["zh", "30.0%", "31.0%", "100.0%"], ["en", "", "69.0%", "50.0%"]]


def test_a_size_that_whole_documents_miss_is_told() -> None:
    lines = [draw_lines({"groups": [GROUP], "config": {"tokens": tokens}})[1:] for tokens in (200, 151, "max")]
    assert lines == [
        ["size missed: 200 tokens asked for, 150 drawn; limited by whole documents: the pool has few in it"], [], [],
    ]  # fmt: skip


def test_floors_and_caps_that_whole_documents_break_are_told() -> None:
    groups = [
        {"source": source, "language": "en", "domain": domain, "drawn_tokens": tokens, "tokens": tokens}
        for source, domain, tokens in (("a", "science", 60), ("b", "literature", 40))
    ]
    config = {
        "min_source_share": {"a": 0.6, "b": 0.45}, "max_share": {"science": 0.5, "EQ": 0.401}, "tokens": 100,
        "min_language_share": {"en": 1.0, "zh": 0.05},
    }  # fmt: skip
    why = "limited by whole documents: the pool has few in it"
    assert draw_lines({"groups": groups, "config": config})[1:] == [
        f"floor of b missed: 45.0% asked for, 40.0% drawn; {why}",
        f"floor of zh missed: 5.0% asked for, 0.0% drawn; {why}",
        f"cap of science missed: 50.0% asked for, 60.0% drawn; {why}",
    ]
