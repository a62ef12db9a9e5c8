"""A crawl in English and Chinese with a recipe that has a prefilter, and small models for it."""

import random
from pathlib import Path

from pipeline.fit.fasttext_file import train_fasttext
from pipeline.models.combination import Combination, Term
from tests.pipeline.pages import article, sentences, write_warc
from tests.pipeline.recipe_texts import (
    INGEST,
    NEAR_COPIES,
    PREFILTER,
    REMOVE_URLS,
    RESILIPARSE,
    Part,
    dedup,
    judge,
    recipe,
    stage,
    step,
)

HAN = (
    "山水人家天地日月风云花草鸟鱼春夏秋冬东西南北上下左右大小多少高低远近红"
    "黄蓝白黑长短新旧好坏读书写字学生老师朋友时间工作城市道路门窗桌椅茶饭衣食"
)

QUALITY = Combination(
    -0.5, (Term("words", (100.0, 400.0), (-1.0, 1.0)), Term("perplexity", (0.0, 1.0), (0.0, 0.5), missing=0.25))
)


def two_extractions(audit: float, *more: Part) -> str:
    """A prefilter (and `more`), then the expensive extractor; two languages; a combination; a pool rule."""
    address = step("gate", name="url", lists="url-lists", rules=[{"signal": "url_blocked_domain", "max": 0}])
    size = judge("prefilter-size", {"signal": "characters", "min": 100})
    english = ({"signal": "words", "min": 100}, {"signal": "mean_word_length", "min": 3})
    chinese = ({"signal": "han_fraction", "min": 0.7}, {"signal": "words", "min": 60})
    best = {"signal": "quality", "keep": 0.8, "side": "high", "by": "language", "min_count": 3}
    return recipe(
        "two-extractions",
        INGEST,
        dedup("same-bytes", "payload"),
        stage("extract", "extract", address, PREFILTER, size, *more, RESILIPARSE, audit=audit),
        stage(
            "filter",
            "filter",
            REMOVE_URLS,
            step("label", what="language", model="language", keep=["en", "zh"]),
            judge("english", *english, languages=["en"]),
            judge("chinese", *chinese, languages=["zh"]),
            step("label", what="perplexity", model="fluency", languages=["en"]),
            step("combine", signal="quality", model="sum.json"),
        ),
        stage("best", "filter", step("pool", name="best", method="quantile", options=best)),
        NEAR_COPIES,
        stage("privacy", "filter", step("rewrite", edit="mask_email")),
    )


def chinese(seed: int, count: int = 14) -> list[str]:
    """Sentences that are always the same for a seed."""
    chance = random.Random(f"zh{seed}")
    return ["".join(chance.choices(HAN, k=chance.randint(12, 24))) + "。" for _ in range(count)]


def chinese_page(seed: int, extra: str = "") -> str:
    lines = chinese(seed)
    body = "".join(f"<p>{''.join(lines[i : i + 3])}</p>" for i in range(0, len(lines), 3))
    return f"<html><head><title>{lines[0][:6]}</title></head><body><main>{body}{extra}</main></body></html>"


def content() -> list[tuple[str, str]]:
    """(URL, HTML): twelve articles in English, eight in Chinese, four stubs, a copy of each kind, a blocked host."""
    pages = [(f"http://en{i % 3}.example/{i}", article(i, 4 + i % 4)) for i in range(12)]
    pages += [(f"http://zh{i % 2}.example/{i}", chinese_page(i)) for i in range(8)]
    pages += [(f"http://short.example/{i}", f"<html><body><p>Please log in. {i}</p></body></html>") for i in range(4)]
    pages += [
        ("http://copy.example/same-bytes", article(1, 5)),
        ("http://copy.example/nearly", article(7, 7, extra="<p>Write to a.b@mail.example for more.</p>")),
        ("http://copy.example/zh-nearly", chinese_page(3, extra="<p>更多。</p>")),
        ("http://write.example/1", article(40, 8, extra="<p>Write to a.b@mail.example or see http://x.example/y.</p>")),
        ("http://blocked.example/1", article(30)),
    ]
    return pages


def write_world(folder: Path, models: Path, audit: float = 0.0) -> Path:
    """`crawl/`, `prefilter.toml` and `models`, a link, in `folder`."""
    (folder / "crawl").mkdir(parents=True)
    pages = content()
    write_warc(folder / "crawl" / "a.warc.gz", pages[::2])
    write_warc(folder / "crawl" / "b.warc.gz", pages[1::2])
    (folder / "prefilter.toml").write_text(two_extractions(audit))
    (folder / "models").symlink_to(models)
    return folder


def write_models(folder: Path) -> None:
    """Two fastText classifiers, a combination, and a list of hosts."""
    (folder / "sum.json").write_text(QUALITY.as_text())
    texts = [("en", " ".join(sentences(i, 2))) for i in range(60)] + [("zh", "".join(chinese(i, 2))) for i in range(60)]
    train_fasttext(texts, folder / "language", dim=8, epoch=20, minn=1, maxn=2)
    fluent = [("good", " ".join(sentences(i, 2)).lower()) for i in range(60)]
    train_fasttext(fluent + [("other", "click here now " * 5)] * 60, folder / "fluency", dim=4, epoch=10)
    (folder / "url-lists").mkdir()
    (folder / "url-lists" / "domains.txt").write_text("blocked.example\n")
