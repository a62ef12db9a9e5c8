"""Pages for the published recipes, each made to fail one rule, and the small models that the recipes use.

A text is lines of sentences from a word list; what breaks a rule is put between them. Shares are set with a margin on
the right side of the published thresholds, counted in characters by hand (`repeated`), not by the tested code.
"""

import random
from pathlib import Path

from pipeline.fit.fasttext_file import train_fasttext
from pipeline.fit.perplexity import fit_perplexity

ENGLISH = """
the of and that have with be to a in water river mountain history people found during many years after small house
garden children reading letter music school teacher question answer because measure energy light field city road winter
summer morning evening friend mother father work hands bread table window door story island harvest market bridge
forest kitchen village captain journey paper silver season animal doctor valley weather morning station
""".split()  # noqa: SIM905 (a list of words is easier to read as words)
GERMAN = """
der die das und ist nicht mit von auf eine wird haben werden auch nach bei einem noch wie wasser berg garten kinder
schule frage antwort winter sommer morgen abend freund mutter vater arbeit brot tisch fenster weg stadt jahre haus
""".split()  # noqa: SIM905
FRENCH = """
le la les et est pas avec pour dans une sera avoir aussi chez encore comme eau montagne jardin enfants ecole reponse
hiver ete matin soir ami mere pere travail pain table fenetre chemin ville annees maison histoire musique
""".split()  # noqa: SIM905


# words of shop pages, with enough of others to pass for English and for prose
SPAM = """
buy cheap now click offer price order sale deal free discount shipping basket voucher the and with of paper silver
""".split()  # noqa: SIM905

DUPLICATE_SHARES = ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))


class Writer:
    """Sentences that are always the same for a seed: 8 to 12 words, a capital first, a point last."""

    def __init__(self, seed: int, words: list[str] = ENGLISH) -> None:
        self.chance = random.Random(seed)
        self.vocabulary = words

    def words(self, count: int) -> str:
        """`count` words, no two neighbours equal."""
        chosen: list[str] = []
        while len(chosen) < count:
            word = self.chance.choice(self.vocabulary)
            if not chosen or word != chosen[-1]:
                chosen.append(word)
        return " ".join(chosen)

    def sentence(self) -> str:
        return self.words(self.chance.randint(8, 12)).capitalize() + "."

    def lines(self, count: int, sentences: int = 2) -> list[str]:
        return [" ".join(self.sentence() for _ in range(sentences)) for _ in range(count)]

    def text(self, lines: int = 8) -> str:
        return "\n".join(self.lines(lines))


def article(seed: int, lines: int = 8) -> str:
    return Writer(seed).text(lines)


def made_words(first: str, count: int) -> list[str]:
    """`count` words that are in no list, all different."""
    letters = "bcdfghklmnprstvw"
    return [f"{first}{letters[i // 16 % 16]}a{letters[i % 16]}e" for i in range(count)]


def with_phrase(seed: int, phrase: str, filler: int) -> str:
    """A text in which one phrase occurs 40 times, between distinct words, with `filler` words after."""
    writer, edges = Writer(seed), made_words("x", 80)
    runs = [f"{edges[i]} {phrase} {edges[i + 40]} {writer.words(filler - 2)}" for i in range(40)]
    return "\n".join(" ".join(runs[i : i + 5]) + "." for i in range(0, 40, 5))


def repeated(seed: int, n: int, share: float, every_copy: bool = False) -> str:
    """A text with phrases of `n` words that occur twice and make up just over `share` of it.

    As datatrove counts: the characters of second copies over all characters, spaces in phrases left out. With
    `every_copy` as DCLM counts: the characters of both copies over those of all words.
    """
    writer, lines, copied = Writer(seed), [], 0
    for first in "bcdfghklmnpr":
        phrase = made_words(first, n)
        lines += [f"{writer.words(4)} {' '.join(phrase)} {writer.words(3)}." for _ in range(2)]
        copied += len("".join(phrase)) * (2 if every_copy else 1)
    while True:
        line = writer.sentence()
        text = "\n".join([*lines, line])
        if copied / (sum(map(str.isalpha, text)) if every_copy else len(text)) < share:
            return shuffled(lines, seed)
        lines.append(line)


def blocks(count: int, lines: int, seed: int) -> list[str]:
    writer = Writer(seed)
    return ["\n".join(writer.lines(lines)) for _ in range(count)]


