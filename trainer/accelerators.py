"""Peak rates of accelerators: what MFU is a share of.

Dense bfloat16 on tensor cores with sums in fp32, in FLOP/s, from NVIDIA's data sheets; where a sheet prints the rate
"with sparsity" it is halved. Memory in bytes, of the common variant.
"""

from typing import NamedTuple

from infra.errors import UsageError

GIB = 2**30


class Accelerator(NamedTuple):
    name: str

    device_names: tuple[str, ...]
    """What `torch.cuda.get_device_name` contains; the first row of `ACCELERATORS` that fits counts."""

    bf16_flops: float
    memory: int


ACCELERATORS = (
    Accelerator("b200", ("B200",), 2250e12, 180 * GIB),
    Accelerator("h200", ("H200",), 989.4e12, 140 * GIB),
    Accelerator("h100-pcie", ("H100 PCIe",), 756e12, 80 * GIB),
    Accelerator("h100-nvl", ("H100 NVL",), 835e12, 94 * GIB),
    Accelerator("h100", ("H100",), 989.4e12, 80 * GIB),
    Accelerator("a100", ("A100",), 312e12, 80 * GIB),
    Accelerator("l40s", ("L40S",), 362e12, 45 * GIB),
    Accelerator("4090", ("RTX 4090",), 165.2e12, 24 * GIB),
    Accelerator("3090", ("RTX 3090",), 71e12, 24 * GIB),
    Accelerator("l4", ("L4",), 121e12, 22 * GIB),
)


def of_device(device_name: str) -> Accelerator | None:
    """The accelerator that torch calls `device_name`; None for one that is not in the table."""
    return next((each for each in ACCELERATORS if any(part in device_name for part in each.device_names)), None)


def accelerator(name: str) -> Accelerator:
    """The accelerator of this name. UsageError when there is none."""
    for each in ACCELERATORS:
        if each.name == name:
            return each
    raise UsageError(f"no accelerator {name!r}: choose one of {', '.join(each.name for each in ACCELERATORS)}")
