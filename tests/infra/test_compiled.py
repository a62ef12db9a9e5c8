import numpy as np
import pytest

from infra import compiled as module
from infra.compiled import compiled


def _cache_that_fails(function: object, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def save(*_: object) -> None:
        raise error

    cached = module._dispatcher(function, ())  # type: ignore[arg-type]
    monkeypatch.setattr(cached._cache, "save_overload", save)
    monkeypatch.setattr(cached._cache, "load_overload", lambda *_: None)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("no compiled object yet")])
def test_what_cannot_be_cached_is_called_all_the_same(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def doubled(number: int) -> int:
        return number * 2

    _cache_that_fails(doubled, error, monkeypatch)
    assert [compiled(doubled)(4), compiled(doubled)(5)] == [8, 10]


def test_an_error_of_the_function_is_raised() -> None:
    def failing(numbers: np.ndarray) -> int:
        numbers[0] += 1
        if numbers[0] > 0:
            raise RuntimeError("as written")
        return 0

    with pytest.raises(RuntimeError, match="as written"):
        compiled(failing)(np.zeros(1))
