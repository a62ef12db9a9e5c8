"""`verify`: whether datasets are as they were written, and belong together."""

from collections.abc import Sequence
from pathlib import Path

from infra.dataset.manifest import MANIFEST, RUN, Kind, check_invariant
from infra.dataset.reader import Dataset
from infra.errors import UsageError
from infra.storage import read_json
from pipeline.stages.final import datasets_in
from pipeline.stages.tokenize import token_faults


def faults_of(folder: Path) -> dict[str, list[str]]:
    """What is wrong, by folder, with the dataset in `folder` or with those of the run in it; every file is read.

    UsageError where there is no finished dataset, WorkError for counts that cannot be.
    """
    found = [folder] if (folder / MANIFEST).is_file() else datasets_in(folder)
    if not found:
        raise UsageError(f"{folder} holds no finished dataset")
    datasets = [Dataset(each) for each in found]
    faults = {}
    for dataset in datasets:
        check_invariant(dataset.manifest)
        tokens = token_faults(dataset) if dataset.kind is Kind.TOKENS else []
        faults[str(dataset.folder)] = dataset.verify() + tokens + chain_faults(dataset, datasets)
    return faults


def chain_faults(dataset: Dataset, beside: Sequence[Dataset]) -> list[str]:
    """Whether the manifest is the one that was written, and its inputs are the manifests beside it."""
    written = (read_json(dataset.folder / RUN) or {}).get("manifest_sha256")
    faults = []
    if written is not None and written != dataset.refs[0].sha256:
        faults.append("manifest.json: not as it was written")
    there = {each.manifest.stage: each.refs[0].sha256 for each in beside}
    others = [ref.name for ref in dataset.manifest.inputs if there.get(ref.name, ref.sha256) != ref.sha256]
    return faults + [f"manifest.json: its input {name} is not the dataset of that stage here" for name in others]
