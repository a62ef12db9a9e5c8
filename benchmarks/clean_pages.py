"""Clean texts as the web pages that they might have been: cut into lengths that pages have, and rendered as HTML.

A scorer that sees texts from files beside pages from a crawl learns the difference between a file and an extractor.
So texts get what pages have around their main text (a title, a menu, links to other pages, a footer, in one of several
layouts), and go through the same extractor as the pages they are held against.

Texts are JSON lines (.jsonl, .jsonl.gz) with `text` and, if there is, `id`. The name of a file is its source, the name
of its folder its kind (`iq_en`, `eq_en`, `code`, `iq_zh`, `eq_zh`, …). Every choice is by a hash of names.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

from infra.errors import UsageError
from pipeline.demo.demo import write_warc
from pipeline.fit.seeds import CrawledPage
from pipeline.fit.texts import json_lines, stable_hash

# Words in a page, log-uniform: shorter ones yi rejects by rule, longer ones are few.
LEAST_WORDS: Final = 300
MOST_WORDS: Final = 2000
# Two Chinese characters make about one word.
_WORD: Final = re.compile(r"[\u3400-\u9fff]{2}|[^\W\u3400-\u9fff]+")
_HEADING: Final = re.compile(r"(?:#{1,6} |=+ |\\(?:chapter|section|subsection)\*?\{)(.{1,200}?)(?:=+|\})?$")
_ITEM: Final = re.compile(r"(?:[-*+•]|\d{1,3}[.)]) +")
_ENDS: Final = tuple(".!?:;…\"”'’。！？：；」』")
# What a source is about, by how its name begins: rows of a table are easier to read than names of files.
SUBJECTS: Final = {
    "mathematics": ("fcla", "hott_book", "napkin", "openstax_calculus", "openstax_statistics", "stacks_project"),
    "papers": ("arxiv", "datajuicer", "liaad_keyphrase", "scitldr"),
    "programming": (
        "cs_notes", "d2l", "doocs_leetcode_en", "doocs_leetcode_zh", "hello_algo", "javaguide", "oi_wiki", "pingcap",
        "progit2", "react_zh", "rust_", "tensorflow_docs",
    ),
    "code": ("30s_of_code", "doocs_leetcode_code", "the_algorithms"),
    "psychology, sociology": ("openstax_psychology", "openstax_introduction-sociology"),
    "writing": ("openstax_writing", "ruanyf"),
    "textbooks": ("openstax",),
    "news, encyclopedia": ("nltk_abc", "wikitext"),
    "novels": ("classic_novels", "english_novels"),
    "prose of all kinds": ("brown",),
    "drama, verse, scripture": ("chinese_poetry", "nltk_genesis", "nltk_shakespeare", "tinyshakespeare"),
    "dialogue": ("crosswoz", "dstc8", "esconv", "kdconv", "taskmaster"),
    "posts, overheard": ("jointmatch", "nltk_webtext"),
    "speeches": ("nltk_inaugural", "nltk_state_union"),
    "reviews": ("chnsenticorp", "nltk_movie_reviews"),
}  # fmt: skip
MENUS: Final = {
    "en": ("Home", "About", "Archive", "Contact", "Related pages", "Privacy policy", "All rights reserved."),
    "zh": ("首页", "关于我们", "文章归档", "联系方式", "相关阅读", "隐私政策", "版权所有。"),
}
# `{…}` are filled in; three ways in which pages are built: elements that say what they are, a weblog's classes, tables.
LAYOUTS: Final = (
    (
        "<body><header><a href='/'>{site}</a><nav>{menu}</nav></header><main><article><h1>{title}</h1>{body}</article>"
        "</main><aside><h3>{more}</h3>{links}</aside><footer>{foot}</footer></body>"
    ),
    (
        "<body><div id='header'><p class='logo'>{site}</p><ul class='menu'>{menu}</ul></div><div id='content'>"
        "<div class='post'><h2 class='post-title'>{title}</h2><div class='entry-content'>{body}</div></div></div>"
        "<div id='sidebar' class='widget'><h4>{more}</h4>{links}</div><div id='footer'>{foot}</div></body>"
    ),
    (
        "<body><div class='top'>{menu}</div><table width='100%'><tr><td class='left' valign='top'>{links}</td>"
        "<td class='main'><h1>{title}</h1>{body}</td></tr></table><p class='copyright'>{foot}</p></body>"
    ),
)


class CleanPage(NamedTuple):
    """`kind`: the texts' folder; `source`: their file; `text`: what was rendered."""

    kind: str
    source: str
    url: str
    text: str
    html: str


def clean_files(paths: Sequence[Path]) -> list[Path]:
    """The files of texts in these files and folders, sorted. UsageError when there is none."""
    found = {
        file
        for path in paths
        for file in (path.rglob("*") if path.is_dir() else [path])
        if file.name.endswith((".jsonl", ".jsonl.gz")) and file.is_file()
    }
    if not found:
        raise UsageError(f"there is no .jsonl or .jsonl.gz file in {', '.join(map(str, paths))}: give texts as --clean")
    return sorted(found)


def source_of(path: Path) -> str:
    return path.name.partition(".")[0]


def subject_of(kind: str, source: str) -> str:
    """What a source is about, and in which language: "novels (zh)"; its own name where that is not known."""
    known = next((subject for subject, names in SUBJECTS.items() if source.startswith(names)), source)
    return f"{known} (zh)" if kind.endswith("_zh") else known


def axis_of(kind: str) -> str:
    """ "IQ", "EQ", "code", "IQ zh", …: the folder's name as a label."""
    head, _, language = kind.partition("_")
    label = head.upper() if head in ("iq", "eq") else head
    return f"{label} {language}" if language not in ("", "en") else label


