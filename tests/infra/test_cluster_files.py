"""The files that start clusters: each as far as it can be checked without the service that reads it."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.examples.shell import command_of
from tests.files import ROOT

FOLDER = ROOT / "infra" / "cluster"
# In the place of Slurm, Ray and ours: each writes down how it was called.
FAKES = {
    "scontrol": "printf 'n1\\nn2\\nn3\\n'",
    "srun": 'for w; do case $w in --*) ;; hostname) echo "10.0.0.1 fe80::1"; exit;; esac; done; exec sleep 30',
    "ray": "true",
    "refinery": 'until [ $(grep -c " ray start " "${0%/*}/log") = 3 ]; do sleep 0.1; done',
}


def parsed(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


def test_ray_takes_its_cluster_file() -> None:
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(parsed("ray.yaml"))
    validate_config(config)
    assert config["head_node_type"] in config["available_node_types"]
    with pytest.raises(ValidationError):
        validate_config({**config, "no_such_key": 1})


def test_the_job_of_kuberay_is_a_command_of_ours() -> None:
    job = parsed("rayjob.yaml")
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[:3] == ["python", "-m", "refinery"]
    name, context = command_of(words[3:])
    assert (name, context.params["engine"]) == ("run", "ray")
    for group in (job["spec"]["rayClusterSpec"]["headGroupSpec"], *job["spec"]["rayClusterSpec"]["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        assert container["resources"]["requests"] == container["resources"]["limits"]


def test_slurm_starts_a_head_and_the_other_nodes(tmp_path: Path) -> None:
    for name, does in FAKES.items():
        fake = tmp_path / name
        fake.write_text(f'#!/bin/bash\necho "{name} $*" >> {tmp_path}/log\n{does}\n')
        fake.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "n[1-3]", "SLURM_CPUS_ON_NODE": "4",
    }  # fmt: skip
    words = ["bash", str(FOLDER / "slurm.sh"), "run", "--recipe", "fineweb", "--out", "a b"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    log = (tmp_path / "log").read_text().splitlines()
    started = [line for line in log if " ray start " in line]
    (head,) = (line for line in started if "--nodelist=n1" in line)  # the lines of the three come in any order
    assert "--head --node-ip-address=10.0.0.1 --port=6379" in head
    assert [line.partition("--nodelist=")[2][:2] for line in sorted(started)] == ["n1", "n2", "n3"]
    assert all("--num-cpus=4" in line for line in started)
    assert "refinery run --recipe fineweb --out a b --engine ray -- --address=10.0.0.1:6379" in log


def test_the_image_is_made_by_the_script() -> None:
    lines = (FOLDER / "Dockerfile").read_text().splitlines()
    assert any("sh /src/infra/cluster/setup.sh /src /opt/refinery" in line for line in lines)
    lock = (ROOT / "requirements.lock").read_text()
    (version,) = {line.partition("sdk:")[2].split()[0] for line in lines if "beam_python" in line}
    assert f"apache-beam=={version}\n" in lock


@pytest.mark.long
def test_the_script_makes_an_environment(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHON": sys.executable}
    environment.pop("PYTHONPATH", None)
    words = ["sh", str(FOLDER / "setup.sh"), str(ROOT), str(tmp_path / "made")]
    made = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("refinery ")
    listed = subprocess.run(
        [tmp_path / "made" / "bin" / "refinery", "recipes", "list", "--json"], capture_output=True, cwd=tmp_path
    )
    assert json.loads(listed.stdout)
