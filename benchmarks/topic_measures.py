"""How often a topic table is right: domains and axes, strictly and by any subject that holds, and calibration.

A text may have several subjects. *Strict*: the chief one's domain (axis) is told. *Any*: a domain (axis) of any of them
is. Where sources have labels of their own (`domain`), they are measured as well, and beside them the ceiling: how often
the chief subject that a reader gave is of that domain.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.shared import markdown
from mixers.domains import AXIS_OF, GENERAL
from mixers.subjects import DOMAIN_OF_SUBJECT
from pipeline.models.topics import DIGITS, topic_domain

Floats = NDArray[np.float64]
BINS = 10
# Sources of web pages begin so.
WEB = ("pages ", "web ")


class Labelled(NamedTuple):
    counts: Mapping[str, int]
    language: str
    source: str
    subjects: tuple[str, ...] | None
    """The chief one first; none: general; null: not known."""
    domain: str | None
    """The source's own label."""
    read: bool
    """Whether a reader gave the subjects, not the source."""
    in_turns: bool
    """Whether most of it is said by speakers in turn."""


def measured(
    texts: Sequence[Labelled], names: Sequence[str], truth: Mapping[str, NDArray[np.bool_]], probabilities: Floats
) -> dict[str, Any]:
    told = [str(topic_domain(dict(zip(names, row)))) for row in np.round(probabilities, DIGITS).tolist()]
    known = np.array([text.subjects is not None for text in texts])
    read, own = np.array([text.read for text in texts]), np.array([text.domain is not None for text in texts])
    by_source: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for text, domain in zip(texts, told):
        by_source[f"{text.source} ({chief(text) if text.subjects is not None else text.domain})"][domain] += 1
    sets = {"by subjects": known, "of these, read": known & read, "read web pages": read & web(texts)}
    found = {
        name: right([t for t, yes in zip(texts, which) if yes], [d for d, yes in zip(told, which) if yes])
        for name, which in sets.items()
        if which.any()
    }
    labels = {
        name: against(
            [str(t.domain) for t, yes in zip(texts, which) if yes], [d for d, yes in zip(by, which) if yes]
        )
        for name, which, by in (
            ("sources' own labels", own, told),
            ("ceiling: a reader against them", own & read, [chief(text) for text in texts]),
        )
        if which.any()
    }  # fmt: skip
    one = np.array([AXIS_OF[chief(text)] != GENERAL for text in texts]) & known
    iq, eq = (probabilities[:, names.index(axis)] for axis in ("iq", "eq"))
    chief_iq = np.array([AXIS_OF[chief(text)] == "IQ" for text in texts])
    said = [text for text, yes in zip(texts, known) if yes and text.in_turns]
    return {
        "texts": len(texts),
        "sources": len({text.source for text in texts}),
        "in_turns": {"texts": len(said), "dialogues": sum("dialogue" in (text.subjects or ()) for text in said)},
        "right": found,
        "labels": labels,
        "axis_of_iq_and_eq": round(float(np.mean((iq > eq)[one] == chief_iq[one])), 3) if one.any() else None,
        "confusion": confusion([t for t, yes in zip(texts, known) if yes], [d for d, yes in zip(told, known) if yes]),
        "calibration": {name: reliability(probabilities[known, n], truth[name][known]) for n, name in enumerate(names)},
        "by_source": {source: dict(found.most_common(3)) for source, found in sorted(by_source.items())},
    }


def web(texts: Sequence[Labelled]) -> NDArray[np.bool_]:
    return np.array([text.source.startswith(WEB) for text in texts])


def chief(text: Labelled) -> str:
    """The domain of the chief subject."""
    return DOMAIN_OF_SUBJECT[text.subjects[0]] if text.subjects else GENERAL


def domains_held(text: Labelled) -> set[str]:
    return {DOMAIN_OF_SUBJECT[subject] for subject in text.subjects or ()} or {GENERAL}


def right(texts: Sequence[Labelled], told: Sequence[str]) -> dict[str, Any]:
    strict = [chief(text) for text in texts]
    lenient = [domain if domain in domains_held(text) else chief(text) for text, domain in zip(texts, told)]
    axis = [AXIS_OF[domain] for domain in told]
    any_axis = [{AXIS_OF[domain] for domain in domains_held(text)} for text in texts]
    return {
        "texts": len(texts),
        "strict": against(strict, told),
        "any": against(lenient, told) | {"axis": round(float(np.mean([a in b for a, b in zip(axis, any_axis)])), 3)},
    }


def against(real: Sequence[str], told: Sequence[str]) -> dict[str, Any]:
    """Macro-F1 and F1 of the domains that are real, and how often the axis is right."""
    each = {domain: round(f1(real, told, domain), 3) for domain in sorted(set(real))}
    return {
        "macro_f1": round(float(np.mean(list(each.values()))), 3),
        "axis": round(float(np.mean([AXIS_OF[a] == AXIS_OF[b] for a, b in zip(real, told)])), 3),
        "domains": each,
    }


def f1(real: Sequence[str], told: Sequence[str], domain: str) -> float:
    both = sum(a == b == domain for a, b in zip(real, told))
    return 2 * both / max(1, real.count(domain) + told.count(domain))


def confusion(texts: Sequence[Labelled], told: Sequence[str]) -> dict[str, dict[str, int]]:
    """Chief axis → told axis → texts."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for text, domain in zip(texts, told):
        found[AXIS_OF[chief(text)].value][AXIS_OF[domain].value] += 1
    return {real: dict(sorted(row.items())) for real, row in sorted(found.items())}


def reliability(probability: Floats, truth: NDArray[np.bool_]) -> dict[str, Any]:
    """Expected calibration error, and of each tenth of the probability: texts, its mean, the share that is true."""
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    rows, error = [], 0.0
    for tenth in range(BINS):
        mine = place == tenth
        if mine.any():
            said, true = float(probability[mine].mean()), float(truth[mine].mean())
            rows.append([int(mine.sum()), round(said, 3), round(true, 3)])
            error += mine.mean() * abs(said - true)
    return {"error": round(float(error), 3), "bins": rows}


def lines_of(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['texts']} texts of {found['sources']} sources. IQ against EQ alone: {found['axis_of_iq_and_eq']}\n"
    rows = [
        [f"{name} ({each['texts']})", kind, each[kind]["macro_f1"], each[kind]["axis"], _each(each[kind])]
        for name, each in found["right"].items()
        for kind in ("strict", "any")
    ]
    rows += [[name, "", each["macro_f1"], each["axis"], _each(each)] for name, each in found["labels"].items()]
    yield from markdown(["texts", "right if", "macro-F1", "axis", "F1 of domains"], rows)
    turns = found["in_turns"]
    yield f"\nOf {turns['texts']} texts that speakers say in turn {turns['dialogues']} are dialogues.\n"
    yield from markdown(["chief axis", "told"], ([a, str(row)] for a, row in found["confusion"].items()))
    yield ""
    bins = (
        [name, row["error"], " ".join(f"{said:.2f}:{true:.2f}({n})" for n, said, true in row["bins"])]
        for name, row in found["calibration"].items()
    )
    yield from markdown(["column", "calibration error", "said:true(texts), by tenths"], bins)
    yield ""
    yield from markdown(
        ["source", "told"],
        ([s, ", ".join(f"{d} {n}" for d, n in row.items())] for s, row in found["by_source"].items()),
    )


def _each(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{domain} {value}" for domain, value in found["domains"].items())
