"""One page, every outcome: text, or one rule that rejects it; hostile pages do not change the pages after them."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import UsageError
from pipeline.extract.caps import Caps
from pipeline.extract.extractors.table import EXTRACTORS
from pipeline.extract.limits import Limits
from pipeline.extract.page import Page, PageExtractor

SENTENCE = "Der Leuchtturmwärter stieg jeden Abend die Treppe hinauf, zündete die Lampe an und schrieb das Wetter auf. "
URL = "http://example.com/"
ORDINARY = (
    f"<!DOCTYPE html><html><head><title>Der Wärter</title></head><body><h1>Der Wärter</h1><p>{SENTENCE * 4}</p>"
    f"<p>{SENTENCE[::-1] * 2}</p></body></html>"
)


@pytest.fixture(scope="module")
def extractors() -> Iterator[dict[str, PageExtractor]]:
    made = {name: PageExtractor(name, caps=Caps(bytes=3_000_000)) for name in EXTRACTORS}
    yield made
    for extractor in made.values():
        extractor.close()


@pytest.mark.parametrize("engine", EXTRACTORS)
@pytest.mark.parametrize(
    ("codec", "label", "charset", "evidence"),
    [
        ("utf-8", "iso-8859-1", "utf-8", "utf-8"),
        ("cp1252", "iso-8859-1", "cp1252", "header"),
        ("utf-16", None, "utf-16-le", "bom"),
    ],
)
def test_an_ordinary_page(
    extractors: dict[str, PageExtractor], engine: str, codec: str, label: str | None, charset: str, evidence: str
) -> None:
    page = extractors[engine].extract(ORDINARY.encode(codec), label, URL)
    assert page.rejected is None and SENTENCE.strip() in page.text and page.title == "Der Wärter"
    assert (page.charset, page.charset_evidence, page.replaced) == (charset, evidence, 0)
    assert (page.peak_bytes > 0) == EXTRACTORS[engine].sandboxed


NOISE = bytes((i * 7919 >> 3) % 256 for i in range(30_000))


@pytest.mark.parametrize("engine", EXTRACTORS)
@pytest.mark.parametrize(
    ("body", "rule", "value", "threshold"),
    [
        (b"", "extract/empty", 0, 1),
        (b"<html><body><script>x</script></body></html>", "extract/empty", 0, 1),
        (b"x" * 3_000_001, "cap/bytes", 3_000_001, 3_000_000),
        (b"<i>" * 300_000, "cap/nodes", 300_000, 250_000),
        (b"\0" * 1_000, "decode/unreadable", 1, 0.05),
        (b"<p>" + b"\x01" * 1_000, "decode/unreadable", 1_000 / 1_003, 0.05),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_each_rejection_has_its_rule_value_and_threshold(
    extractors: dict[str, PageExtractor], engine: str, body: bytes, rule: str, value: float, threshold: float
) -> None:
    page = extractors[engine].extract(body, None, URL)
    assert page.rejected == (rule, value, threshold)
    assert page.text == page.title == ""


@pytest.mark.parametrize("engine", EXTRACTORS)
@pytest.mark.parametrize(
    ("body", "rule", "value", "threshold"),
    [
        (b"<div>" * 100_000 + b"x", "cap/depth", 100_000, 1_500),
        (b"<p " + b" ".join(b"a%d=1" % i for i in range(5_000)) + b">x", "cap/attributes", 5_000, 2_000),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_depth_and_attributes_are_capped_only_for_sandboxed_extractors(
    extractors: dict[str, PageExtractor], engine: str, body: bytes, rule: str, value: float, threshold: float
) -> None:
    page = extractors[engine].extract(body, None, URL)
    sandboxed = EXTRACTORS[engine].sandboxed
    assert page.rejected == ((rule, value, threshold) if sandboxed else None)
    assert page.text == ("" if sandboxed else "x")


@pytest.mark.parametrize("engine", EXTRACTORS)
def test_binary_labelled_as_a_page_is_unreadable(extractors: dict[str, PageExtractor], engine: str) -> None:
    rejected = extractors[engine].extract(NOISE, "utf-8", URL).rejected
    assert rejected is not None and rejected.rule == "decode/unreadable"


@pytest.mark.parametrize("engine", ["resiliparse", "all_text", "plain"])
def test_text_that_could_not_be_normalised_is_rejected(engine: str) -> None:
    zalgo = f"<p>{SENTENCE}a" + "\u0315\u0300" * 64
    with PageExtractor(engine) as extractor:
        assert extractor.extract(zalgo.encode(), None, URL).rejected is None
        assert extractor.extract((zalgo + "\u0315").encode(), None, URL).rejected == ("extract/marks", 129, 128)


def test_a_page_nested_too_deeply_for_the_parser_is_reported(extractors: dict[str, PageExtractor]) -> None:
    with PageExtractor("trafilatura", caps=Caps(depth=100_000)) as extractor:
        page = extractor.extract(b"<html><body>" + b"<div>" * 5_000 + ORDINARY.encode(), None, URL)
    assert page.rejected == ("extract/truncated", 1, 0)


def test_limits_are_reported_with_what_was_used() -> None:
    slow = b"<html><body>" + b"<div><div><p>a</p></div></div>" * 20_000
    with PageExtractor("trafilatura", limits=Limits(cpu_seconds=0.5)) as extractor:
        page = extractor.extract(slow, None, URL)
        assert page.rejected is not None and page.rejected.rule == "limit/cpu"
        assert page.rejected.value > page.rejected.threshold == 0.5
        assert extractor.extract(ORDINARY.encode(), None, URL).rejected is None
    wide = b"".join(b"<p><b a%d=1>x" % i for i in range(2_000))
    with PageExtractor("resiliparse", caps=Caps(depth=10_000), limits=Limits(memory_bytes=200 << 20)) as extractor:
        page = extractor.extract(wide, None, URL)
        assert page.rejected is not None and page.rejected.rule == "limit/memory"
        assert page.rejected.value > page.rejected.threshold == 200 << 20


def test_hostile_pages_do_not_change_the_pages_after_them() -> None:
    hostile = [b"<svg>" * 900, b"&#xD800;" * 1_000, b"<!--" * 9_000, b"<table><td>" * 400 + b"x", b"<p a='" * 1_000]
    pages = [ORDINARY.replace("Abend", f"{day}. Abend").encode() for day in range(4)]
    with PageExtractor("trafilatura") as alone, PageExtractor("trafilatura") as among:
        expected = [alone.extract(page, None, URL) for page in pages]
        found: list[Page] = []
        for page, bad in zip(pages, hostile, strict=False):
            among.extract(bad, None, URL)
            found.append(among.extract(page, None, URL))
    assert [page[:6] for page in found] == [page[:6] for page in expected]


def test_plain_text_is_only_decoded_and_tidied() -> None:
    extractor = PageExtractor("plain")
    page = extractor.extract("a <b> &amp; Ü  \r\n\r\n\r\n\r\nc".encode("cp1252"), "iso-8859-1", URL)
    assert page.text == "a <b> &amp; Ü\n\nc" and page.title == "" and page.rejected is None
    assert extractor.extract(b" \n ", None, URL).rejected == ("extract/empty", 0, 1)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200), st.one_of(st.none(), st.text(max_size=10)), st.text(max_size=20))
def test_nothing_raises_and_text_and_rejection_exclude_each_other(
    extractors: dict[str, PageExtractor], body: bytes, label: str | None, url: str
) -> None:
    for extractor in extractors.values():
        page = extractor.extract(b"<html><p>" + body, label, url)
        assert (page.rejected is None) == bool(page.text)
        assert "\0" not in page.text
        page.text.encode()


@pytest.mark.parametrize(("engine", "options"), [("lynx", {}), ("trafilatura", {"x": 1}), ("plain", {"x": 1})])
def test_wrong_names_are_the_users_error(engine: str, options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=engine):
        PageExtractor(engine, options)
