"""Bytes are those of the formula, the twins are what they are called, and the table has what was found."""

from benchmarks import decode_speed
from benchmarks.__main__ import parsed
from trainer.cache import kv_bytes
from trainer.formulas import parameters


def test_the_twins() -> None:
    full, dense = decode_speed.full_twin(decode_speed.SMALL), decode_speed.dense_twin(decode_speed.SMALL, 12)
    assert {layer.attention for layer in (*full.layers, *dense.layers)} == {"full"}
    assert kv_bytes(full, 16384) == kv_bytes(dense, 16384) == 8 * 2 * 64 * 4 * 16384
    assert 1 - kv_bytes(decode_speed.SMALL, 16384) / kv_bytes(full, 16384) == 0.828125
    active, ordinary = parameters(full, 4096, 12).active, parameters(dense, 4096, 12).total
    assert abs(active / ordinary - 1) < 0.03  # but for the routers, and the first layer's own width


def test_a_short_run() -> None:
    words = ["--contexts", "40", "--config", "tiny", "--vocab", "128", "--tokens", "3", "--sequences", "2"]
    module, args = parsed("decode_speed", [*words, "--repeats", "1"])
    found = module.run(args)
    assert found["passed"] and found["k"] == 12
    assert [row["model"] for row in found["rows"]] == ["model", "full twin", "dense twin"]
    assert [row["cache bytes"] for row in found["rows"]][1] == 2 * 8 * 2 * 32 * 4 * 40
    text = "\n".join(module.show(found))
    assert "dense twin" in text and "formula: yes" in text
