"""Which texts are identified in lower case."""

import pytest

from pipeline.models.capitals import without_capitals

LONG = "The buyer shall inspect the goods on arrival and give notice of any defect. "


@pytest.mark.parametrize(
    "text",
    [
        LONG.upper(), LONG.upper() * 40, "УТРЕ ЩЕ БЪДЕ СЛЪНЧЕВО И ТОПЛО", "ÇOK GÜZEL BİR GÜN", "ΑΥΡΙΟ ΘΑ ΕΧΕΙ ΛΙΑΚΑΔΑ",
        "ZÍTRA BUDE SLUNEČNO", "TITLE IN CAPITALS and little else", "STRAẞE UND GRÜẞE", "A B C D 1 2 3",
        "ՎԱՂԸ ԱՐԵՎՈՏ Է",
        LONG.upper() * 60 + LONG,
    ],
)  # fmt: skip
def test_mostly_capitals(text: str) -> None:
    assert without_capitals(text) == text.lower().replace("i\u0307", "i")


@pytest.mark.parametrize(
    "text",
    [
        LONG, LONG * 40, LONG.title(), "今天 GDP 增长很快，人民生活水平提高了，经济发展很好，大家都很高兴。", "",
        "1234 5678",
        "iPhone and NASA are names", "مرحبا بكم في الموقع", "A word", LONG * 60 + LONG.upper() * 20,
    ],
)  # fmt: skip
def test_text_as_it_is(text: str) -> None:
    assert without_capitals(text) == text
