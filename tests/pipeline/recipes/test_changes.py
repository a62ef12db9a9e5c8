"""Changes of a recipe: what a path names and nothing else is changed; what leads nowhere is refused in one line."""

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.errors import UsageError
from pipeline.recipes.changes import read_changes, read_value
from pipeline.recipes.parse import load_recipe, parse_recipe, shipped
from pipeline.recipes.paths import settable
from pipeline.recipes.recipe import Recipe
from pipeline.recipes.text import difference, recipe_as_file, recipe_text
from pipeline.recipes.toml import recipe_toml

WORDS = "filter.gopher-quality.gopher_words.min"


def changed_lines(name: str, changes: dict[str, Any]) -> list[str]:
    """The lines of a recipe that a change takes out and puts in, but for that with the name."""
    one, other = load_recipe(name), load_recipe(name, changes)
    lines = difference(one, other, (one.name, other.name)).splitlines()[2:]
    return [line for line in lines if line[0] in "+-" and not line[1:].startswith(name)]


@pytest.mark.parametrize(
    ("name", "changes", "lines"),
    [
        ("fineweb", {WORDS: 60}, ["-    gopher_words at least 50    # Gopher A.1.1",
                                  "+    gopher_words at least 60    # changed from 50 (Gopher A.1.1)"]),
        ("fineweb", {WORDS: "off"}, ["-    gopher_words at least 50    # Gopher A.1.1"]),
        ("fineweb", {"privacy": "off"}, ["-filter (privacy)", "-  rewrite mask_email", "-  rewrite mask_ipv4"]),
        ("fineweb", {"privacy.mask_email": "off"}, ["-  rewrite mask_email"]),
        ("fineweb", {"filter.language.keep": ["de"]}, ["-  label language with lid.176.ftz, keeps en",
                                                       "+  label language with lid.176.ftz, keeps de"]),
        # another engine begins with its own defaults; its options may be set beside it, in any order
        ("fineweb", {"extract.extract.links": True, "extract.extract.engine": "resiliparse"},
         ["-  extract with trafilatura: favor precision", "+  extract with resiliparse: links yes"]),
        ("exact", {"same-text.text.policy": "longest"}, ["-  dedup text", "+  dedup text: policy longest"]),
        ("exact", {"same-text.text.options.policy": "longest"},
         ["-  dedup text", "+  dedup text: policy longest"]),
        ("exact", {"same-text": {"text": {"policy": "longest"}}},
         ["-  dedup text", "+  dedup text: policy longest"]),
        # a signature stands in place of bands and rows, and these in place of it, whichever the recipe names
        ("minhash", {"near-copies.minhash.bands": 40},
         ["-  dedup minhash: measure jaccard, ngram 5, policy content, signature fineweb, threshold 0.8, verify yes",
          "+  dedup minhash: bands 40, measure jaccard, ngram 5, policy content, rows 8, threshold 0.8, verify yes"]),
        ("minhash", {"near-copies.minhash.rows": 4, "near-copies.minhash.bands": 40},
         ["-  dedup minhash: measure jaccard, ngram 5, policy content, signature fineweb, threshold 0.8, verify yes",
          "+  dedup minhash: bands 40, measure jaccard, ngram 5, policy content, rows 4, threshold 0.8, verify yes"]),
        ("fineweb", {"near-copies.minhash.signature": "dolma3"},
         ["-  dedup minhash: bands 14, link component, ngram 5, policy first, rows 8, verify no",
          "+  dedup minhash: link component, ngram 5, policy first, signature dolma3, verify no"]),
        ("yi", {"extract.audit": 0.5}, ["-extract (extract): audit 0.005, audit_pages 180, baseline falcon",
                                        "+extract (extract): audit 0.5, audit_pages 180, baseline falcon"]),
        ("yi", {"filter.broken.language_score.min.zh": 0.5},
         ["-    language_score at least 0.3 (zh)    # clean texts and development pool",
          "+    language_score at least 0.5 (zh)    # changed from 0.3 (clean texts and development pool)"]),
    ],
)  # fmt: skip
def test_what_a_path_names_is_changed_and_nothing_else(name: str, changes: dict[str, Any], lines: list[str]) -> None:
    assert changed_lines(name, changes) == lines


