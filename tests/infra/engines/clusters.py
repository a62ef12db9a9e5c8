"""Clusters on this machine: Ray with several nodes, Ray with its dashboard, Beam's job service."""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 120
# A node that is dead is seen to be after three seconds, not after half a minute.
QUICK = {"health_check_period_ms": 300, "health_check_timeout_ms": 300, "health_check_failure_threshold": 8}


@contextlib.contextmanager
def ray_cluster(nodes: int) -> Iterator[Any]:
    """A head that runs no tasks, and `nodes` others with one processor each; `.address` is the cluster's."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": QUICK}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=1)
        yield cluster
    finally:
        cluster.shutdown()


@contextlib.contextmanager
def ray_node(address: str, *words: str) -> Iterator[None]:
    """A node with one processor that joins the cluster, as a machine does; it may be gone before the end."""
    ray = str(Path(sys.executable).with_name("ray"))
    command = [ray, "start", f"--address={address}", "--num-cpus=1", "--block", "--disable-usage-stats", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    """Outside the range from which Ray gives ports to its workers, 10002 to 19999."""
    while True:
        with socket.socket() as given:
            given.bind(("127.0.0.1", 0))
            port = int(given.getsockname()[1])
        if port >= 20000:
            return port


def wait_for_port(port: int, process: subprocess.Popen[bytes], host: str = "127.0.0.1") -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "it ended"
        with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
            return
        time.sleep(0.2)
    raise AssertionError(f"nothing listens at {host}:{port}")


@contextlib.contextmanager
def server(words: list[str], port: int, environment: Mapping[str, str], host: str = "127.0.0.1") -> Iterator[None]:
    """A process and all that it starts, from the time when it listens at the port."""
    with (ROOT / os.devnull).open("wb") as nothing:
        process = subprocess.Popen(words, env=environment, stdout=nothing, stderr=nothing, cwd=ROOT)
    try:
        wait_for_port(port, process, host)
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


@contextlib.contextmanager
def beam_job_service() -> Iterator[str]:
    """`HOST:PORT` of Beam's own job service."""
    port = free_port()
    words = [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main", f"--port={port}"]
    with server(words, port, dict(os.environ)):
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def ray_head() -> Iterator[dict[str, str]]:
    """A cluster of one node with dashboard and a port for Ray Client, as `ray start --head` makes it: what is to be
    added to the environment of those who use it. RAY_API_SERVER_ADDRESS, CLIENT and NODE are its addresses."""
    host, port, client, dashboard, agent = "127.0.0.2", *(free_port() for _ in range(4))
    added = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    words = [
        "start", "--head", "--block", "--disable-usage-stats", "--num-cpus=2",
        f"--node-ip-address={host}", f"--port={port}", f"--ray-client-server-port={client}",
        f"--dashboard-host={host}", f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}",
    ]  # fmt: skip
    ray, environment = str(Path(sys.executable).with_name("ray")), {**os.environ, **added}
    with (
        # a short path: there are sockets below it
        tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder,
        server([ray, *words, f"--temp-dir={folder}"], dashboard, environment, host),
    ):
        addresses = {"CLIENT": f"ray://{host}:{client}", "NODE": f"{host}:{port}"}
        yield {**added, "RAY_API_SERVER_ADDRESS": f"http://{host}:{dashboard}", **addresses}
