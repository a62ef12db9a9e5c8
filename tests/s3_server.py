"""A real S3 server on loopback (moto's), with faults by script in front of it."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import WSGIRequestHandler, make_server

from infra.storage import client

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIDTESTTESTTESTTEST",
    "AWS_SECRET_ACCESS_KEY": "a-secret-that-nothing-shows",
    "AWS_REGION": "us-east-1",
}
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"

# What is done in place of an answer; None: the request is passed on.
Fault = Callable[[Any, Any], Iterable[bytes]]


def answer(environ: Any, start: Any, status: str, body: bytes = b"") -> Iterable[bytes]:
    """After the whole request has been read: the connection is used again."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]


def slow_down(environ: Any, start: Any) -> Iterable[bytes]:
    return answer(environ, start, "503 Slow Down", SLOW_DOWN)


def too_many(environ: Any, start: Any) -> Iterable[bytes]:
    return answer(environ, start, "429 Too Many Requests")


def denied(environ: Any, start: Any) -> Iterable[bytes]:
    return answer(environ, start, "403 Forbidden", DENIED)


def says(status: str, code: str) -> Fault:
    """An answer as S3 has it: `status` with its reason, and the code of its error."""
    body = f"<Error><Code>{code}</Code><Message>As asked for.</Message></Error>".encode()
    return lambda environ, start: answer(environ, start, status, body)


def cut(environ: Any, start: Any) -> Iterable[bytes]:
    """The connection ends in the middle of the request."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0) // 2)
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    start("500 Cut", [])
    return []


def stall(seconds: float) -> Fault:
    def fault(environ: Any, start: Any) -> Iterable[bytes]:
        time.sleep(seconds)
        return cut(environ, start)

    return fault


@dataclass
class Server:
    """`faults`: what becomes of the next requests for which `chosen` is true, one each. `requests`: (method, path)."""

    application: Any
    faults: list[Fault] = field(default_factory=list)
    chosen: Callable[[str, str], bool] = lambda method, path: True
    requests: list[tuple[str, str]] = field(default_factory=list)
    address: str = ""
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, environ: Any, start: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        query = environ.get("QUERY_STRING")
        with self._turn:
            self.requests.append((method, f"{path}?{query}" if query else path))
            fault = self.faults.pop(0) if self.faults and self.chosen(method, path) else None
        return fault(environ, start) if fault else self.application(environ, start)

    def fail(self, fault: Fault, times: int, chosen: Callable[[str, str], bool] = lambda method, path: True) -> None:
        self.chosen = chosen
        self.faults[:] = [fault] * times

    def make_bucket(self, name: str) -> None:
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(name, ENVIRONMENT["AWS_REGION"])

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """An object of any key that S3 takes."""
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, key, content)

    def delete(self, bucket: str, key: str) -> None:
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].delete_object(bucket, key)

    @property
    def environment(self) -> dict[str, str]:
        return {**ENVIRONMENT, "AWS_ENDPOINT_URL": self.address}


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, as a real store does

    def log(self, *_: Any, **__: Any) -> None:
        pass


@contextmanager
def s3_server() -> Iterator[Server]:
    """The server, with the environment that leads to it set."""
    server = Server(DomainDispatcherApplication(create_backend_app))
    http = make_server("127.0.0.1", 0, server, threaded=True, request_handler=_Quiet)
    server.address = f"http://127.0.0.1:{http.server_port}"
    threading.Thread(target=http.serve_forever, daemon=True).start()
    before = {name: os.environ.get(name) for name in server.environment}
    os.environ.update(server.environment)
    client.client.cache_clear()
    try:
        yield server
    finally:
        http.shutdown()
        client.client.cache_clear()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
