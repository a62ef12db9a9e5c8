"""What a draw gave, in lines for people: its size, its targets, what was missed and why, and what was left undrawn.

Made from the `mixture` of a manifest, also of earlier versions, so that `mix` and the report say the same.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mixers.domains import domains_of

COLUMNS = ("of", "what", "asked", "share of tokens", "of the pool drawn")
KINDS = ("axis", "language", "domain", "source")
# A share that differs by more from the one asked for is told as a miss, whether planning or whole documents made it.
TOLD_MISS = 0.002
# Likewise of sizes, in parts of the one asked for.
TOLD_SIZE_MISS = 0.01
# What floors and caps are of: the names of their options, and of a group's field.
BOUNDED = {"source_share": "source", "language_share": "language", "share": "domain"}
WHOLE_DOCUMENTS = "whole documents: the pool has few in it"
SCARCEST = 4
LANGUAGES_SHOWN = 8


def size_line(mixture: Mapping[str, Any]) -> str:
    groups = mixture.get("groups", ())
    tokens = sum(group.get("drawn_tokens", 0) for group in groups)
    pool = sum(group.get("tokens", 0) for group in groups)
    drawn, documents = (sum(group.get(key, 0) for group in groups) for key in ("drawn", "documents"))
    counted = mixture.get("counted_by", {})
    by = counted.get("tokenizer", "a fixed pattern, no tokenizer")
    size = f"{tokens:,} tokens with repeats (counted by {by}), of {pool:,} in the pool"
    return f"{size}; {drawn:,} of {documents:,} documents are drawn"


def size_missed_lines(mixture: Mapping[str, Any]) -> Iterator[str]:
    asked = mixture.get("config", {}).get("tokens")
    drawn = sum(group.get("drawn_tokens", 0) for group in mixture.get("groups", ()))
    if isinstance(asked, int) and abs(drawn - asked) > TOLD_SIZE_MISS * asked:
        yield f"size missed: {asked:,} tokens asked for, {drawn:,} drawn; limited by {WHOLE_DOCUMENTS}"


def limit_lines(mixture: Mapping[str, Any]) -> Iterator[str]:
    """What binds, and the sizes that the scarcest targets allow."""
    for name in mixture.get("binding", ()):
        yield f"limited by {name}"
    alone = sorted(mixture.get("alone", {}).items(), key=lambda item: (item[1], item[0]))
    if alone:
        sizes = ", ".join(f"{name} {tokens:,}" for name, tokens in alone[:SCARCEST])
        yield f"the most tokens that one target alone allows, the scarcest first: {sizes}"
    if mixture.get("targets") and "possible" in mixture:
        yield f"the most tokens without targets: {mixture['possible']:,}"


def missed_lines(mixture: Mapping[str, Any]) -> Iterator[str]:
    targets = mixture.get("targets")
    if targets is None:  # of an earlier version
        for name, (asked, planned) in sorted(mixture.get("missed", {}).items()):
            yield f"target of {name} missed: {asked:.1%} asked for, {planned:.1%} possible"
        return
    for name, target in sorted(targets.items()):
        if abs(target["asked"] - target["drawn"]) > TOLD_MISS:
            limits = target["limited_by"] or [WHOLE_DOCUMENTS]
            yield (
                f"target of {name} missed: {target['asked']:.1%} asked for, {target['drawn']:.1%} drawn; "
                f"limited by {'; '.join(limits)}"
            )


def bound_lines(mixture: Mapping[str, Any]) -> Iterator[str]:
    """Floors and caps that whole documents break."""
    config, groups = mixture.get("config", {}), mixture.get("groups", ())
    total = sum(group.get("drawn_tokens", 0) for group in groups)
    for option, field in BOUNDED.items():
        for word, sign, prefix in (("floor", 1, "min_"), ("cap", -1, "max_")):
            for name, asked in sorted((config.get(prefix + option) or {}).items()) if total else ():
                members = domains_of(name) if field == "domain" else {name}
                drawn = sum(group["drawn_tokens"] for group in groups if group[field] in members) / total
                if sign * (drawn - asked) < -TOLD_MISS:
                    shares = f"{asked:.1%} asked for, {drawn:.1%} drawn"
                    yield f"{word} of {name} missed: {shares}; limited by {WHOLE_DOCUMENTS}"


def target_rows(mixture: Mapping[str, Any]) -> list[dict[str, str]]:
    """Share asked for and drawn, and how much of the pool is drawn at all, by axis, language, domain and source."""
    config, rows = mixture.get("config", {}), []
    asked = {
        "axis": config.get("targets", {}), "domain": config.get("targets", {}),
        "language": config.get("language_targets", {}), "source": {},
    }  # fmt: skip
    for kind in KINDS:
        kept, drawn = (mixture.get(key, {}).get(kind, {}) for key in ("retention", "shares"))
        if kind == "language" and mixture.get("languages"):
            drawn, kept = of_languages(mixture["languages"], asked[kind])
        for name, share in drawn.items():
            target = asked[kind].get(name)
            rows.append(
                {
                    "of": kind,
                    "what": name,
                    "asked": "" if target is None else f"{target:.1%}",
                    "share of tokens": f"{share:.1%}",
                    "of the pool drawn": f"{kept[name]:.1%}" if name in kept else "",
                }
            )
    for name, target in sorted(mixture.get("targets", {}).items()):
        if name in config.get("joint_targets", {}):
            row = {"of": "language/domain", "what": name, "asked": f"{target['asked']:.1%}"}
            rows.append(row | {"share of tokens": f"{target['drawn']:.1%}", "of the pool drawn": ""})
    return rows


def draw_lines(mixture: Mapping[str, Any]) -> list[str]:
    """What `mix` prints beside the table of shares."""
    missed = [*size_missed_lines(mixture), *bound_lines(mixture), *missed_lines(mixture)]
    return [size_line(mixture), *missed, *limit_lines(mixture)]


def of_languages(
    languages: Mapping[str, Mapping[str, int]], asked: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, float]]:
    """Share of the tokens, and how much of the pool is drawn, of the languages that are asked for and the largest."""
    total = sum(numbers["drawn_tokens"] for numbers in languages.values()) or 1
    order = sorted(languages, key=lambda name: (name not in asked, -languages[name]["drawn_tokens"], name))
    shown = [name for name in order[: max(LANGUAGES_SHOWN, len(asked))] if languages[name]["tokens"]]
    drawn = {name: languages[name]["drawn_tokens"] / total for name in shown}
    return drawn, {name: languages[name]["kept_tokens"] / languages[name]["tokens"] for name in shown}
