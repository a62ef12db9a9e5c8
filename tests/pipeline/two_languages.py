"""A crawl in English and Chinese with a recipe that looks twice, and small models for it, made by the tests."""

import random
from pathlib import Path

from pipeline.fit.fasttext_file import train_fasttext
from tests.pipeline.pages import article, sentences, write_warc

HAN = (
    "山水人家天地日月风云花草鸟鱼春夏秋冬东西南北上下左右大小多少高低远近红"
    "黄蓝白黑长短新旧好坏读书写字学生老师朋友时间工作城市道路门窗桌椅茶饭衣食"
)

RECIPE = """
name = "two-looks"
about = "a quick look, then the dear one; two languages; a combination; a rule of the pool"

[[stage]]
name = "ingest"
verb = "ingest"

[[stage]]
name = "same-bytes"
verb = "dedup"

  [[stage.step]]
  kind = "dedup"
  method = "payload"

[[stage]]
name = "extract"
verb = "extract"
control = CONTROL

  [[stage.step]]
  kind = "gate"
  name = "url"
  lists = "url-lists"
  rules = [{ signal = "url_blocked_domain", max = 0 }]

  [[stage.step]]
  kind = "extract"
  name = "look"
  engine = "all_text"

  [[stage.step]]
  kind = "judge"
  name = "quick"
  rules = [{ signal = "characters", min = 100 }]

  [[stage.step]]
  kind = "extract"
  engine = "resiliparse"

[[stage]]
name = "filter"
verb = "filter"

  [[stage.step]]
  kind = "rewrite"
  edit = "remove_urls"

  [[stage.step]]
  kind = "label"
  what = "language"
  model = "language"
  keep = ["en", "zh"]

  [[stage.step]]
  kind = "judge"
  name = "english"
  languages = ["en"]
  rules = [{ signal = "words", min = 100 }, { signal = "mean_word_length", min = 3 }]

  [[stage.step]]
  kind = "judge"
  name = "chinese"
  languages = ["zh"]
  rules = [{ signal = "han_fraction", min = 0.7 }, { signal = "words", min = 60 }]

  [[stage.step]]
  kind = "label"
  what = "perplexity"
  model = "fluency"
  languages = ["en"]

  [[stage.step]]
  kind = "combine"
  signal = "quality"
  intercept = -0.5
  terms = [
    { signal = "words", at = [100, 400], add = [-1.0, 1.0] },
    { signal = "perplexity", at = [0.0, 1.0], add = [0.0, 0.5], missing = 0.25 },
  ]

[[stage]]
name = "best"
verb = "filter"

  [[stage.step]]
  kind = "pool"
  name = "best"
  method = "quantile"
  options = { signal = "quality", keep = 0.8, side = "high", by = "language", min_count = 3 }

[[stage]]
name = "near-copies"
verb = "dedup"

  [[stage.step]]
  kind = "dedup"
  method = "minhash"

[[stage]]
name = "privacy"
verb = "filter"

  [[stage.step]]
  kind = "rewrite"
  edit = "mask_email"
"""


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


def write_world(folder: Path, control: float = 0.0) -> Path:
    """`crawl/`, `two-looks.toml` and `models/` in `folder`."""
    (folder / "crawl").mkdir(parents=True)
    pages = content()
    write_warc(folder / "crawl" / "a.warc.gz", pages[::2])
    write_warc(folder / "crawl" / "b.warc.gz", pages[1::2])
    (folder / "two-looks.toml").write_text(RECIPE.replace("CONTROL", str(control)))
    write_models(folder / "models")
    return folder


def write_models(folder: Path) -> None:
    """Two fastText classifiers and a list of hosts."""
    folder.mkdir()
    texts = [("en", " ".join(sentences(i, 2))) for i in range(60)] + [("zh", "".join(chinese(i, 2))) for i in range(60)]
    train_fasttext(texts, folder / "language", dim=8, epoch=20, minn=1, maxn=2)
    fluent = [("good", " ".join(sentences(i, 2)).lower()) for i in range(60)]
    train_fasttext(fluent + [("other", "click here now " * 5)] * 60, folder / "fluency", dim=4, epoch=10)
    (folder / "url-lists").mkdir()
    (folder / "url-lists" / "domains.txt").write_text("blocked.example\n")
