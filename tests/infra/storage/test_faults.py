"""A store that fails for a while is waited for; one that goes on failing, or refuses, is one line."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from infra.errors import UsageError, WorkError
from infra.storage import client, copy_file, disk_errors, files, lock, new_file, place, remove_folder, write_bytes
from tests.s3_server import ENVIRONMENT, Fault, Server, cut, denied, says, slow_down, stall, too_many

PART_BYTES = 5 * 2**20  # the smallest that S3 takes
LARGE = b"0123456789abcdef" * (2 * PART_BYTES // 16 + 1)
CONFLICT = says("409 Conflict", "ConditionalRequestConflict")
IDLE = says("400 Bad Request", "RequestTimeout")
FAULTS = {"503": slow_down, "429": too_many, "409": CONFLICT, "400": IDLE, "cut": cut, "time-out": stall(0.9)}


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short times, so that the last retry comes soon."""
    for name, seconds in {"FIRST_PAUSE": 0.01, "MAX_PAUSE": 0.05, "RETRY_TIME": 20, "READ_TIMEOUT": 5}.items():
        monkeypatch.setattr(client, name, timedelta(seconds=seconds))
    monkeypatch.setattr(files, "UPLOAD_BYTES", PART_BYTES)
    client.client.cache_clear()


@pytest.fixture(autouse=True)
def own_clients() -> object:
    yield
    client.client.cache_clear()


def upload(path: Path) -> None:
    with new_file(path) as temporary:
        temporary.write_bytes(LARGE)


