"""resiliparse: its options reach the library."""

from pipeline.extract.extractors.resiliparse_text import ResiliparseOptions, resiliparse
from tests.pipeline.extract.articles import ARTICLE, SENTENCE, article


def test_options_reach_the_library() -> None:
    assert "Home" in resiliparse(ARTICLE, "", ResiliparseOptions(main_content=False)).text
    picture = article(f"<p>{SENTENCE}<img alt='a white tower'></p>")
    assert "white tower" in resiliparse(picture, "", ResiliparseOptions(alt_texts=True)).text
    assert "white tower" not in resiliparse(picture, "", ResiliparseOptions()).text
