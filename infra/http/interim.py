"""Connections that pass over interim answers, such as 103 Early Hints (RFC 9110, 15.2): the library takes each but 100
for the answer itself."""

from functools import cache
from typing import Any

# A server that sends more of them before its answer does not answer.
MOST_INTERIM = 20
SWITCHING = 101


@cache
def pools() -> dict[str, Any]:
    """urllib3's classes of pools by scheme, with such connections. Made when the first address is asked: most runs ask
    none, and to import the library takes a while."""
    from http import client

    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.connection import HTTPConnection, HTTPSConnection

    class FinalResponse(client.HTTPResponse):
        """The first answer that is not an interim one."""

        def _read_status(self) -> Any:  # what `begin` asks first
            for _ in range(MOST_INTERIM):
                found = super()._read_status()  # type: ignore[misc]
                if not 100 <= found[1] < 200 or found[1] == SWITCHING:
                    return found
                client.parse_headers(self.fp)
            raise client.BadStatusLine(f"more than {MOST_INTERIM} interim answers")

    class Plain(HTTPConnection):
        response_class = FinalResponse

    class Secure(HTTPSConnection):
        response_class = FinalResponse

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
