"""The token of a Ray cluster that asks for one: found where Ray keeps it, and sent only there.

Since 2.60 `ray.init` makes a token (`~/.ray/auth_token`) and `ray start --head` asks for it, but a client that is given
an address sends none unless RAY_AUTH_MODE is `token`. So the cluster is asked first.
"""

import logging
import re
from collections.abc import Callable
from typing import Any, TypeVar

from infra.errors import UsageError

T = TypeVar("T")

# A call that each server answers without work, by the kind of its address.
_ASKED = {"ray://": "/ray.rpc.RayletDriver/ClusterInfo", "": "/ray.rpc.NodeInfoGcsService/CheckAlive"}
ANSWER_SECONDS = 10.0


def with_token(address: str, ask: Callable[[], T]) -> T:
    """What `ask` gives, which is called again with the token where the cluster wants one. UsageError if there is none,
    or it is another cluster's."""
    try:
        return ask()
    except Exception as error:
        if not is_refusal(error):
            raise
    if not _send_token():
        raise no_token(address)
    try:
        return ask()
    except Exception as error:
        if not is_refusal(error):
            raise
    raise no_token(address)


def check_token(address: str) -> None:
    """The same of a cluster that a driver connects to, `HOST:PORT` or `ray://HOST:PORT`: to be refused would take Ray
    minutes."""
    if _is_refused(address, {}) and (not _send_token() or _is_refused(address, _token())):
        raise no_token(address)


def is_refusal(error: BaseException) -> bool:
    """Whether Ray says that a token is missing or wrong."""
    return type(error).__name__ == "AuthenticationError"  # older ones have no such class


def no_token(address: str) -> UsageError:
    return UsageError(
        f"the Ray cluster at {address} asks for a token, and the one that is here, if any, is not its own: set "
        "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN to what `ray get-auth-token` prints on its head"
    )


def _send_token() -> bool:
    """From now on this process, and those that it starts, send the token; False where there is none, or the user has
    said `RAY_AUTH_MODE=disabled`."""
    try:
        from ray._private.authentication import authentication_token_setup as setup
    except ImportError:  # before Ray had tokens
        return False
    setup.logger.setLevel(logging.ERROR)
    return bool(setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False))


def _token() -> dict[str, str]:
    """As a header; empty where Ray looked for a token and found none."""
    from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]  # compiled

    try:
        return dict(AuthenticationTokenLoader.instance().get_token_for_http_header())
    except Exception as error:
        if not is_refusal(error):
            raise
        return {}


def _is_refused(address: str, headers: dict[str, str]) -> bool:
    """False also where nothing answers, or over TLS, which Ray sets up itself: what it says then is told."""
    import grpc  # type: ignore[import-untyped]  # comes with Ray

    kind = "ray://" if address.startswith("ray://") else ""
    server = address.removeprefix(kind)
    if not re.fullmatch(r"[^/]+:\d+/?", server):  # such as `auto`, where Ray finds the token itself
        return False
    try:
        with grpc.insecure_channel(server.rstrip("/")) as channel:
            ask: Any = channel.unary_unary(_ASKED[kind])
            ask(b"", timeout=ANSWER_SECONDS, metadata=tuple(headers.items()))
    except grpc.RpcError as error:
        return bool(error.code() is grpc.StatusCode.UNAUTHENTICATED)
    return False