def read_clean(paths: Sequence[Path], count: int, kinds: Sequence[str] = ()) -> list[CleanPage]:
    """At most `count` pages of every file, of the kinds named (or all), chosen by hash."""
    pages: list[CleanPage] = []
    for path in clean_files(paths):
        kind, source = path.parent.name, source_of(path)
        if kinds and kind not in kinds:
            continue
        rows = [row for row in json_lines(path) if isinstance(row, dict) and isinstance(row.get("text"), str)]
        rows.sort(key=lambda row: stable_hash(f"{row.get('id', '')} {row['text'][:200]}"))
        pieces = sorted(cut((row["text"] for row in rows), source), key=stable_hash)[:count]
        pages += [page_of(kind, source, number, text) for number, text in enumerate(pieces)]
    return pages


def size(text: str) -> int:
    """Words, and pairs of Chinese characters."""
    return sum(1 for _ in _WORD.finditer(text))


def cut(texts: Iterable[str], source: str) -> Iterator[str]:
    """Texts, one after the other, in pieces of LEAST_WORDS to MOST_WORDS words (by hash, log-uniform).

    A piece ends where a paragraph ends, or soon after with a line. Short texts (an utterance, a review, a poem) share
    a piece, a blank line between them; the end of a long one is dropped if it is shorter than the least piece.
    """
    piece: list[str] = []
    words, number = 0, 0
    wanted = _wanted(source, number)
    for text in texts:
        lines = text.replace("\r\n", "\n").replace("\r", "\n").strip().split("\n")
        # A text that could fill a page of its own is not joined to the rest of another.
        if words and size(text) > LEAST_WORDS:
            if words >= LEAST_WORDS:
                yield "\n".join(piece).strip()
            piece, words = [], 0
        for line in [*lines, ""]:
            piece.append(line.rstrip())
            words += size(line)
            if words >= wanted and (not line.strip() or words >= 1.5 * wanted):
                yield "\n".join(piece).strip()
                piece, words, number = [], 0, number + 1
                wanted = _wanted(source, number)
    if words >= LEAST_WORDS:
        yield "\n".join(piece).strip()


def _wanted(source: str, number: int) -> int:
    share = stable_hash(f"length {source} {number}") / 2**64
    return round(LEAST_WORDS * math.pow(MOST_WORDS / LEAST_WORDS, share))


def page_of(kind: str, source: str, number: int, text: str) -> CleanPage:
    """`text` as a page of a site that is named after its source. Pages of a site share a layout, as they do."""
    menu = MENUS["zh" if kind.endswith("_zh") else "en"]
    site = f"{source.replace('_', '-').lower()}.example"
    title = title_of(text) or f"{source.replace('_', ' ')} {number}"
    links = [f"<a href='/{i}'>{escape(word)}</a>" for i, word in enumerate(menu[:4])]
    related = "".join(f"<li><a href='/p/{(number + i) % 97}'>{menu[4]} {(number + i) % 97}</a></li>" for i in range(6))
    body = code_block(text) if kind == "code" and "```" not in text else "\n".join(render(text))
    layout = LAYOUTS[stable_hash(f"layout {source}") % len(LAYOUTS)]
    filled = layout.format(
        site=site, menu=" | ".join(links), title=escape(title), body=body, more=menu[4], links=f"<ul>{related}</ul>",
        foot=f"© {site}. {menu[6]} <a href='/privacy'>{menu[5]}</a>",
    )  # fmt: skip
    head = f"<head><meta charset='utf-8'><title>{escape(title)} | {site}</title></head>"
    return CleanPage(kind, source, f"https://{site}/p/{number}", text, f"<!DOCTYPE html><html>{head}{filled}</html>")


def title_of(text: str) -> str:
    """The first heading among the first lines, if there is one."""
    lines = (line.strip()[:250] for line in text.split("\n")[:20])
    return next((found[1].strip() for line in lines if (found := _HEADING.match(line))), "")


def render(text: str) -> Iterator[str]:
    """Elements: headings, lists, code between fences, paragraphs."""
    for number, part in enumerate(text.split("```")):
        if number % 2:
            yield code_block(part.partition("\n")[2])
            continue
        for block in re.split(r"\n[ \t]*\n", part):
            lines = [line.strip() for line in block.split("\n") if line.strip()]
            while lines and (found := _HEADING.match(lines[0][:250])):
                yield f"<h2>{escape(found[1].strip())}</h2>"
                lines = lines[1:]
            if lines:
                yield block_of(lines)


def code_block(text: str) -> str:
    return f"<pre><code>{escape(text)}</code></pre>"


def block_of(lines: Sequence[str]) -> str:
    if len(lines) > 1 and all(_ITEM.match(line) for line in lines):
        items = (escape(_ITEM.sub("", line, count=1)) for line in lines)
        return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"
    return f"<p>{(chr(10) if wrapped(lines) else '<br>').join(map(escape, lines))}</p>"


def wrapped(lines: Sequence[str]) -> bool:
    """Whether the line breaks are those of a typewriter, and not of verse, dialogue or a list of sentences: most lines
    are nearly as long as the longest, and most do not end a sentence."""
    whole = sorted(map(len, lines[:-1]))
    if not whole or whole[-1] < 50 or whole[len(whole) // 2] < 0.75 * whole[-1]:
        return False
    return 2 * sum(line.endswith(_ENDS) for line in lines[:-1]) < len(whole)


def write_clean_warc(target: Path, pages: Sequence[CleanPage]) -> None:
    """The pages as an archive, in their order."""
    write_warc(target, target.name, [CrawledPage(page.url, page.url, page.html.encode()) for page in pages])
