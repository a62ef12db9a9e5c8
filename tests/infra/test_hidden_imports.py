"""A hidden library cannot be imported while it is hidden, and can be again after that."""

import importlib
import sys

import pytest

from infra.hidden_imports import hidden


def test_a_library_is_hidden_for_a_while_with_its_modules() -> None:
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "colorsys"}
    for name in before:
        del sys.modules[name]
    with hidden("colorsys", "wave"), pytest.raises(ModuleNotFoundError):
        importlib.import_module("colorsys")
    assert importlib.import_module("colorsys").rgb_to_hls(0, 0, 0) == (0, 0, 0)


def test_what_has_been_imported_stays() -> None:
    with hidden("json"):
        assert importlib.import_module("json").loads("1") == 1
