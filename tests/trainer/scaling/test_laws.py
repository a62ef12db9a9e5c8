"""Laws find what made the curves, and predict what they have not seen."""

import json
from pathlib import Path

import numpy as np
import pytest

from infra.errors import UsageError
from tests.trainer.scaling.made import (
    PEAK,
    SHAPE,
    STEPS,
    coefficients,
    curve,
    final_runs,
    schedules,
    write_curves,
    write_runs,
)
from trainer.scaling.check import CurveCheck, check_collapse, check_curves, check_table
from trainer.scaling.curves import Curve, Schedule
from trainer.scaling.files import as_json, read_law
from trainer.scaling.final_loss import fit_final
from trainer.scaling.final_runs import FinalRuns, RunColumns, best_runs, read_runs
from trainer.scaling.schedule_law import LEAST_ERROR, LawShape, after_warm_up, fit_laws
from trainer.scaling.sizes import fit_sizes

SIZES = {"25M": 25e6, "100M": 100e6, "400M": 400e6}


def small(names: tuple[str, ...] = ("constant", "cosine", "drop")) -> dict[str, dict[str, Curve]]:
    return {size: {name: curve(name, SIZES[size]) for name in names} for size in ("25M", "100M")}


def test_a_constant_rate_gains_nothing_by_decreases_and_a_lower_one_does() -> None:
    shape = LawShape(np.log([0.5, 12.0, 0.4, 0.6]), PEAK)
    assert np.all(shape.basis(schedules()["constant"])[:, 2] == 0)
    gained = -shape.basis(schedules()["drop"])[:, 2]
    dropped = int(np.argmax(schedules()["drop"].rates < PEAK))
    assert np.all(gained[: dropped + 1] == 0) and np.all(np.diff(gained[dropped:]) > 0) and gained[-1] < 0.8


def test_progress_counts_half_of_the_warm_up() -> None:
    """A logged warm-up, and one that is not logged, are the same progress."""
    logged = np.concatenate([np.arange(1.0, 500.0), STEPS])
    rates = np.concatenate([PEAK * np.arange(1.0, 500.0) / 500, np.full(STEPS.size, PEAK)])
    shape = LawShape(np.log([0.5, 12.0, 0.4, 1.0]), PEAK)
    whole = shape.basis(Schedule(logged, rates))[-STEPS.size :]
    assert whole == pytest.approx(shape.basis(schedules()["constant"]), rel=2e-3)


def test_the_law_predicts_a_schedule_that_it_was_not_fitted_on() -> None:
    (law,) = fit_laws([list(small()["100M"].values())])
    hidden = curve("decay", 100e6)
    assert np.mean(np.abs(law.losses(hidden) - hidden.losses)) < 0.003
    assert law.noise == pytest.approx(0.0005, rel=0.5)
    assert law.misfit < 0.002


def test_outliers_do_not_move_the_law() -> None:
    spoilt = curve("constant", 100e6)
    spoilt.losses[::17] += 0.3
    (law,) = fit_laws([[spoilt, curve("cosine", 100e6)]])
    clean = curve("constant", 100e6)
    assert np.mean(np.abs(law.losses(clean) - clean.losses)) < 0.003


def test_a_larger_size_before_the_run_with_its_first_steps_and_with_a_run() -> None:
    """What is known of the run makes the error and the band smaller."""
    law = fit_sizes(small())
    hidden = curve("decay", 400e6)
    whole = curve("constant", 400e6)
    errors, widths = [], []
    for seen in ([], [whole.until(2000)], [whole]):
        forecast = law.of(400e6, seen).forecast(hidden)
        assert np.all(forecast.low < forecast.losses) and np.all(forecast.losses < forecast.high)
        errors.append(np.mean(np.abs(forecast.losses - hidden.losses)))
        widths.append(np.mean(forecast.high - forecast.low))
    assert errors[2] < 0.004 and errors[1] < 0.012 and errors[0] < 0.08
    assert widths[0] > widths[1] > widths[2]


@pytest.mark.parametrize(("seen_until", "odd_loss"), [(900, 0.12), (2500, 0.06)])
def test_the_beginning_of_a_run_that_no_law_explains_does_not_narrow_the_band(seen_until: int, odd_loss: float) -> None:
    """All runs begin with a loss that the law does not have, the small ones too."""

    def odd(name: str, parameters: float) -> Curve:
        made = curve(name, parameters)
        return Curve(made.steps, made.rates, name, made.losses + odd_loss * np.exp(-(made.steps - 500) / 400))

    law = fit_sizes({size: {name: odd(name, SIZES[size]) for name in schedules()} for size in ("25M", "100M")})
    whole = odd("constant", 400e6)
    forecast = law.of(400e6, [whole.until(seen_until)]).forecast(whole)
    rest = whole.steps > seen_until
    held = (forecast.low <= whole.losses) & (whole.losses <= forecast.high)
    assert held[rest].mean() > 0.7