def test_one_share_of_a_draw() -> None:
    recipe = load_recipe("mixture", {"mixture.draw.targets.IQ": 0.3, "mixture.draw.tokens": 1000})
    draw = load_recipe("mixture").stages[0].options["draw"]
    assert recipe.stages[0].options["draw"] == {**draw, "targets": {"IQ": 0.3, "EQ": 0.4}, "tokens": 1000}


def test_a_changed_recipe_is_another_recipe() -> None:
    base, changed = load_recipe("fineweb"), load_recipe("fineweb", {WORDS: 60})
    assert (base.name, changed.name) == ("fineweb", "fineweb-changed")
    assert changed.about == f"{base.about} (changed: {WORDS} = 60)"
    assert base.sha256 != changed.sha256
    named = load_recipe("fineweb", {WORDS: 60, "name": "mine", "about": "longer"})
    assert (named.name, named.about, named.sha256) == ("mine", "longer", changed.sha256)
    with pytest.raises(UsageError, match="called 'fineweb' but is not the one that is shipped"):
        load_recipe("fineweb", {WORDS: 60, "name": "fineweb"})


def test_what_is_set_to_what_it_is_changes_nothing() -> None:
    base = load_recipe("fineweb")
    same = load_recipe("fineweb", {WORDS: 50.0, "filter.language.keep": ["en"]})
    assert (same.name, same.source, same.sha256) == (base.name, base.source, base.sha256)
    four = load_recipe("mixture", {"mixture.draw.max_epochs": 4})
    assert (four.name, four.sha256) == ("mixture", load_recipe("mixture").sha256)


@pytest.mark.parametrize("name", shipped())
def test_every_bound_of_every_recipe_has_a_path(name: str) -> None:
    """Set to another number, one threshold of the recipe differs; the file that is written of it has the same hash."""
    base = load_recipe(name)
    bounds = [each for each in settable(base) if re.search(r"\.(min|max)(\.\w+)?$", each.path)]
    assert len(bounds) == sum(len(step.rules) for stage in base.stages for step in stage.steps if step.kind != "prune")
    for path, value, _ in bounds:
        changed = load_recipe(name, {path: float(value) + 0.001})
        before, after = thresholds(base), thresholds(changed)
        differing = [(one, other) for one, other in zip(before, after, strict=True) if one != other]
        assert len(differing) >= 1 and all(other == float(value) + 0.001 for _, (*_, other) in differing), path
        assert {one[:3] for one, _ in differing} == {other[:3] for _, other in differing}
        assert read_again(changed).sha256 == changed.sha256


def thresholds(recipe: Recipe) -> list[tuple[str, str, tuple[str, ...], float | None]]:
    """Every rule, those that a prune takes from its judge too."""
    steps = [step for stage in recipe.stages for step in stage.steps]
    return [(step.name, each.rule.name, each.languages, each.rule.threshold) for step in steps for each in step.rules]


def read_again(recipe: Recipe) -> Recipe:
    return parse_recipe(tomllib.loads(recipe_toml(recipe.source)), "saved")


TWO_LANGUAGES = """
name = "two"
[[stage]]
command = "filter"
step = [
  { kind = "judge", name = "size", source = "S", rules = [
    "words <= 9000",
    { languages = ["en", "de"], rules = ["words >= 50", "characters >= 9", "lines >= 2"] },
    { languages = ["zh"], rules = ["words >= 30"] },
  ] },
  { kind = "judge", name = "v1.2 of it", rules = ["lines >= 1"] },
  { kind = "judge", rules = ["lines >= 1", "lines >= 2"] },
]
"""


