"""The clients of object stores, one for each bucket and process, and what their errors mean.

`obstore` (the Rust library `object_store`) speaks S3 and Google Cloud Storage. It takes credentials, region and
endpoint from where they usually are: the variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
AWS_REGION, AWS_ENDPOINT_URL, AWS_SKIP_SIGNATURE, a web identity or the role of the machine;
GOOGLE_APPLICATION_CREDENTIALS. They never pass through our code, so no path, message, pickle or manifest can have them.

A request that fails with 429, 5xx, a time-out or a cut connection is sent again, after a pause that grows (with
jitter) up to MAX_PAUSE, for RETRY_TIME in all: an outage of a minute is waited for, one of three is an error. The
library does that, but for two answers after which S3 asks for the same request: 409, to one of two that came at once
(ConditionalRequestConflict, OperationAborted), and 400 RequestTimeout. Those are sent again here (`send`).
"""

import errno
import json
import os
import random
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from infra.storage.errors import StoreAgain, StoreError, StoreRefusal

SCHEMES = ("s3", "gs")

FIRST_PAUSE = timedelta(milliseconds=100)
MAX_PAUSE = timedelta(seconds=10)
RETRY_TIME = timedelta(minutes=3)
MAX_RETRIES = 1000  # more than fit into that time
GROWTH = 3
CONNECT_TIMEOUT = timedelta(seconds=10)
# Without a byte for so long, a connection is given up; one answer may take so long in all.
READ_TIMEOUT = timedelta(seconds=30)
REQUEST_TIMEOUT = timedelta(minutes=10)

# What S3 says of a bucket that cannot be spoken to.
BUCKET_CODES = {
    "NoSuchBucket": "there is no such bucket",
    "InvalidBucketName": "this cannot be the name of a bucket",
    "PermanentRedirect": "the bucket is in another region: set AWS_REGION",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set AWS_REGION",
}
# What S3 says, with 400, of credentials that were valid for some hours.
EXPIRED = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired")
CHECK = "check the credentials and the rights that they have"
RENEW = "the credentials have expired, or are not valid: renew them, and run the same command again"
UNTOLD = "the credentials may have expired, or the bucket be in another region than AWS_REGION says"
# What follows in an error of the library is its own inside.
_DETAIL = re.compile(r"Error performing (\w+) \S+ in [\d.]+\w*(?:, after (\d+) retries)?.*? - (.*)", re.DOTALL)
_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_PRINTED = re.compile(r"[!-~]+")
_KEY = re.compile(r'Path "(.*?)"(?:: | contained )', re.DOTALL)


# Any of these says where credentials are, or that none are needed; without them a service that only the machines of the
# cloud have is asked, for minutes.
AWS_SOURCES = (
    "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_SKIP_SIGNATURE", "AWS_METADATA_ENDPOINT",
)  # fmt: skip
AWS_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
METADATA_SERVICE = ("169.254.169.254", 80)
NO_CREDENTIALS = (
    "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (`aws configure export-credentials "
    "--format env` prints those of a profile), or AWS_SKIP_SIGNATURE=true for a public bucket"
)


@cache
def client(scheme: str, bucket: str) -> Any:
    """The store of a bucket; threads may share it."""
    from obstore.store import GCSStore, S3Store

    url = f"{scheme}://{bucket}"
    options: Any = {"connect_timeout": CONNECT_TIMEOUT, "read_timeout": READ_TIMEOUT, "timeout": REQUEST_TIMEOUT}
    if _checked_endpoint(scheme, url).lower().startswith("http://"):
        options["allow_http"] = True
    retries: Any = {
        "max_retries": MAX_RETRIES,
        "retry_timeout": RETRY_TIME,
        "backoff": {"init_backoff": FIRST_PAUSE, "max_backoff": MAX_PAUSE, "base": GROWTH},
    }
    if scheme == "s3" and not any(os.environ.get(name) for name in AWS_SOURCES) and not _answers(METADATA_SERVICE):
        raise StoreRefusal(errno.EACCES, NO_CREDENTIALS, url)
    try:
        with store_errors(url):
            if scheme == "s3":
                return S3Store(bucket, client_options=options, retry_config=retries)
            return GCSStore(bucket, client_options=options, retry_config=retries)
    except StoreError as error:  # nothing was asked yet
        raise StoreRefusal(errno.EINVAL, f"{error.strerror}: correct the environment", url) from None


def _checked_endpoint(scheme: str, url: str) -> str:
    """`endpoint(scheme)`. StoreRefusal for what is no address of a server, at which the library ends with a panic."""
    address = endpoint(scheme)
    try:
        split = urlsplit(address)
        plain = _PRINTED.fullmatch(address) is not None
        named = plain and split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
    except ValueError:
        named = False
    if address and not named:
        where = _endpoint_variable() if scheme == "s3" else "gcs_base_url of the service account"
        told = f"{where} is no address of a server: give http://HOST:PORT or https://HOST"
        raise StoreRefusal(errno.EINVAL, told, url)
    return address


def _endpoint_variable() -> str:
    """The name of AWS_ENDPOINT_URL that is set, the most special first, as the library takes them."""
    return next((name for name in AWS_ENDPOINTS if os.environ.get(name)), "AWS_ENDPOINT_URL")