def test_three_sizes_tell_the_exponent() -> None:
    """Without a run of the large model: the asymptote is known of the sizes alone."""
    sizes = {size: {name: curve(name, n) for name in schedules()} for size, n in SIZES.items()}
    hidden = curve("decay", 1600e6)
    error = fit_sizes(sizes).of(1600e6).forecast(hidden).losses - hidden.losses
    assert np.mean(np.abs(error)) < 0.06
    assert coefficients(1600e6)[0] < coefficients(400e6)[0]


def test_noise_does_not_tell_how_decreases_gain_with_size() -> None:
    """Without a prior the growth of B is whatever the noise makes it, to the power of the size."""
    sizes = {"7K": 7e3, "17K": 17e3, "32K": 32e3}
    law = fit_sizes({name: {"decay": curve("decay", size, noise=0.15)} for name, size in sizes.items()})
    growth, deviation = law._growth(2, "B")
    assert growth == pytest.approx(0.17, abs=0.1) and 0.1 < deviation < 0.2
    clear = fit_sizes(small())
    growth, deviation = clear._growth(2, "B")
    small_b, large_b = coefficients(25e6)[2], coefficients(100e6)[2]
    assert growth == pytest.approx(np.log(large_b / small_b) / np.log(4), abs=0.03) and deviation < 0.07


def test_a_law_is_the_same_after_a_file(tmp_path: Path) -> None:
    law = fit_sizes(small())
    path = tmp_path / "law.json"
    path.write_text(json.dumps(as_json(law)))
    hidden = schedules()["decay"]
    assert read_law(path).of(400e6).forecast(hidden).losses == pytest.approx(
        law.of(400e6).forecast(hidden).losses, rel=1e-9
    )
    for wrong in ("{}", "[]", "no", '{"format": "refinery-size-law/2", "shape": {}, "sizes": []}'):
        path.write_text(wrong)
        with pytest.raises(UsageError, match="is no law"):
            read_law(path)


def test_check_of_a_folder(tmp_path: Path) -> None:
    folder = write_curves(tmp_path / "curves", SIZES)
    with_a_run = check_curves(folder, CurveCheck(["25M", "100M"], "400M", calibrate_on="constant_24000"))
    assert set(with_a_run["by_run"]) == {f"{name}_24000" for name in ("cosine", "decay", "drop")}
    assert with_a_run["mae"] < 0.004 and with_a_run["coverage80"] >= 0.7
    first = check_curves(folder, CurveCheck(["25M", "100M"], "400M", first_steps=1500))
    assert set(first["by_run"]) == {f"{name}_24000" for name in schedules()}
    assert first["by_run"]["constant_24000"]["points"] == np.sum(STEPS > 2000)
    same = check_curves(folder, CurveCheck(["100M"], "100M", ["constant_24000", "drop_24000"]))
    assert set(same["by_run"]) == {"cosine_24000", "decay_24000"} and same["mae"] < 0.004
    for asked, told in (
        (CurveCheck(["25M"], "25M"), "all runs of 25M are fitted"),
        (CurveCheck(["25M"], "100M", ["linear"]), "has no run linear"),
        (CurveCheck(["25M"], "100M", calibrate_on="x"), "has no run x"),
        (CurveCheck(["25M", "25M"], "100M"), "25M is named twice"),
    ):
        with pytest.raises(UsageError, match=told):
            check_curves(folder, asked)


def test_check_of_the_collapse(tmp_path: Path) -> None:
    folder = write_curves(tmp_path / "curves", SIZES)
    found = check_collapse(folder, ["25M", "100M"], "400M")
    assert set(found["by_run"]) == {f"{name}_24000" for name in schedules()}
    row = found["by_run"]["constant_24000"]
    assert [*row] == ["10%", "20%", "30%", "50%", "90%"] and abs(row["90%"]) < abs(row["10%"]) < 0.1
    (folder / "400M").rename(folder / "1B")
    for path in (folder / "1B").iterdir():
        path.rename(path.with_name(f"other-{path.name}"))
    with pytest.raises(UsageError, match="no run of 1B has its name and schedule at 25M"):
        check_collapse(folder, ["25M"], "1B")


def test_the_final_loss_of_larger_models() -> None:
    answer = check_table(final_runs(), 3e8)
    assert answer["relative"] < 0.01 and answer["coverage80"] >= 0.7
    assert list(answer["by_run"]) == sorted(answer["by_run"]) and len(answer["by_run"]) == 4
    with pytest.raises(UsageError, match="there is nothing to predict"):
        check_table(final_runs(), 1e12)
    one_size = final_runs().some(final_runs().parameters < 3e7)
    with pytest.raises(UsageError, match="that differ in both"):
        fit_final(one_size)