@pytest.fixture
def two(tmp_path: Path) -> str:
    (tmp_path / "two.toml").write_text(TWO_LANGUAGES)
    return str(tmp_path / "two.toml")


def test_a_rule_of_several_languages_is_divided(two: str) -> None:
    """For one of them; the others keep theirs, and all rules their order."""
    lines = recipe_text(load_recipe(two, {"filter.size.words.min.de": 40})).splitlines()[3:10]
    assert lines == [
        "    words at most 9000    # S",
        "    words at least 50 (en)    # S",
        "    words at least 40 (de)    # changed from 50 (S)",
        "    characters at least 9 (en, de)    # S",
        "    lines at least 2 (en, de)    # S",
        "    words at least 30 (zh)    # S",
        "  judge v1.2 of it",
    ]
    without = recipe_text(load_recipe(two, {"filter.size.lines.min": "off"})).splitlines()
    assert [line for line in recipe_text(load_recipe(two)).splitlines() if line not in without] == [
        "two: ",
        "    lines at least 2 (en, de)    # S",
    ]


def test_a_name_may_have_dots(two: str) -> None:
    changed = load_recipe(two, {"filter.v1.2 of it.lines.min": 3})
    assert [each.rule.threshold for each in changed.stages[0].steps[1].rules] == [3]


def test_the_first_number_stays_in_the_source(two: str) -> None:
    once = load_recipe(two, {"filter.size.words.max": 8000})
    Path(two).write_text(recipe_toml(once.source))
    twice = load_recipe(two, {"filter.size.words.max": 7000})
    assert twice.stages[0].steps[0].rules[0].rule.source == "changed from 9000 (S)"
    assert (twice.name, twice.about.count("changed")) == ("two-changed", 1)


REFUSED: list[tuple[str, str, str]] = [
    ("fineweb", "filter.gopher-quality.gopher_word.min=60", "did you mean 'gopher_words.min'"),
    ("fineweb", "filter.gopher-quality.gopher_words=60", "say which bound of gopher_words: gopher_words.min"),
    ("fineweb", "filter.gopher-quality.gopher_words.mean=60", "say which bound of gopher_words"),
    ("fineweb", "filter.gopher-quality.gopher_stop_words.max=9", "did you mean 'gopher_stop_words.min'"),
    ("fineweb", "filter.gopher-quality.gopher_words.min=O.9", 'must be a number, or "off", not \'O.9\''),
    ("fineweb", "filter.gopher-quality.gopher_words.min=true", "must be a number"),
    ("fineweb", "filter.gopher-quality.gopher_words.min=nan", "is not a finite number"),
    ("fineweb", "filter.gopher-quality.gopher_words.min.de=9", "is for all languages; leave out .de"),
    ("fineweb", "filter.gopher.gopher_words.min=60", "did you mean filter.gopher-quality.gopher_words.min?"),
    ("fineweb", "gopher_words.min=60", "no stage 'gopher_words'; did you mean filter.gopher-quality.gopher_words.min?"),
    ("fineweb", "filtre.c4=off", "no stage 'filtre'; did you mean filter? there are ingest, extract"),
    ("fineweb", "filter.zzz.min=1", "stage 'filter' has no step 'zzz'; there are language, language-score"),
    ("fineweb", "filter.c4=5", 'it can only be "off", or go on with what it has: c4_any_ending_lorem_ipsum_lines.max'),
    ("fineweb", "near-copies=5", 'is a stage: it can only be "off", or go on with what it has: minhash'),
    ("fineweb", "near-copies.minhash.band=20", "dedup 'minhash' has no option 'band'; did you mean 'bands'?"),
    ("fineweb", "near-copies.threshold=0.7", "did you mean near-copies.minhash.threshold?"),
    ("fineweb", "near-copies.minhash.bands=many", "bands must be a whole number, not 'many'"),
    ("fineweb", "near-copies.minhash.verify=off", "verify must be true or false, not 'off'"),
    ("fineweb", "near-copies.minhash.link=direkt", "not one of direct, component; did you mean 'direct'?"),
    ("fineweb", "extract.extract.engine=resilparse", "did you mean 'resiliparse'?"),
    ("fineweb", "extract.extract.favor=much", "it must be 'precision' or 'recall' or 'balanced'"),
    ("fineweb", "extract.audit=2", "it must be 0 to 1"),
    ("yi", "keep-rate.keep_rate.of=ccnet", "of = 'ccnet', but the audit sample before it goes through 'falcon'"),
    ("fineweb", "filter.language.keep=de", "keep must be a list of words, not 'de'"),
    ("fineweb", "filter.language.keep=[de]", "write lists as"),
    ("fineweb", "filter.language.keep.en=1", "keep has no parts"),
    ("fineweb", "filter.language.when=1", "label 'language' has no option 'when'; there are what, model"),
    ("fineweb", "filter.language.kind=judge", "has no option 'kind'"),
    ("fineweb2", "language.language-score.language_score.min=2", "has 10 rules language_score.min, for zh, de"),
    ("fineweb2", "filter.gopher-quality.gopher_mean_word_length.min.en=2", "for 'en'; there are zh, de"),
    ("mixture", "mixture.draw.targtes.IQ=0.3", "no setting 'targtes'; did you mean 'targets' or 'joint_targets'?"),
    ("mixture", "mixture.draw.targets.I=0.3", "did you mean 'IQ'?"),
    ("two", "filter.judge.lines.min=3", "2 rules lines.min on the same documents, which no path tells apart"),
    ("exact", "same-text.text", "give PATH=VALUE"),
    ("exact", "=5", "give PATH=VALUE"),
    ("exact", "same-text=", "give PATH=VALUE"),
    ("exakt", "same-text=off", "no recipe 'exakt': did you mean exact"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "word", "says"), REFUSED, ids=[word for _, word, _ in REFUSED])
