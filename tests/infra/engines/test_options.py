"""The options of engines: where they come from, and what is refused in one line."""

import socket
from pathlib import Path

import pytest

from infra.engines.beam import BeamEngine
from infra.engines.open import open_engine
from infra.engines.options import bytes_given, name_and_options
from infra.errors import UsageError, WorkError
from tests.infra.toy import Count, Slices, header
from tests.pipeline.command import refinery
from tests.pipeline.pages import write_crawl


def test_the_name_and_its_options() -> None:
    assert name_and_options("ray --address=auto --memory '4 GiB'") == ("ray", ["--address=auto", "--memory", "4 GiB"])
    assert (bytes_given("1.5GiB"), bytes_given("200MB"), bytes_given("7")) == (3 * 2**29, 200_000_000, 7)


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ("spark", "no engine 'spark': choose one of local, ray, beam"),
        ("", "no engine '': choose"),
        ("local --address=x", "--engine local: unrecognized arguments: --address=x .its options: none"),
        ("ray --adress=x", "--engine ray: unrecognized arguments: --adress=x .its options: --address, --memory"),
        ("ray --memory=much", "'much' is no number of bytes such as 4GiB"),
        ("ray --address '", "cannot be read: No closing quotation"),
    ],
)
def test_what_is_no_option_is_refused(engine: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        open_engine(engine)


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ("ray --address=127.0.0.1:1", "a Ray cluster was not reached at 127.0.0.1:1"),
        ("ray --address=ray://127.0.0.1:1", "a Ray cluster was not reached at 127.0.0.1:1"),
        ("beam --runer=FlinkRunner", "no option of Beam is called --runer"),
        ("beam --runner=Flunk", "Unexpected pipeline runner: Flunk"),
        ("beam stray", "Beam would pass over stray: its options begin with two dashes"),
        ("beam --runner=FlinkRunner --of_its_server 3 stray", "Beam would pass over stray:"),
        ("beam -runner=FlinkRunner", "Beam would pass over -runner=FlinkRunner:"),
        ("beam -runner FlinkRunner --direct_num_workers 2", "Beam would pass over -runner FlinkRunner:"),
        ("beam --direct_num_workers=x", "argument --direct_num_workers: invalid int value: 'x'"),
        (
            "beam --runner=PortableRunner --job_endpoint=127.0.0.1:1",
            "a Beam job service was not reached",
        ),
    ],
)
def test_what_cannot_be_reached_is_refused(engine: str, says: str, tmp_path: Path) -> None:
    with open_engine(engine) as opened, pytest.raises(UsageError, match=says):
        opened.map_shards(Count(), [Slices()], tmp_path, header())


def test_options_of_beam_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are given come in their place."""
    monkeypatch.setenv("REFINERY_BEAM_OPTIONS", "--runner=FlinkRunner --flink_master='a b:1'")
    assert BeamEngine().words == ["--runner=FlinkRunner", "--flink_master=a b:1"]
    assert BeamEngine(options=["--runner=SparkRunner"]).words == ["--runner=SparkRunner"]


def test_options_follow_two_dashes_on_the_command_line(tmp_path: Path) -> None:
    write_crawl(tmp_path / "crawl", 1, 2)
    words = ("ingest", "--recipe", "extract", "--input", tmp_path / "crawl", "--out", tmp_path / "out")
    assert "no option of Beam is called --runer" in refinery(*words, "--engine", "beam", "--", "--runer", "x", code=2)
    assert "--engine local: unrecognized arguments" in refinery(*words, "--", "--address", "x", code=2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--runner=FlinkRunner --flink_master=127.0.0.1:1 --flink_job_server_jar=nix.jar", "FlinkRunner .*(nix|java)"),
        ("--runner=PortableRunner --job_endpoint={} --job_server_timeout=1", "PortableRunner .*Timeout"),
    ],
)
def test_what_a_runner_cannot_do_is_told_as_it_is(options: str, says: str, tmp_path: Path) -> None:
    """No worker died: none was begun."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        words = options.format(f"127.0.0.1:{silent.getsockname()[1]}")
        with (
            open_engine(f"beam {words}") as engine,
            pytest.raises(WorkError, match=f"Beam's {says}"),
        ):
            engine.map_shards(Count(), [Slices()], tmp_path, header())


def test_what_beam_raises_comes_as_it_is(tmp_path: Path) -> None:
    with open_engine("beam") as engine, pytest.raises(RuntimeError) as raised:
        engine.map_shards(Count(fail_at=2), [Slices()], tmp_path, header())
    assert str(raised.value) == "told to fail"
