"""The estimate of a step's memory against what processes take."""

import pytest

from benchmarks.__main__ import parsed


@pytest.mark.long
def test_measured_peaks_are_within_the_stated_error() -> None:
    module, args = parsed("training_memory", [])
    found = module.run(args)
    assert found["passed"], "\n".join(module.show(found))
