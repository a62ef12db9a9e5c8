"""`submit` and `status` against a real Ray with its dashboard: output, exit codes, Ctrl-C, detached, stopped."""

import contextlib
import http.server
import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.engines.ray_jobs import find_job
from tests.infra.engines.clusters import ray_head
from tests.pipeline.command import made, refinery, start
from tests.pipeline.pages import write_crawl
from tests.pipeline.recipe_texts import BRIEF


@pytest.fixture(scope="module")
def head() -> Iterator[dict[str, str]]:
    with ray_head() as environment:
        yield environment


@pytest.fixture
def world(tmp_path: Path) -> Path:
    write_crawl(tmp_path / "crawl", files=2, each=8)
    (tmp_path / "brief.toml").write_text(BRIEF)
    return tmp_path


def command(head: dict[str, str], *words: object) -> tuple[int, str, str]:
    process = start(*words, environment=head)
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


@pytest.mark.long
def test_a_run_is_handed_over_and_followed(head: dict[str, str], world: Path) -> None:
    """Also on Ray Client, whose driver is here; all write what a run on this machine does."""
    run = ("run", "--recipe", world / "brief.toml", "--input", world / "crawl", "--out")
    code, out, err = command(head, "submit", "--", *run, world / "submitted")
    assert code == 0, out + err
    assert "kept " in out
    refinery(*run, world / "here")
    assert made(world / "submitted") == made(world / "here")
    code, out, err = command(head, *run, world / "client", "--engine", "ray", "--", f"--address={head['CLIENT']}")
    assert code == 0, out + err
    assert made(world / "client") == made(world / "here")


@pytest.mark.long
def test_the_exit_code_is_the_job_s(head: dict[str, str], world: Path) -> None:
    code, out, err = command(head, "submit", "--", "run", "--recipe", "nix", "--input", world / "crawl", "--out", "o")
    assert code == 2, out + err
    assert "nix" in out, err
    url = err.split("submitted: ")[1].split()[0]
    code, out, _ = command(head, "status", url)
    assert code == 0 and "failed with exit code 2" in out


@pytest.mark.long
def test_ctrl_c_leaves_it_running_and_stop_ends_it(head: dict[str, str], world: Path) -> None:
    os.mkfifo(world / "recipe.toml")  # whoever reads it waits
    words = ("submit", "--", "run", "--recipe", world / "recipe.toml", "--input", world / "crawl", "--out", world / "o")
    process = start(*words, environment=head)
    assert process.stderr is not None
    line = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130, line + rest
    name = re.search(r"raysubmit_\w+", line)
    assert name and f"{name[0]} goes on" in rest
    code, out, _ = command(head, "status", name[0], "--json")
    assert code == 0 and re.search('"status": "(pending|running)"', out)
    assert command(head, "submit", "--stop", name[0])[0] == 0
    code, out, err = command(head, "status", name[0])
    assert code == 0 and "stopped" in out, out + err
    assert "had ended before" in command(head, "submit", "--stop", name[0])[2]


TOKEN = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")


@pytest.mark.long
@pytest.mark.parametrize("kept", ["file", "variable"])
def test_a_cluster_that_asks_for_its_token_is_given_it(
    kept: str, head: dict[str, str], world: Path, tmp_path: Path
) -> None:
    """As `ray.init` leaves it, or as a user says it, without a word on RAY_AUTH_MODE."""
    bare = {name: value for name, value in head.items() if name not in TOKEN} | {"HOME": str(tmp_path)}
    if kept == "file":
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").write_text(head["RAY_AUTH_TOKEN"])
    else:
        bare["RAY_AUTH_TOKEN"] = head["RAY_AUTH_TOKEN"]
    run = ("run", "--recipe", world / "brief.toml", "--input", world / "crawl", "--out")
    code, out, err = command(bare, "submit", "--", *run, world / "submitted")
    assert code == 0, out + err
    code, out, err = command(bare, "status", err.split("submitted: ")[1].split()[0])
    assert code == 0 and "succeeded" in out, err
    for number, address in enumerate((head["NODE"], head["CLIENT"])):
        code, out, err = command(bare, *run, world / f"{number}", "--engine", "ray", "--", f"--address={address}")
        assert code == 0, out + err
        assert made(world / f"{number}") == made(world / "submitted")


