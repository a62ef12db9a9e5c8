"""The benchmark of components knows what it planted, and its table has what was measured."""

import numpy as np

from benchmarks import components
from benchmarks.__main__ import parsed


def test_a_short_run() -> None:
    words = ["--edges", "30000", "--members", "500", "--decide", "--workers", "1"]
    module, args = parsed("components", words)
    found = module.run(args)
    assert found["passed"]
    assert [row["what"] for row in found["rows"]] == ["ends", "forest", "decide", "one component"]
    assert len({row["documents"] for row in found["rows"][:3]}) == 1 and found["rows"][0]["documents"] > 30_000
    text = "\n".join(module.show(found))
    assert "| forest | 30,000 |" in text and "components are right" in text


def test_the_chain_does_not_meet_the_rest() -> None:
    (part,) = components.AllDrawn(20_000).parts()
    (output,) = components.WriteEdges()(part)
    chain, random = components.shape(20_000)
    a, b = (output.main[name].to_numpy() for name in ("a", "b"))
    first = components.numbers(3 * random + np.arange(1))[0]
    assert set(a[: chain - 1]) | set(b[: chain - 1]) == set(components.numbers(3 * random + np.arange(chain)))
    assert max(a[chain - 1 :].max(), b[chain - 1 :].max()) < first