def endpoint(scheme: str) -> str:
    """The address of the store where it is not the cloud's own: of S3 AWS_ENDPOINT_URL, by any of its names, of
    Google's the `gcs_base_url` of the service account, which only emulators have."""
    if scheme == "s3":
        return os.environ.get(_endpoint_variable(), "")
    key, file = os.environ.get("GOOGLE_SERVICE_ACCOUNT_KEY"), os.environ.get("GOOGLE_SERVICE_ACCOUNT")
    try:
        account = json.loads(key or (Path(file).read_bytes() if file else "{}"))
        return str(account.get("gcs_base_url", ""))
    except (OSError, ValueError, TypeError, AttributeError):  # the library says what is wrong with it
        return ""


def _answers(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=2).close()
    except OSError:
        return False
    return True


@contextmanager
def store_errors(place: object) -> Iterator[None]:
    """Errors of the library as errors of ours. `place`: the URL that is spoken of. FileNotFoundError where there is no
    such object, FileExistsError where a condition of a PUT is not met, StoreAgain for what is to be sent again."""
    from obstore import exceptions

    try:
        yield
    except FileNotFoundError as error:
        _check_bucket(error, place)
        if "uploadId" in str(error):  # parts that are gone: the upload was aborted, or had succeeded
            raise StoreError(errno.EIO, reason(error), str(place)) from None
        raise FileNotFoundError(errno.ENOENT, "no such object", str(place)) from None
    except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
        if _asks_again(error):
            raise StoreAgain(errno.EIO, reason(error), str(place)) from None
        raise FileExistsError(errno.EEXIST, "another version of it is there", str(place)) from None
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        _check_credentials(error, place)
        raise _denied(reason(error), CHECK, place) from None
    except exceptions.InvalidPathError as error:
        key = _KEY.search(str(error))
        advice = (f"the key {key[1] if key else str(place)!r} has an empty part, '.', '..' or a control character in it"
                  ", and is not read: rename that object, or name files or folders without it")  # fmt: skip
        raise StoreRefusal(errno.EINVAL, advice, str(place)) from None
    except exceptions.BaseError as error:
        _check_bucket(error, place)
        _check_credentials(error, place)
        kind = StoreAgain if _asks_again(error) else StoreError
        raise kind(errno.EIO, reason(error), str(place)) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of what the library did not foresee, and no Exception
            raise
        told = f"cannot be asked ({str(error)[:160]}): check its name and the address in the environment"
        raise StoreRefusal(errno.EINVAL, told, str(place)) from None


def send(place: object, do: Callable[[], Any], again: type[StoreError] = StoreAgain) -> Any:
    """`do()`, and again after answers that ask for it, which the library takes for the last word."""
    began, pause = time.monotonic(), FIRST_PAUSE
    while True:
        try:
            with store_errors(place):
                return do()
        except again:
            if time.monotonic() - began > RETRY_TIME.total_seconds() / 2:  # or the library has waited as long
                raise
            time.sleep(random.uniform(0.1, 1) * pause.total_seconds())
            pause = min(pause * GROWTH, MAX_PAUSE)


def insist(place: object, do: Callable[[], Any]) -> Any:
    """The same after all failures, those too which the library leaves to us: of POST requests (a deletion, the begin
    and end of an upload in parts) that may have been done already. Only for what may be done twice."""
    return send(place, do, StoreError)


def _check_bucket(error: Exception, place: object) -> None:
    code = _code(error) or ("PermanentRedirect" if "redirect without LOCATION" in str(error) else "")
    if said := BUCKET_CODES.get(code):
        raise StoreRefusal(errno.EACCES, said, str(place)) from None


def _check_credentials(error: Exception, place: object) -> None:
    """S3 refuses expired credentials with 400, of which HEAD has no code; the library lists what is forbidden under
    no class of its own. The file of a web identity is read when something is asked."""
    if "Failed to read token file" in str(error):
        raise _denied(reason(error), "correct AWS_WEB_IDENTITY_TOKEN_FILE", place) from None
    if _code(error) in EXPIRED:
        raise _denied(_code(error), RENEW, place) from None
    if _status(error) in ("401", "403"):
        raise _denied(reason(error), CHECK, place) from None
    if _status(error) == "400" and "performing HEAD" in str(error):
        raise _denied("HEAD failed (400)", UNTOLD, place) from None


def _denied(what: str, advice: str, place: object) -> StoreRefusal:
    return StoreRefusal(errno.EACCES, f"access is denied ({what}): {advice}", str(place))


def _asks_again(error: Exception) -> bool:
    """409 may also be said where a condition of another kind is not met: that something exists."""
    conflict = _status(error) == "409" and not _code(error).endswith("AlreadyExists")
    return conflict or _code(error) == "RequestTimeout"


def _code(error: Exception) -> str:
    """What S3 calls it; empty where it says nothing."""
    found = _CODE.search(str(error))
    return found[1] if found else ""


def _status(error: Exception) -> str:
    found = _STATUS.search(str(error))
    return found[1] if found else ""


def reason(error: Exception) -> str:
    """The one thing that an error of the library says: what the server answered, or what became of the connection."""
    text = str(error)
    code = _CODE.search(text)
    found = _DETAIL.search(text.split("\n\nDebug source")[0])
    if not found:
        return text.split("\n")[0][:200]
    method, retries, what = found.groups()
    said = (code[1] if code else what.split("\n")[0].strip())[:160]
    return f"{method} failed ({said})" + (f" after {retries} retries" if retries else "")
