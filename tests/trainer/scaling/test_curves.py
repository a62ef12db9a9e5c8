"""Curves as they are read from files."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from infra.errors import UsageError
from trainer.scaling.curves import parameters_of, read_curve, read_curves, read_schedule
from trainer.scaling.final_runs import RunColumns, read_runs

HEAD = "step,lr,loss\n"
ROWS = [f"{step},0.001,{4 - step / 100}" for step in range(1, 13)]


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_csv_and_the_log_of_a_training_are_the_same_curve(tmp_path: Path) -> None:
    table = read_curve(written(tmp_path / "a.csv", HEAD + "\n".join(ROWS)))
    lines = [f'{{"step": {step}, "learning_rate": 0.001, "loss": {4 - step / 100}, "k": 12}}' for step in range(1, 13)]
    log = read_curve(written(tmp_path / "a.jsonl", "\n".join(['{"event": "start"}', *lines])))
    for name in ("steps", "rates", "losses"):
        assert np.array_equal(getattr(table, name), getattr(log, name))
    assert table.name == "a" and table.losses[-1] == pytest.approx(3.88)


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    assert read_curve(written(tmp_path / "a.csv", "\ufeff" + HEAD + "\n".join(ROWS))).steps.size == 12


def test_losses_that_are_not_finite_or_missing_are_left_out(tmp_path: Path) -> None:
    rows = [*ROWS[:4], "5,0.001,nan", "6,0.001,", "7,0.001,inf", *ROWS[7:]]
    curve = read_curve(written(tmp_path / "a.csv", HEAD + "\n".join(rows)))
    assert curve.steps.tolist() == [1, 2, 3, 4, 8, 9, 10, 11, 12]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("step,loss\n1,2\n", "has no column 'lr'"),
        (HEAD + "\n".join(ROWS[:5]), "has 5 rows"),
        (HEAD + "\n".join([*ROWS[:7], *ROWS[:7]]), "has 7 rows of finite numbers; give 8 at least, each another step"),
        (HEAD + "\n".join([*ROWS, "13,0,001,2,5"]), "line 14, has 5 cells for 3 columns: write numbers without commas"),
        ("step,lr,loss,Loss (nats),loss\n" + "\n".join(ROWS), "has two columns 'loss': 'loss' and 'loss'; leave one"),
        (HEAD + "\n".join([*ROWS, "x,0.001,2.0"]), "line 14: step is 'x'"),
        (HEAD + "\n".join([*ROWS, "13,-1,2.0"]), "negative"),
        (HEAD + "\n".join([*ROWS, "9e17,0.001,2.0"]), "step 12 is followed by 9e\\+17: correct that row"),
        ("", "has no column 'step'"),
    ],
)
def test_what_is_no_curve_is_refused_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read_curve(written(tmp_path / "a.csv", text))


def test_rows_that_are_left_out_are_counted_and_told(tmp_path: Path) -> None:
    told: list[str] = []
    rows = [*ROWS[:4], "5,0.001,0", "6,0.001,-1.5", "7,0.001,", *ROWS[7:]]
    path = written(tmp_path / "a.csv", HEAD + "\n".join(rows))
    assert read_curve(path, told.append).steps.tolist() == [1, 2, 3, 4, 8, 9, 10, 11, 12]
    assert told == [f"{path}: 3 of 12 rows are left out: a value is missing, or the loss is not positive"]
    read_curve(written(tmp_path / "b.csv", HEAD + "\n".join(ROWS)), told.append)
    assert len(told) == 1


@pytest.mark.parametrize(("separator", "decimal"), [(";", ","), ("\t", ".")])
def test_columns_may_be_parted_otherwise(tmp_path: Path, separator: str, decimal: str) -> None:
    rows = [line.split(",") for line in (HEAD + "\n".join(ROWS)).splitlines()]
    text = "\n".join(separator.join(cell.replace(".", decimal) for cell in row) for row in rows)
    plain = read_curve(written(tmp_path / "a.csv", HEAD + "\n".join(ROWS)))
    other = read_curve(written(tmp_path / "b.csv", text))
    assert other.losses.tolist() == plain.losses.tolist() and other.rates.tolist() == plain.rates.tolist()


def test_rows_need_no_order(tmp_path: Path) -> None:
    for number, rows in enumerate((ROWS[::-1], [*ROWS[1::2], *ROWS[::2]], [*ROWS[:4], ROWS[5], ROWS[4], *ROWS[6:]])):
        told: list[str] = []
        curve = read_curve(written(tmp_path / f"{number}.csv", HEAD + "\n".join(rows)), told.append)
        assert curve.steps.tolist() == [*range(1, 13)] and not told
        assert curve.losses[-1] == pytest.approx(3.88)


def test_of_a_resumed_run_the_later_rows_count(tmp_path: Path) -> None:
    again = [f"{step},0.001,{2 - step / 100}" for step in (7, 8, 9)]  # and ends before the first attempt did
    told: list[str] = []
    curve = read_curve(written(tmp_path / "a.csv", HEAD + "\n".join([*ROWS, *again])), told.append)
    assert curve.steps.tolist() == [*range(1, 10)]
    assert curve.losses[-3:].tolist() == pytest.approx([1.93, 1.92, 1.91])
    assert told == [
        f"{tmp_path / 'a.csv'}: 6 of 15 rows are left out: a later row has their step, as in a run that resumed"
    ]
    # twice the same step, in a table without an order: the later row
    mixed = [*ROWS[::-1], "3,0.001,2.0"]
    curve = read_curve(written(tmp_path / "b.csv", HEAD + "\n".join(mixed)))
    assert curve.steps.tolist() == [*range(1, 13)] and curve.losses[2] == 2.0


@pytest.mark.parametrize(
    ("head", "times"),
    [
        ("# run 7\n\nStep,Learning rate,Loss (nats)", 1.0),
        ("sep=,\r\n_step,train/learning_rate,train/loss", 1.0),
        ("global_step,LR,loss [bits]", 0.6931471805599453),
        ("iter [K],lr,train_loss", 1.0),
        ("Step,lr/group0,train/lm_loss", 1.0),
        ("Step,a-run - train/lr,a-run - train/loss", 1.0),
    ],
)
def test_columns_of_other_programs(tmp_path: Path, head: str, times: float) -> None:
    curve = read_curve(written(tmp_path / "a.csv", head + "\r\n" + "\r\n".join(ROWS)))
    assert curve.steps.tolist() == [(1000 if "[K]" in head else 1) * step for step in range(1, 13)]
    assert curve.losses.tolist() == pytest.approx([times * (4 - step / 100) for step in range(1, 13)])


@pytest.mark.parametrize(("unit", "told"), [("ppl", "the natural logarithm"), ("bits per byte", "bytes of a token")])
def test_a_loss_in_another_measure_is_refused(tmp_path: Path, unit: str, told: str) -> None:
    path = written(tmp_path / "a.csv", f"step,lr,loss ({unit})\n" + "\n".join(ROWS))
    with pytest.raises(UsageError, match=rf"is in {unit}: give nats a token, .*{told}"):
        read_curve(path)


def test_a_unit_in_a_name_counts_where_the_cell_has_none(tmp_path: Path) -> None:
    rows = ["N [M],Tokens (B),loss", "10,1,4", "20M,2e9 ,3.5", "30,n/a,3", "-,4,3", "50,5,2.5"]
    path = written(tmp_path / "a.csv", "\n".join(rows).replace("2e9 ", "2B"))
    told: list[str] = []
    runs = read_runs(path, RunColumns("N", "tokens", "loss"), tell=told.append, least=1)
    assert runs.parameters.tolist() == [1e7, 2e7, 5e7] and runs.tokens.tolist() == [1e9, 2e9, 5e9]
    assert told == [f"{path}: 2 of 5 rows are left out: N, tokens or loss is no positive number"]


def test_a_size_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the size 25M is named twice"):
        read_curves(tmp_path, ["25M", "25M"])


def test_a_schedule_needs_no_losses(tmp_path: Path) -> None:
    rows = "\n".join(f"{step},{step / 1000}" for step in range(1, 12))
    assert read_schedule(written(tmp_path / "a.csv", f"step,lr\n{rows}")).rates[-1] == 0.011


def test_a_schedule_of_one_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has 1 rows of finite numbers; give 2"):
        read_schedule(written(tmp_path / "a.csv", "step,lr\n1,0.1\n"))


def test_a_size_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "25M").mkdir()
    with pytest.raises(UsageError, match=r"has no folder 26M.*25M"):
        read_curves(tmp_path, ["26M"])
    with pytest.raises(UsageError, match="has no curves"):
        read_curves(tmp_path, ["25M"])


def test_files_of_a_folder(tmp_path: Path) -> None:
    text = HEAD + "\n".join(ROWS)
    below = tmp_path / "25M"
    below.mkdir()
    written(below / "a.csv", text)
    written(below / "b.1.tsv", text.replace(",", "\t"))
    (below / "c.csv.gz").write_bytes(gzip.compress(text.encode()))
    for other in ("._a.csv", "README.md", "a.png"):
        written(below / other, "no table")
    found = read_curves(tmp_path, ["25M"])["25M"]
    assert [*found] == [each.name for each in found.values()] == ["a", "b.1", "c"]
    assert all(np.array_equal(curve.losses, found["a"].losses) for curve in found.values())
    written(below / "a.jsonl", "")
    with pytest.raises(UsageError, match=r"two files of one run: a.csv and a.jsonl; leave one out"):
        read_curves(tmp_path, ["25M"])


def test_bytes_that_are_no_text_are_refused_in_one_line(tmp_path: Path) -> None:
    whole = gzip.compress((HEAD + "\n".join(ROWS)).encode())
    for name, body, told in (
        ("a.csv", (HEAD + "\n".join(ROWS)).encode("utf-16"), "save it as UTF-8"),
        ("a.csv.gz", whole[:-9], "cannot be read"),
        ("b.csv.gz", b"step,lr,loss", "cannot be read"),
    ):
        (tmp_path / name).write_bytes(body)
        with pytest.raises(UsageError, match=told):
            read_curve(tmp_path / name)


def test_sizes() -> None:
    assert [parameters_of(size) for size in ("25M", "1.3B", "7b", "5e6")] == [25e6, 1.3e9, 7e9, 5e6]
    for wrong in ("", "M", "-1", "big", "nan"):
        with pytest.raises(UsageError, match="no size of a model"):
            parameters_of(wrong)
