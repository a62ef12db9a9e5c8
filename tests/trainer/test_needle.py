"""A fact in the context is found again at any distance by the hybrid model, and only within reach by sliding layers.

Two super-blocks (windows of 8 tokens; the full layers share one cache) learn which value, of 16, stands somewhere in
128 tokens of noise. The twin has sliding layers alone: through eight of them a token reaches 8 x 7 positions back and
no further. The question is asked after decoding token by token through the caches, whose rings have turned many times.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.cache import Caches
from trainer.config import LayerConfig, ModelConfig, hybrid_layers
from trainer.generate import decode_step, for_inference, prefill
from trainer.model import Transformer, initialise
from trainer.plans import packed_plan
from trainer.policies import KPolicy

EOD, ASK, VALUES, NOISE = 0, 1, range(2, 18), range(18, 34)
LENGTH, WINDOW, LAYERS = 128, 8, 8
REACH = LAYERS * (WINDOW - 1)
DISTANCES = (3, 6, 12, 24, 48, 64, 96, 120)  # from the question back to the value
STEPS, BATCH, RATE = 260, 16, 4e-3
K = KPolicy(2)


def make_model(kind: str, seed: int) -> Transformer:
    layers = tuple(LayerConfig("sliding", i, "moe" if i else "dense") for i in range(LAYERS))
    config = ModelConfig(
        d_model=32, n_heads=2, n_kv_heads=1, head_dim=32, window=WINDOW, d_ff=64, n_experts=4, d_ff_expert=16,
        d_ff_shared=32, layers=hybrid_layers(2) if kind == "hybrid" else layers,
    )  # fmt: skip
    model = Transformer(config, NOISE[-1] + 1)
    initialise(model, torch.Generator().manual_seed(seed))
    return model


def examples(places: list[int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Contexts [B, LENGTH] with a value at each one's place, and the values [B]. Every third token or so asks for it;
    answers are not in the context."""
    shape = len(places), LENGTH
    context = torch.randint(NOISE[0], NOISE[-1] + 1, shape, generator=generator)
    context[torch.rand(shape, generator=generator) < 0.3] = ASK
    value = torch.randint(VALUES[0], VALUES[-1] + 1, (len(places),), generator=generator)
    context[:, 0], context[:, -1] = EOD, ASK
    context[torch.arange(len(places)), places] = value
    return context, value


def train(model: Transformer, seed: int) -> None:
    """On the loss of the answers alone; in every other sequence of those within a window, which the twin can learn."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.0)
    plan = packed_plan(model.config, torch.zeros(BATCH, LENGTH, dtype=torch.int64), torch.device("cpu"), model.dtype)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 20, (STEPS - step) / 60)
        places = torch.randint(1, LENGTH - 2, (BATCH,), generator=generator)
        context, value = examples(places.tolist(), generator)
        distance = torch.arange(LENGTH) - places[:, None]
        furthest = torch.tensor([WINDOW - 1, LENGTH]).repeat(BATCH // 2)[:, None]
        asked = (context == ASK) & (distance > 0) & (distance <= furthest)
        weight = (asked / asked.sum(1, keepdim=True).clamp(min=1))[asked] / BATCH
        hidden = model(context, plan, K.for_layers(model.config.n_moe_layers)).hidden_BLD[asked]
        losses = F.cross_entropy(model.logits(hidden), value[:, None].expand_as(context)[asked], reduction="none")
        loss = losses @ weight
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def accuracy(model: Transformer, distance: int, count: int = 64) -> float:
    """Share of right answers to a question at the end; all but the first few tokens are decoded one by one."""
    context, value = examples([LENGTH - 1 - distance] * count, torch.Generator().manual_seed(distance))
    caches = Caches(model.config, count, LENGTH)
    with torch.inference_mode():
        logits_BV = prefill(model, context[:, :5].tolist(), caches, K)
        for t in range(5, LENGTH):
            logits_BV = decode_step(model, context[:, t : t + 1], caches, K)
    return float((logits_BV[:, VALUES[0] : VALUES[-1] + 1].argmax(1) + VALUES[0] == value).float().mean())


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_full_layers_carry_what_sliding_layers_cannot(seed: int) -> None:
    found = {}
    for kind in ("hybrid", "sliding"):
        model = make_model(kind, seed)
        train(model, seed)
        for_inference(model, torch.float32)
        found[kind] = {distance: accuracy(model, distance) for distance in DISTANCES}
        print(f"\nseed {seed}, {kind:8}", *(f"{distance}: {share:.2f}" for distance, share in found[kind].items()))
    assert min(found["hybrid"].values()) > 0.9
    # Chance is 1/16; of 64 answers it gives more than 16 once in 10^6 times.
    assert all(share < 0.25 for distance, share in found["sliding"].items() if distance > REACH)
    assert min(found["sliding"][distance] for distance in DISTANCES if distance < WINDOW) > 0.9
