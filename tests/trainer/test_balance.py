"""Both modes of balancing over the steps of a training, beside none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainer.conftest import write_config
from trainer.api import evaluate, train
from trainer.runs import read_rows

STEPS = 96
NONE: dict[str, Any] = {"mode": "bias", "bias_update_rate": 0.0, "sequence_loss_weight": 0.0, "groups": 4}
BIAS = NONE | {"bias_update_rate": 3e-3}
# The published weights are for runs a thousand times as long; here each is a hundred times as large.
LOSSES = NONE | {"mode": "losses", "expert_loss_weight": 1e-4, "group_loss_weight": 1e-2, "partition_loss_weight": 1e-1}


@pytest.mark.long
def test_both_modes_even_the_load_over_the_steps_of_a_training(tmp_path: Path, data: Path) -> None:
    """The bias that of experts, in the log; the losses that of groups, which is what they are for, in an evaluation."""
    experts, groups = {}, {}
    schedule = {"warmup_steps": 5, "trunk_steps": STEPS, "decay_steps": 0}
    for name, mode in (("none", NONE), ("bias", BIAS), ("losses", LOSSES)):
        run = {"checkpoint_interval_steps": STEPS}
        config = write_config(tmp_path, load_balancing=mode, schedule=schedule, run=run)
        train(config, data, tmp_path / name)
        load = np.array([row["load_imbalance"] for row in read_rows(tmp_path / name / "log.jsonl")]).mean(1)
        experts[name] = load.reshape(8, -1).mean(1)
        groups[name] = float(np.mean(evaluate(tmp_path / name, data)["by_k"]["4"]["group_imbalance"]))
        print(f"\n{name:7}", " ".join(f"{value:.2f}" for value in experts[name]), f"groups {groups[name]:.3f}")
    assert experts["bias"][-1] < experts["bias"][0] and experts["bias"][-1] < 0.8 * experts["none"][-1]
    assert groups["losses"] - 1 < 0.75 * (groups["none"] - 1) and experts["losses"][-1] < 0.9 * experts["none"][-1]
