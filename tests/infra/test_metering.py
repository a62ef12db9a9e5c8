"""What `run.json` says of the machine and the software."""

import platform
from importlib import metadata

from infra.metering import VERSIONED, system, versions


def test_versions_are_those_of_the_installed_packages() -> None:
    installed = {each.name.lower() for each in metadata.distributions()}
    expected = {name: metadata.version(name) for name in VERSIONED if name in installed}
    assert dict(versions()) == {"python": platform.python_version(), **expected}
    assert {"refinery", "pyarrow", "fasttext-community"} <= set(expected)


def test_the_system_is_named_as_python_names_it() -> None:
    assert platform.platform().startswith(system())