def shuffled(lines: list[str], seed: int) -> str:
    random.Random(seed).shuffle(lines)
    return "\n".join(lines)


def changed(text: str) -> str:
    """The same text but for one word in the middle, which becomes a shorter one."""
    words = text.split(" ")
    middle = next(i for i in range(len(words) // 2, len(words)) if len(words[i]) > 4 and "\n" not in words[i])
    words[middle] = "so"
    return " ".join(words)


def language_pages() -> dict[str, str]:
    mixed = [Writer(i, words).sentence() for i in range(24) for words in (ENGLISH, GERMAN, FRENCH)]
    return {"german": Writer(1, GERMAN).text(), "three languages": "\n".join([*mixed, *Writer(2).lines(8)])}


def repetition_pages() -> dict[str, str]:
    """One for each rule of Gopher's table A1, as datatrove counts."""
    line = Writer(20).lines(1, 8)
    return {
        "equal lines": shuffled(Writer(21).lines(14, 3) + ["So it was."] * 9, 21),
        "equal paragraphs": "\n\n".join(blocks(10, 5, 22) + ["So it was."] * 7),
        "one long line twice": shuffled(line * 2 + Writer(23).lines(8), 23),
        "one long paragraph twice": "\n\n".join([*blocks(3, 2, 24), *blocks(1, 8, 25) * 2]),
        "the same 2 words": with_phrase(26, "blue sea", 4),
        "the same 3 words": with_phrase(27, "blue deep sea", 7),
        "the same 4 words": with_phrase(28, "blue deep wide sea", 12),
        **{f"{n} words again": repeated(30 + n, n, share + 0.002) for n, share in DUPLICATE_SHARES},
    }


def every_copy_pages() -> dict[str, str]:
    """One for each of its rules on duplicate n-grams, as DCLM counts: datatrove finds half as much in them."""
    return {f"{n} words twice": repeated(50 + n, n, share + 0.002, every_copy=True) for n, share in DUPLICATE_SHARES}


def quality_pages() -> dict[str, str]:
    """One for each rule of Gopher's appendix A.1.1."""
    silent = [word for word in ENGLISH if word not in ("the", "of", "and", "that", "have", "with", "be", "to")]
    trailing = [line.replace(".", "...") if i % 2 else line for i, line in enumerate(Writer(43).lines(12, 1))]
    numbers = [f"{line[:-1]} {i}1 {i}2 {i}3 {i}4." for i, line in enumerate(Writer(44).lines(20, 1), 100)]
    tagged, dotted = Writer(40), Writer(42)
    return {
        "too short": article(45, 2),
        "too long": article(46, 5300),
        "short words": Writer(47, ["be", "to", "of", "a", "in", "is", "it", "at", "on", "by", "us", "we"]).text(12),
        "long words": Writer(48, ["the", "of", *(f"{word}{word}{word}" for word in ENGLISH if len(word) > 4)]).text(14),
        "tags": "\n".join(f"{tagged.words(18)} #{' #'.join(tagged.words(3).split())}." for _ in range(8)),
        "points": "\n".join("... ".join(dotted.words(6) for _ in range(4)) + "." for _ in range(8)),
        "bullets": "\n".join("- " + line for line in Writer(41).lines(12, 1)),
        "teasers": "\n".join(trailing),
        "numbers": "\n".join(numbers),
        "no stop words": Writer(49, silent).text(),
    }


def correction_pages() -> dict[str, str]:
    """RefinedWeb's lines: one page that loses too many words, one that loses few, one with a URL in it."""
    return {
        "shouting": article(65) + "\n" + article(66, 3).upper(),
        "one like": article(67) + "\n12 likes\nSign-in to read it",
        "an address": article(68) + "\nThere is more of it at https://example.org/page?x=1 for those who ask.",
    }


def c4_pages() -> dict[str, str]:
    few = Writer(62)
    return {
        "lorem ipsum": article(60) + "\nLorem ipsum dolor sit amet with some other words.",
        "curly bracket": article(61) + "\nThe function begins { and so it goes on.",
        "few sentences": f"{few.sentence()} {few.sentence()}\n{few.words(70)}",
        "mentions": article(64)
        + "\nPlease enable javascript to see the page.\nWe use cookies and have a privacy policy.",
        "mostly the same": "\n".join([*copies()["article"].split("\n")[:4], *Writer(65).lines(2, 1)]),
    }


def fineweb_pages() -> dict[str, str]:
    lines, brief, listed = Writer(72).lines(14, 1), Writer(73), Writer(74)
    long_words = Writer(75, [f"{word}winter" for word in ENGLISH if len(word) > 4])
    return {
        "no ends": article(70).replace(".\n", "\n").removesuffix("."),
        "short lines": "\n".join([*(brief.words(4) + "." for _ in range(30)), *Writer(71).lines(6, 3)]),
        "one line twice": "\n".join([*lines, lines[3]]),
        "a list": "\n".join(
            [*(listed.words(3) for _ in range(36)), *(long_words.words(3) + "." * (i % 2) for i in range(26))]
        ),
    }


def shared_pages() -> dict[str, str]:
    """CCNet, which drops the first line as a title and treats lines that differ in capitals and digits as equal."""
    lines = "\n".join(f"{line} 12" for line in Writer(91).lines(6, 1))
    signature = "It was written in the house by the river in {}."
    return {
        "shared": "A title\n" + lines,
        "shared too": "Another title\n" + lines.upper().replace("12", "99"),
        "signed": article(92) + "\n" + signature.format(2021),
        "signed too": article(93) + "\n" + signature.format(2022),
    }


def german_pages() -> dict[str, str]:
    """For FineWeb2, which has no English: one for each family of its rules."""
    listed = Writer(3, GERMAN)
    return {
        "german near copy": changed(language_pages()["german"]),
        "german equal lines": shuffled(Writer(2, GERMAN).lines(14, 3) + ["So ist es."] * 9, 2),
        "german list": "\n".join(listed.words(3) for _ in range(60)),
        "german too short": Writer(4, GERMAN).text(2),
        "german contact": Writer(5, GERMAN).text() + "\nSchreiben Sie an some.one@example.org oder an 8.8.8.8 hier.",
    }


def bucket_pages() -> dict[str, str]:
    """For CCNet's buckets: with the four other English pages that it keeps, 36 of 120 are like the model's texts."""
    return {
        **{f"head {i}": article(200 + i) for i in range(32)},
        **{f"tail {i}": Writer(300 + i, SPAM).text() for i in range(84)},
    }


def copies() -> dict[str, str]:
    """Pages that every recipe keeps, and copies of them for the recipes that deduplicate."""
    first, longer = article(80), article(81, 16)
    return {
        "article": first,
        "long article": longer,
        "near copy": changed(first),
        "same text": first,
        "same address": article(82),
        "part": "\n".join(longer.split("\n")[:10]),
    }


def other_pages() -> dict[str, str]:
    return {
        "spam": Writer(90, SPAM).text(),
        "contact": article(94) + "\nWrite to some.one@example.org or to the machine at 8.8.8.8, not at 10.0.0.1 here.",
    }


def all_pages() -> dict[str, str]:
    makers = (
        copies, language_pages, repetition_pages, every_copy_pages, quality_pages, correction_pages, c4_pages,
        fineweb_pages, shared_pages, german_pages, bucket_pages, other_pages,
    )  # fmt: skip
    return {name: text for maker in makers for name, text in maker().items()}


def write_models(folder: Path) -> None:
    """A language model of three word lists, URL lists of one entry each, a classifier with DCLM's labels, and the
    perplexity of articles."""
    pairs = [
        (label, " ".join(Writer(i, words).text(3).split()))
        for i in range(80)
        for label, words in (("en", ENGLISH), ("de", GERMAN), ("fr", FRENCH))
    ]
    train_fasttext(pairs, folder / "lid.176.ftz", dim=8, epoch=15, lr=0.4)
    pairs = [
        (label, " ".join(Writer(i, words).text(3).split()))
        for i in range(80)
        for label, words in (("hq", ENGLISH), ("cc", SPAM))
    ]
    train_fasttext(pairs, folder / "dclm-quality.bin", dim=8, epoch=15, lr=0.4)
    texts = folder / "articles.txt"
    texts.write_text("\n".join(article(i, 20) for i in range(400, 480)))
    fit_perplexity([texts], folder / "perplexity-en", vocab_size=200)
    lists = folder / "url-lists"
    lists.mkdir()
    entries = {"domains": "bad.example", "urls": "ok.example/listed", "strict": "freeprize", "hard": "casino"}
    for name, entry in {**entries, "soft": "webcam\nchat"}.items():
        (lists / f"{name}.txt").write_text(entry + "\n")