def test_what_leads_nowhere_is_refused_in_one_line(name: str, word: str, says: str, two: str) -> None:
    with pytest.raises(UsageError) as refused:
        load_recipe(two if name == "two" else name, read_changes([word]))
    message = str(refused.value)
    assert says in message
    assert len(message.splitlines()) == 1 and len(message) < 500


def test_one_path_has_one_value() -> None:
    with pytest.raises(UsageError, match="is given twice"):
        read_changes([f"{WORDS}=1", f"{WORDS}=2"])
    with pytest.raises(UsageError, match="is set twice"):
        load_recipe("fineweb", {WORDS: 60, "filter": {"gopher-quality": {"gopher_words": {"min": 70}}}})
    with pytest.raises(UsageError, match="empty table"):
        load_recipe("fineweb", {"filter": {}})


@pytest.mark.parametrize("path", ["filter.c4.c4_any_ending_sentences.min", "filter.c4.source", "filter.carried"])
def test_what_is_taken_out_cannot_be_changed(path: str) -> None:
    for off in ("filter.c4", "filter") if "c4" in path else ("filter",):
        for changes in ({off: "off", path: 3}, {path: 3, off: "off"}):
            with pytest.raises(UsageError, match=f"fineweb: {path} is part of what another change takes out"):
                load_recipe("fineweb", changes)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("60", 60), ("0.9", 0.9), ("1e-3", 0.001), ("true", True), ("longest", "longest"), ("'60'", "60"),
        ('["en", "de"]', ["en", "de"]), ("lid.176.bin", "lid.176.bin"), ("1\nb = 2", "1\nb = 2"), ("en", "en"),
    ],
)  # fmt: skip
def test_values_are_tomls_and_texts_need_no_quotes(word: str, value: Any) -> None:
    assert read_value(word) == value


