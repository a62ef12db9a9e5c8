"""`index verify`: every byte that an index is read from, and that the rows of runs are where a reader expects them.

`index.json` itself is checked by whoever reads it.
"""

import re
from collections.abc import Iterator

import numpy as np

from dedup.index.keys import part_range
from infra.errors import UsageError
from infra.hashing import sha256_bytes
from pipeline.index.manifest import INDEX, Index, IndexRun, is_hashed
from pipeline.index.merge import SCHEMAS
from pipeline.index.runs import Stored, first_numbers


def faults_of(index: Index) -> dict[str, list[str]]:
    """What is wrong with each damaged run, by its name, and last what helps; empty if the index is sound."""
    found = {run.name: [*_faults(index, run)] for run in index.runs}
    for run in index.runs:
        if found[run.name]:
            found[run.name].append(index.mending(run))
    if index.gone is not None:
        try:
            index.gone_rows()
        except UsageError as error:
            found[index.gone] = [str(error).removeprefix(f"{index.folder / index.gone}: ")]
    return {name: faults for name, faults in found.items() if faults}


def unhashed(index: Index) -> list[str]:
    """The files that earlier versions wrote without a hash, whose damage may not show."""
    names = [] if is_hashed(index.folder) else [INDEX]
    return [*names, index.gone] if index.gone is not None and index.gone_sha256 is None else names


def _faults(index: Index, run: IndexRun) -> Iterator[str]:
    manifest = index.run_folder(run.name) / "manifest.json"
    if not manifest.is_file():
        yield "missing"
        return
    if sha256_bytes(manifest.read_bytes()) != run.sha256:
        yield "its manifest.json is not the one that was written"
        return
    dataset = index.dataset(run)
    # of a dataset's files: a run is not made again by the command that made it
    faults = [re.sub("[;:] make its dataset again$", "", fault) for fault in dataset.verify()]
    yield from faults
    if faults:
        return
    sums = dataset.manifest.shards.sums
    for name, own, told in (("rows", sums.rows, run.rows), ("bytes", sums.bytes, run.bytes)):
        if own != told:
            yield f"{own:,} {name}, {INDEX} says {told:,}"
    bits = Stored.of(dataset).bits
    for number, part in enumerate(dataset.parts()):
        low, high = part_range(number, bits)
        numbers = first_numbers(part.table([SCHEMAS[run.kind].names[0]]))
        if numbers.size and (numbers[0] < low or numbers[-1] > high or bool(np.any(numbers[1:] < numbers[:-1]))):
            yield f"{part.path}: its rows are not in order"
