"""The audit sample: its size, the shares of its pages, and estimates that are right on average over samples."""

import random
from collections.abc import Callable
from statistics import fmean, pstdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.ledger import Reject
from pipeline.job.baseline import Baseline, BaselineTally, estimated
from pipeline.job.sample import LONG, AuditSampling, in_sample, small_share
from pipeline.job.strata import Stratum, estimate
from pipeline.recipes.parse import load_recipe
from pipeline.recipes.recipe import Stage
from pipeline.stages.stages import sampling_of


def extract_stage(name: str) -> Stage:
    return next(stage for stage in load_recipe(name).stages if stage.command == "extract")


@pytest.mark.parametrize("pages", [1, 100, 400, 401, 2600, 40_000, 10**7])
def test_a_small_input_is_sampled_more_densely(pages: int) -> None:
    share = small_share(0.01, pages, 400)
    assert share >= 0.01
    assert 400 <= share * pages <= 400 * 2**0.125 or share == 0.01 or pages <= 400


def test_a_run_that_grows_a_little_keeps_its_share() -> None:
    assert small_share(0.001, 2500, 200) == small_share(0.001, 2650, 200)
    shares = [small_share(0.0, pages, 100) for pages in range(100, 5000)]
    assert shares == sorted(shares, reverse=True)


def test_the_share_follows_the_baseline_of_the_recipe() -> None:
    plain = Stage("extract", "extract", options={"audit": 0.25, "audit_pages": 10})
    assert sampling_of(plain, None) == AuditSampling(0.25) and sampling_of(plain, 20) == AuditSampling(0.5)
    assert sampling_of(Stage("extract", "extract"), 20) is None
    found = sampling_of(extract_stage("yi"), 10**7)
    assert found is not None and found.weighted and found.languages == ("en",)


def test_long_pages_and_those_of_the_baselines_languages_have_a_larger_share() -> None:
    sampling = AuditSampling(0.02, True, ("en",))
    usual = [sampling.share_of(chars, False) for chars in (0, 900, LONG - 1, LONG, 2 * LONG, 10**9)]
    assert usual == [0.02, 0.02, 0.02, 0.04, 0.08, 0.32]
    assert AuditSampling(0.5, True).share_of(10**9, False) == 1.0 and AuditSampling(0.5).share_of(10**9, True) == 0.5
    told = [("en", True), (None, True), ("zh", True), (None, False), ("en", False)]
    assert [sampling.is_unlikely(*each) for each in told] == [False, False, True, True, True]
    assert not AuditSampling(0.02, True).is_unlikely("zh", False)
    assert sampling.share_of(900, True) == 0.005
    assert AuditSampling(1.0, True).share_of(900, True) == 1.0  # all pages are asked for: of every language


def test_of_pages_far_from_a_bound_fewer_go_through_the_recipe() -> None:
    near, far = Reject("judge", "min_words", 60.0, 100.0), Reject("judge", "min_words", 40.0, 100.0)
    unknown = Reject("prefilter", "declared_language_not_kept", None, None)
    sampling = AuditSampling(0.2, True)
    for rejects, share in (([near], 0.2), ([far], 0.05), ([near, far], 0.05), ([unknown], 0.05)):
        assert sampling.let_through(0.2, rejects) == pytest.approx(share)
    assert AuditSampling(0.2).let_through(0.2, [far]) == 0.2 and sampling.let_through(1.0, [far]) == 1.0


@given(st.integers(0, 10**9), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_has_the_pages_of_a_smaller_one(offset: int, one: float, other: float) -> None:
    record = {"file_path": "a.warc.gz", "warc_offset": offset, "member_record": 0}
    assert in_sample(record, min(one, other)) <= in_sample(record, max(one, other))


Page = tuple[int, int, int | None]


def crawl(draw: random.Random, pages: int) -> list[Page]:
    """Pages as (step at which they end, characters, tokens that the baseline keeps); the first kind it hardly keeps."""
    made: list[Page] = []
    for _ in range(pages):
        outcome = draw.choice([2, 4, 9])
        chars = int(draw.lognormvariate(8.5, 1.1))
        keeps = draw.random() < {2: 0.02, 4: 0.5, 9: 0.85}[outcome]
        made.append((outcome, chars, int(chars / 5 * draw.lognormvariate(0, 0.5)) + 1 if keeps else None))
    return made


def one_sample(pages: list[Page], seed: int, share_of: Callable[[Page], float]) -> Baseline:
    draw, tally = random.Random(seed), BaselineTally()
    for page in pages:
        outcome, chars, tokens = page
        share = share_of(page)
        stratum = tally.page(outcome, chars, share, None)
        if draw.random() < share:
            tally.sampled(stratum, chars, tokens)
    return estimated("falcon", tally.counts)


def test_unequal_shares_give_unbiased_estimates_with_a_true_error_and_less_of_it() -> None:
    pages = crawl(random.Random(1), 1500)
    sampling = AuditSampling(0.08, True, ("en",))
    docs = sum(tokens is not None for _, _, tokens in pages)
    tokens = sum(tokens or 0 for _, _, tokens in pages)
    found = [one_sample(pages, seed, lambda page: sampling.share_of(page[1], page[0] == 2)) for seed in range(120)]
    number = fmean(each.sampled for each in found)
    plain = [one_sample(pages, seed, lambda _: number / len(pages)) for seed in range(120)]
    for true, values, errors, others in (
        (docs, [e.docs for e in found], [e.docs_variance**0.5 for e in found], [e.docs for e in plain]),
        (tokens, [e.tokens for e in found], [e.tokens_variance**0.5 for e in found], [e.tokens for e in plain]),
    ):
        spread = pstdev(values)
        assert abs(fmean(values) - true) < 3 * spread / len(found) ** 0.5 + 0.005 * true
        assert fmean(errors) == pytest.approx(spread, rel=0.2)
        within = sum(abs(value - true) <= 1.2816 * error for value, error in zip(values, errors, strict=True))
        assert within / len(found) == pytest.approx(0.8, abs=0.1)
        if true == tokens:
            assert spread < 0.8 * pstdev(others)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50_000), st.booleans()), min_size=1, max_size=60))
def test_a_sample_of_everything_is_exact(pages: list[tuple[int, int, bool]]) -> None:
    drawn: list[Page] = [(outcome, chars, chars // 5 if kept else None) for outcome, chars, kept in pages]
    found = one_sample(drawn, 0, lambda _: 1.0)
    assert found.whole and (found.docs_variance, found.tokens_variance) == (0, 0)
    assert found.docs == sum(tokens is not None for _, _, tokens in drawn)
    assert found.tokens == pytest.approx(sum(tokens or 0 for _, _, tokens in drawn), abs=1e-5)


def test_strata_without_a_sampled_page_count_with_their_neighbours() -> None:
    seen = Stratum(1, 0.5, pages=20, chars=2000, sampled=10, sampled_chars=1000, chars_squares=100_000, docs=10,
                   tokens=200, squares=4000, products=20_000)  # fmt: skip
    unseen = Stratum(1, 0.25, pages=4, chars=4000)
    docs, docs_variance, tokens, tokens_variance = estimate([seen, unseen])
    assert (docs, docs_variance) == (24, 0)
    assert tokens == pytest.approx(0.2 * 6000) and tokens_variance == pytest.approx(0, abs=1e-6)
    assert estimate([unseen]) == (0, 0, 0, 0)