@pytest.mark.parametrize("first", ["signature", "bands"])
def test_a_signature_and_bands_are_not_both_set(first: str) -> None:
    given = {"signature": "dolma3", "bands": 20}
    changes = {f"near-copies.minhash.{name}": given[name] for name in sorted(given, key=lambda each: each != first)}
    for recipe in ("minhash", "fineweb"):
        with pytest.raises(UsageError, match="signature 'dolma3' is 26 bands of 11 rows; leave out bands"):
            load_recipe(recipe, changes)


def test_values_may_be_those_of_numpy() -> None:
    changed = load_recipe("fineweb", {WORDS: np.int64(60), "filter.c4.c4_any_ending_sentences.min": np.float64(4.5)})
    assert changed.source == load_recipe("fineweb", {WORDS: 60, "filter.c4.c4_any_ending_sentences.min": 4.5}).source


@pytest.mark.parametrize("name", shipped())
def test_a_recipe_can_be_saved_as_a_file(name: str, tmp_path: Path) -> None:
    """With its comments, as long as it is not changed."""
    recipe, file = load_recipe(name), tmp_path / "saved.toml"
    file.write_text(recipe_as_file(recipe, name))
    saved = load_recipe(str(file))
    assert (saved.name, saved.sha256, saved.stages) == (recipe.name, recipe.sha256, recipe.stages)
    assert ("#" in file.read_text()) == (name != "tokens")


EXTENDS = f"""
extends = "fineweb"
about = "FineWeb with longer pages and larger bands"

[set]
"{WORDS}" = 60                     # quoted
filter.c4.c4_any_ending_sentences.min = 3     # or as TOML's dotted key
near-copies.minhash = {{ bands = 20, rows = 10 }}
filter.fineweb = "off"

[[insert]]
before = "filter.gopher-quality"
step = [{{ kind = "judge", name = "size", rules = ["words >= 40"] }}, {{ kind = "rewrite", edit = "remove_urls" }}]

[[insert]]
after = "near-copies"
stage = [{{ name = "same-url", command = "dedup", step = [{{ kind = "dedup", method = "url" }}] }}]

[[insert]]
in_place_of = "privacy.mask_email"
step = [{{ kind = "rewrite", edit = "mask_pii" }}]
"""


def test_a_file_that_extends_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(EXTENDS)
    mine, base = load_recipe(str(tmp_path / "mine.toml")), load_recipe("fineweb")
    assert (mine.name, mine.about) == ("mine", "FineWeb with longer pages and larger bands")
    names = [[step.name for step in stage.steps] for stage in mine.stages]
    assert [stage.name for stage in mine.stages] == [
        "ingest",
        "extract",
        "filter",
        "near-copies",
        "same-url",
        "privacy",
    ]
    assert names[2:] == [
        ["language", "language-score", "gopher-repetition", "size", "remove_urls", "gopher-quality", "c4",
         "c4_any_ending_lines"],
        ["minhash"], ["url"], ["mask_pii", "mask_ipv4"],
    ]  # fmt: skip
    changes = {
        WORDS: 60, "filter.c4.c4_any_ending_sentences.min": 3, "near-copies.minhash.bands": 20,
        "near-copies.minhash.rows": 10, "filter.fineweb": "off",
    }  # fmt: skip
    by_set = load_recipe("fineweb", changes)
    assert by_set.stages[3] == mine.stages[3] and mine.stages[:2] == base.stages[:2]
    saved = tmp_path / "saved.toml"
    saved.write_text(recipe_as_file(mine, str(tmp_path / "mine.toml")))
    assert load_recipe(str(saved)).sha256 == mine.sha256