@pytest.mark.long
@pytest.mark.parametrize("token", [{}, {"RAY_AUTH_TOKEN": "0" * 64}])
def test_without_its_token_a_cluster_refuses_in_a_line(
    token: dict[str, str], head: dict[str, str], world: Path, tmp_path: Path
) -> None:
    bare = {name: value for name, value in head.items() if name not in TOKEN} | {"HOME": str(tmp_path)} | token
    run = ("run", "--recipe", world / "brief.toml", "--input", world / "crawl", "--out", world / "out")
    for words in (
        ("submit", "--", *run),
        ("status", f"{head['RAY_API_SERVER_ADDRESS']}/#/jobs/raysubmit_x"),
        (*run, "--engine", "ray", "--", f"--address={head['NODE']}"),
        (*run, "--engine", "ray", "--", f"--address={head['CLIENT']}"),
    ):
        code, _, err = command(bare, *words)
        assert code == 2 and "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN" in err.splitlines()[-1], err
        assert "Traceback" not in err


@contextlib.contextmanager
def asking(token: str = "") -> Iterator[str]:
    """What answers as Ray's dashboard does where it asks for a token, or for none, and knows no job; its address."""

    class Dashboard(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = self.headers.get("authorization", "")
            status = 200 if not token else 401 if not given else 403 if given != f"Bearer {token}" else 200
            if status == 200 and not self.path.endswith("/version"):
                status = 404
            content = json.dumps({"ray_version": "2.60.0"}).encode() if status == 200 else b"no"
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dashboard) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"),
        ({"RAY_AUTH_TOKEN": "b" * 64}, "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"),
        ({"RAY_AUTH_TOKEN": "a" * 64, "RAY_AUTH_MODE": "disabled"}, "set RAY_AUTH_MODE=token"),
        ({"RAY_AUTH_TOKEN": "a" * 64}, "there is no job raysubmit_x"),
    ],
)
def test_a_token_is_sent_where_it_is_asked_for(given: dict[str, str], says: str, tmp_path: Path) -> None:
    with asking("a" * 64) as address:
        code, _, err = command({"HOME": str(tmp_path), **given}, "status", f"{address}/#/jobs/raysubmit_x")
    assert code == 2 and says in err and len(err.splitlines()) == 1, err


def test_a_job_is_stopped_where_the_address_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    with asking() as address:
        for job in ("raysubmit_x", "by-my-name", f"{address}/#/jobs/raysubmit_x"):
            where = address if "#" not in job else "http://127.0.0.1:1"  # that of the page counts
            said = refinery("submit", "--address", where, "--stop", job, code=2)
            assert f"there is no job {job.rpartition('/')[2]} at {address}" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("submit",), "say what is to be run behind --"),
        (("submit", "--", "runn"), "there is no command 'runn' to submit"),
        (("submit", "--address", "head:8265", "--", "verify", "x"), "give that of Ray's dashboard"),
        (("submit", "--address", "http://127.0.0.1:1", "--", "verify", "x"), "no Ray dashboard answers at"),
        (("submit", "--runtime-env", "nix.yaml", "--", "verify", "x"), "--runtime-env nix.yaml cannot be read"),
        (("status", "http://127.0.0.1:1/#/jobs/raysubmit_x"), "no Ray dashboard answers at http://127.0.0.1:1"),
        (
            ("status", "http://127.0.0.1:1/"),
            "names no job: give what `refinery submit` printed, as http://127.0.0.1:1/#/",
        ),
        (("status", "hf://datasets/out"), "is not on this machine"),
    ],
)
def test_what_cannot_be_handed_over_is_refused(words: tuple[str, ...], says: str) -> None:
    assert says in refinery(*words, code=2)


def test_a_runtime_environment_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runtime.yaml").write_bytes(b"pip: [\xff]\n")
    words = ("submit", "--runtime-env", tmp_path / "runtime.yaml", "--", "verify", "x")
    assert "runtime.yaml is no text in UTF-8" in refinery(*words, code=2)


def test_a_job_by_its_name_or_its_page() -> None:
    named, page = find_job("raysubmit_a1"), find_job("https://head:8265/#/jobs/raysubmit_a1")
    assert named and page and (named.name, named.address, page.address) == ("raysubmit_a1", None, "https://head:8265")
    assert find_job("out") is find_job("runs/raysubmit_a1") is None
