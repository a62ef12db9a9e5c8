"""Texts in capitals, which models were trained on few of."""

# The case of a text is told by so many of its characters. In one of fewer capitals than this share most letters have no
# case.
CASE_SAMPLE = 256
MIN_CAPITALS_SHARE = 0.1


def without_capitals(text: str) -> str:
    """The text in lower case if most of its letters that have a case are capitals; else as it is."""
    sample = text[:: max(1, len(text) // CASE_SAMPLE)]
    capitals = sum(map(str.isupper, sample))
    if capitals <= MIN_CAPITALS_SHARE * len(sample) or capitals <= sum(map(str.islower, sample)):
        return text
    return text.lower().replace("i\u0307", "i")  # İ