def test_files_extend_files(tmp_path: Path) -> None:
    """By their path from the file that extends them; what is set is the same as set at once."""
    (tmp_path / "below").mkdir()
    (tmp_path / "base.toml").write_text(f'extends = "fineweb"\n[set]\n{WORDS} = 60\n')
    (tmp_path / "below" / "more.toml").write_text('extends = "../base.toml"\nname = "more"\n[set]\nprivacy = "off"\n')
    more = load_recipe(str(tmp_path / "below" / "more.toml"))
    assert (more.name, more.sha256) == ("more", load_recipe("fineweb", {WORDS: 60, "privacy": "off"}).sha256)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('extends = "finweb"', "no recipe .*finweb'"),
        ('extends = "nowhere.toml"', "nowhere.toml cannot be read"),
        ('extends = "mine.toml"', "extend each other in a circle"),
        ("extends = 5", "extends must be a text in quotes"),
        ('extends = "exact"\nname = "minhash"', "'minhash' is the name of a shipped recipe"),
        ('extends = "exact"\nname = "exact"', "'exact' is the name of a shipped recipe"),
        ('extends = "exact"\nsets = {}', "unknown key 'sets'; did you mean 'set'"),
        ('extends = "exact"\n[[stage]]\ncommand = "ingest"', "no .*stage.* of its own"),
        ('extends = "exact"\n[[insert]]\nstep = []', "needs one of before, after, in_place_of"),
        ('extends = "exact"\n[[insert]]\nafter = "same-text"\nstep = [{}]', "is a stage: give `stage`"),
        ('extends = "exact"\n[[insert]]\nafter = "same-text.text.policy"\nstep = [{}]', "path of a stage or a step"),
        (
            'extends = "exact"\n[[insert]]\nafter = "same-txt"\nstage = [{}]',
            "mine.toml: insert 1: same-txt: no stage 'same-txt'; did you mean same-text",
        ),
        ('extends = "exact"\n[[insert]]\nafter = "same-text"\nstage = [{}]', "command is None"),
        (
            'extends = "exact"\n[set]\nsame-text = "off"\n[[insert]]\nin_place_of = "same-text"\nstage = [{}]',
            "out twice",
        ),
        ('extends = "exact"\n[set]\nextract = "off"', "'same-text' reads documents"),
    ],
)
def test_what_extends_nothing_is_refused(content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(content)
    with pytest.raises(UsageError, match=says) as refused:
        load_recipe(str(tmp_path / "mine.toml"))
    assert len(str(refused.value).splitlines()) == 1


def test_a_circle_of_two_files(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.toml").write_text(f'extends = "{other}.toml"\n')
    with pytest.raises(UsageError, match=r"in a circle, or too often: a.toml → b.toml → a.toml"):
        load_recipe(str(tmp_path / "a.toml"))


def test_a_copy_that_was_changed_needs_a_name_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "copy.toml"
    file.write_text(recipe_as_file(load_recipe("fineweb"), "fineweb"))
    assert load_recipe(str(file)).name == "fineweb"
    file.write_text(file.read_text().replace("gopher_words >= 50", "gopher_words >= 60"))
    with pytest.raises(UsageError, match="called 'fineweb' but is not the one that is shipped: give it another `name`"):
        load_recipe(str(file))


def test_the_name_of_a_job_is_free(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('name = "language"\n[[stage]]\ncommand = "filter"\n')
    assert load_recipe(str(tmp_path / "mine.toml")).stages != load_recipe("language").stages


def test_a_recipe_without_a_name_is_called_by_its_file(tmp_path: Path) -> None:
    """By that alone: where it lies is not part of the result."""
    (tmp_path / "mine.toml").write_text('[[stage]]\ncommand = "filter"\n')
    assert load_recipe(str(tmp_path / "mine.toml")).name == "mine"


def test_a_difference_that_is_not_shown_by_the_text() -> None:
    """A name of what has one is shown; an empty list of languages is shown by the files alone."""
    one = load_recipe("exact")
    named = load_recipe("exact", {"same-text.text.name": "copies"})
    assert "+  dedup text, named copies" in difference(one, named, ("a", "b")).splitlines()
    empty = load_recipe("exact", {"extract.extract.declared": []})
    assert '+step = [{ kind = "extract", engine = "joined", declared = [] }]' in difference(one, empty, ("a", "b"))