def read_in_blocks(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read()  # type: ignore[no-any-return]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.usefixtures("hurried")
def test_every_operation_is_tried_again(
    fault: str, root: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "time-out":
        monkeypatch.setattr(client, "READ_TIMEOUT", timedelta(seconds=0.6))

    def failing(do: Callable[[], object]) -> object:
        server.fail(FAULTS[fault], times=1 if fault == "time-out" else 2)
        done = do()
        assert server.faults == []
        return done

    failing(lambda: write_bytes(root / "a", b"content"))
    assert failing((root / "a").read_bytes) == b"content"
    failing(lambda: copy_file(root / "a", root / "b"))
    if fault != "400":  # which says no code without a body
        assert failing(lambda: (root / "b").stat().st_size) == 7
    assert failing(lambda: [path.name for path in root.iterdir()]) == ["a", "b"]
    failing((root / "b").unlink)
    if fault != "time-out":  # of which a large request on a busy machine may have one of its own
        failing(lambda: upload(root / "large"))
        assert failing(lambda: read_in_blocks(root / "large")) == LARGE
    failing(lambda: remove_folder(root))
    assert not root.exists()


def test_an_answer_that_is_cut_in_the_middle_is_read_on(root: Path, server: Server) -> None:
    write_bytes(root / "a", LARGE[: 2**20])
    etag = root.store.head((root / "a").key)["e_tag"]  # type: ignore[attr-defined]

    def half(environ: dict[str, object], start: Callable[..., object]) -> list[bytes]:
        headers = {"Content-Length": str(2**20), "ETag": etag, "Last-Modified": "Sat, 01 Jan 2028 00:00:00 GMT"}
        start("200 OK", [*headers.items(), ("Connection", "close")])
        return [LARGE[: 2**19]]

    server.fail(half, times=1, chosen=lambda method, path: method == "GET")
    assert (root / "a").read_bytes() == LARGE[: 2**20]


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("fault", [slow_down, cut])
def test_a_store_that_goes_on_failing_is_one_line(
    fault: Fault, root: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_RETRIES", 3)
    server.fail(fault, times=1000)
    with pytest.raises(WorkError) as failed, disk_errors(root):
        write_bytes(root / "a", b"content")
    assert 3 < 1000 - len(server.faults) < 10
    said = str(failed.value)
    assert said.startswith(f"{root}/a: PUT failed (") and "run the same command again" in said and "\n" not in said
    assert ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in said


@pytest.mark.usefixtures("hurried")
def test_a_torn_upload_leaves_nothing(root: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_RETRIES", 2)
    server.fail(cut, times=1000, chosen=lambda method, path: method == "PUT")
    with pytest.raises(WorkError):
        upload(root / "large")
    server.fail(cut, times=0)
    assert not (root / "large").exists() and list(root.iterdir()) == []
    # parts cost money; one that was on its way may be refused after it
    assert "DELETE" in [method for method, path in server.requests if "uploadId" in path]


def test_no_credentials(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setattr(client, "METADATA_SERVICE", ("127.0.0.1", 9))
    client.client.cache_clear()
    with pytest.raises(UsageError, match="no credentials were found: set AWS_ACCESS_KEY_ID"):
        place("s3://bucket/a").read_bytes()


KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "a-secret", "AWS_REGION": "us-east-1"}
NO_SERVER = "is no address of a server: give http://HOST:PORT"


@pytest.mark.parametrize(
    ("url", "variables", "says"),
    [
        *(("s3://bucket/x", KEYS | {"AWS_ENDPOINT_URL": each}, f"AWS_ENDPOINT_URL {NO_SERVER}") for each in (
            "minio:9000", "127.0.0.1:9", "http://", "http://[x", "http://a b:9", " http://127.0.0.1:9", "ftp://host",
            "http://127.0.0.1:99999",
        )),
        ("s3://bucket/x", KEYS | {"AWS_ENDPOINT": "minio:9000"}, f"AWS_ENDPOINT {NO_SERVER}"),
        ("s3://bucket/x", KEYS | {"AWS_ENDPOINT_URL_S3": "minio:9000"}, f"AWS_ENDPOINT_URL_S3 {NO_SERVER}"),
        ("s3://bucket/x", {"AWS_ACCESS_KEY_ID": "AKID"}, "Missing SecretAccessKey: correct the environment"),
        ("s3://bucket/x", {"AWS_SKIP_SIGNATURE": "maybe"}, "as boolean: correct the environment"),
        ("s3://bucket/x", {"AWS_WEB_IDENTITY_TOKEN_FILE": "/nix", "AWS_ROLE_ARN": "x"},
         "Failed to read token file '/nix': .*correct AWS_WEB_IDENTITY_TOKEN_FILE"),
        ("gs://bucket/x", {"GOOGLE_APPLICATION_CREDENTIALS": "/nix.json"}, "/nix.json: .*correct the environment"),
        ("gs://bucket/x", {"GOOGLE_SERVICE_ACCOUNT_KEY": '{"gcs_base_url": "host:1"}'}, "gcs_base_url of the service"),
        ("s3://a bucket/x", KEYS, "no bucket can be called 'a bucket'"),
    ],
)  # fmt: skip
def test_a_wrong_environment_is_one_line_at_once(
    url: str, variables: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is asked, so nothing is said of a store that does not answer."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    client.client.cache_clear()
    with pytest.raises(UsageError, match=says) as told:
        place(url).read_bytes()
    assert "a-secret" not in str(told.value) and "run the same command again" not in str(told.value)


def test_a_panic_of_the_library_is_one_line(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an address that gets past what is checked here."""
    monkeypatch.setattr(client, "_checked_endpoint", lambda scheme, url: "http://minio")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "minio:9000")
    client.client.cache_clear()
    with pytest.raises(UsageError, match=r"cannot be asked .*check its name and the address in the environment"):
        place("s3://bucket/x").read_bytes()


def test_a_refusal_is_one_line_at_once(root: Path, server: Server) -> None:
    server.fail(denied, times=1)
    with pytest.raises(UsageError, match=r"a: access is denied \(.*AccessDenied.*\): check the credentials"):
        write_bytes(root / "a", b"")
    server.fail(denied, times=1)
    with pytest.raises(UsageError, match="access is denied"):  # the library has no class for it in a listing
        list(root.iterdir())
    server.fail(says("301 Moved Permanently", "PermanentRedirect"), times=1)
    with pytest.raises(UsageError, match="another region: set AWS_REGION"):
        write_bytes(root / "a", b"")
    for call in (
        lambda: write_bytes(place("s3://no-bucket/a"), b""),
        lambda: place("s3://no-bucket/a").read_bytes(),
        lambda: list(place("s3://no-bucket").iterdir()),
        lambda: upload(place("s3://no-bucket/a")),
    ):
        with pytest.raises(UsageError, match="there is no such bucket"):
            call()


@pytest.mark.parametrize("code", client.EXPIRED)
def test_expired_credentials_are_not_tried_again(code: str, root: Path, server: Server) -> None:
    write_bytes(root / "a", b"content")
    server.fail(says("400 Bad Request", code), times=100)
    calls: tuple[Callable[[], object], ...] = (
        lambda: write_bytes(root / "a", b""),
        lambda: upload(root / "a"),
        (root / "a").read_bytes,
        lambda: list(root.iterdir()),
        lambda: remove_folder(root),
    )
    for call in calls:
        with pytest.raises(UsageError, match=rf"access is denied \({code}\): the credentials have expired.*renew them"):
            call()
    with pytest.raises(UsageError, match=r"access is denied \(HEAD failed \(400\)\): the credentials may have expired"):
        (root / "a").is_file()
    assert 100 - len(server.faults) == len(calls) + 1


def test_a_key_that_the_library_does_not_read_is_named(root: Path, server: Server) -> None:
    bucket, folder = root.bucket, root.key  # type: ignore[attr-defined]
    write_bytes(root / "b.warc.gz", b"")
    for key in ("/a.warc.gz", "./a.warc.gz", "d/../a.warc.gz", "a\x01b"):
        server.put(bucket, f"{folder}/{key}", b"")
        with pytest.raises(UsageError) as stopped:
            list(root.rglob("*"))
        said = str(stopped.value)
        assert f"the key {f'{folder}/{key}'!r} has an empty part" in said and "rename that object" in said
        server.delete(bucket, f"{folder}/{key}")
    assert [path.name for path in root.rglob("*")] == ["b.warc.gz"]


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="only Linux has it")
def test_a_folder_that_nobody_may_make() -> None:
    """Root is told EPERM, others EACCES."""
    folder = Path("/sys/kernel/refinery-out")
    with (
        pytest.raises(UsageError, match="cannot write into /sys/kernel/refinery-out"),
        disk_errors(folder),
        lock(folder),
    ):
        pass