def test_of_a_sweep_the_best_run_counts() -> None:
    known = final_runs()
    swept = FinalRuns(*(np.concatenate([value, value]) for value in (known.parameters, known.tokens, known.losses)))
    swept.losses[: known.losses.size] *= 1.1
    best = best_runs(swept)
    assert np.sort(best.losses) == pytest.approx(np.sort(known.losses))


def test_a_table_is_read_by_the_names_of_its_columns(tmp_path: Path) -> None:
    known = final_runs()
    path = write_runs(tmp_path / "runs.csv")
    with path.open("a") as file:
        file.write(",1e9,1e18,2.0\n1e8,?,1e18,2.0\n1e8,1e9,1e18,nan\n")
    by_tokens = read_runs(path, RunColumns("N", "D", "loss"))
    by_flops = read_runs(path, RunColumns("N", "C", "loss", flops=True))
    assert by_tokens.losses.size == known.losses.size and by_flops.tokens[: known.tokens.size] == pytest.approx(
        known.tokens
    )
    with pytest.raises(UsageError, match="has no column 'params'"):
        read_runs(path, RunColumns("params", "D", "loss"))


def test_cells_of_a_table_as_people_write_them(tmp_path: Path) -> None:
    """And what is left out is counted."""
    path, told = tmp_path / "runs.csv", list[str]()
    rows = ["10M;1.5B;3,5", '"20,000,000";2e9;3.4', "30 M;3B;3,3", "4e7;4B;3,2", "50M;5B;3,1", "60M;6B;3,0"]
    path.write_text("N;D;loss\n" + "\n".join([*rows, "70M;7B;-1", "large;7B;2,9", "", "80M;;2,8"]) + "\n")
    runs = read_runs(path, RunColumns("N", "D", "loss"), tell=told.append)
    assert runs.parameters.tolist() == [1e7, 2e7, 3e7, 4e7, 5e7, 6e7]
    assert runs.tokens.tolist() == [1.5e9, 2e9, 3e9, 4e9, 5e9, 6e9]
    assert runs.losses.tolist() == [3.5, 3.4, 3.3, 3.2, 3.1, 3.0]
    assert told == [f"{path}: 3 of 9 rows are left out: N, D or loss is no positive number"]


def test_curves_without_an_asymptote_are_forecast_all_the_same() -> None:
    """Those of short runs, whose fall tells none: L0 is 0."""

    def short(parameters: float) -> Curve:
        made = schedules()["decay"]
        power, *_ = SHAPE.basis(made)[:, 1:2].T
        losses = 3.0 * (parameters / 25e6) ** -0.05 * power - 0.02 * (made.rates < PEAK)
        return Curve(made.steps, made.rates, "decay", losses)

    law = fit_sizes({size: {"decay": short(n)} for size, n in SIZES.items()})
    assert all(each.linear[0] < 0.05 * each.linear[1] for each in law.laws)
    hidden = short(1600e6)
    forecast = law.of(1600e6).forecast(hidden)
    late = hidden.steps > 2000
    assert np.mean(np.abs(forecast.losses / hidden.losses - 1)[late]) < 0.02
    assert np.all((forecast.low < hidden.losses)[late]) and np.all((hidden.losses < forecast.high)[late])


def test_an_exact_fit_has_a_band_all_the_same() -> None:
    exact = {
        size: {name: curve(name, SIZES[size], noise=0.0) for name in ("constant", "cosine", "drop")}
        for size in ("25M", "100M")
    }
    law = fit_sizes(exact)
    hidden = curve("decay", 400e6, noise=0.0)
    forecast = law.of(400e6, [hidden]).forecast(hidden)
    assert np.all(forecast.high - forecast.low > 2 * LEAST_ERROR * forecast.losses)
    same = final_runs()
    losses = 1.8 + 0.8 * (same.parameters / 1e8) ** -0.33 + (same.tokens / 1e9) ** -0.4
    perfect = FinalRuns(same.parameters, same.tokens, losses)
    middle, low, high = fit_final(perfect).losses(same)
    assert np.all(high - low > LEAST_ERROR * middle)


def test_a_forecast_outside_the_fitted_sizes_is_told() -> None:
    law = fit_sizes(small())
    assert law.outside(50e6) is None and law.outside(100e6) is None
    assert law.outside(400e6) == "4e+08 parameters are 4 times the largest fitted size (2.5e+07 to 1e+08)"
    assert str(law.outside(5e6)).startswith("5e+06 parameters are 0.2 of the smallest")


def test_the_warm_up_is_not_compared() -> None:
    whole = curve("constant", 100e6)
    whole.rates[:10] *= np.linspace(0.1, 0.95, 10)
    assert after_warm_up(whole).steps[0] == STEPS[10]
