"""The model of the refinery's trainer for the library `transformers`, in one file that needs it and torch alone.

A decoder-only transformer with sliding-window and full attention, keys and values shared between layers, and mixtures
of fine-grained experts. `config.json` says for each layer what it attends to (`layer_types`), which layer's keys and
values it reads (`kv_source_layers`: its own number, or that of an earlier layer) and its feed-forward
(`mlp_layer_types`).

How many experts a token uses can be changed after loading: `config.num_experts_per_tok` is a number, or a list with
one for each MoE layer; `config.expert_policy` says whether all of them are used.

Shapes: B sequences, L new positions, S positions with keys, D hidden_size, H query heads, G key/value heads,
C head_dim, T = B x L tokens, E experts, K experts chosen per token, N = T x K pairs of token and expert.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import DynamicCache, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import CausalLMOutputWithPast

# What the output calls the cache; `past_key_values` in earlier versions of transformers.
CACHE = "cache" if "cache" in CausalLMOutputWithPast.__dataclass_fields__ else "past_key_values"
KV = tuple[Tensor, Tensor]
Rope = tuple[Tensor, Tensor]  # cosines and sines, [B, 1, L, C / 2] in fp32
POLICIES = ("fixed", "top_p", "min_p")
QUERY_BLOCK = 1024  # queries whose scores are made at once, where a mask is needed


class RefineryConfig(PretrainedConfig):
    """All values are those of `config.json`."""

    model_type = "refinery"
    keys_to_ignore_at_inference = [CACHE]

    @property
    def kv_sharing_modes(self) -> list[str | None]:
        """For the caches of transformers: layers of "reuse" have none."""
        return ["reuse" if source != layer else None for layer, source in enumerate(self.kv_source_layers)]


class RefineryRMSNorm(nn.Module):
    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(size)), eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class RefineryAttention(nn.Module):
    """Grouped-query attention with QK-norm and RoPE. Only layers that read their own keys and values have k_proj and
    v_proj."""

    def __init__(self, config: RefineryConfig, layer: int) -> None:
        super().__init__()
        D, C = config.hidden_size, config.head_dim
        self.layer, self.source, self.head_dim = layer, config.kv_source_layers[layer], C
        self.window = config.sliding_window if config.layer_types[layer] == "sliding_attention" else None
        self.q_proj = nn.Linear(D, config.num_attention_heads * C, bias=False)
        self.o_proj = nn.Linear(config.num_attention_heads * C, D, bias=False)
        self.q_norm = RefineryRMSNorm(C, config.rms_norm_eps)
        if self.source == layer:
            self.k_proj = nn.Linear(D, config.num_key_value_heads * C, bias=False)
            self.v_proj = nn.Linear(D, config.num_key_value_heads * C, bias=False)
            self.k_norm = RefineryRMSNorm(C, config.rms_norm_eps)

    def forward(self, x_BLD: Tensor, kv: KV | None, rope: Rope, cache: Any, group_BS: Tensor | None) -> tuple[Any, KV]:
        """`kv`: keys and values of the layer that this one reads, None for its own, which it also returns."""
        if kv is None:
            k = apply_rope(self.k_norm(self.heads(self.k_proj(x_BLD))), rope)
            kv = k, self.heads(self.v_proj(x_BLD))
            kv = kv if cache is None else cache.update(*kv, self.layer)
        q = apply_rope(self.q_norm(self.heads(self.q_proj(x_BLD))), rope)
        o = attend(q, kv[0], kv[1], self.window, group_BS)
        return self.o_proj(o.transpose(1, 2).flatten(2)), kv

    def heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], -1, self.head_dim).transpose(1, 2)


def rope_table(position_BL: Tensor, head_dim: int, theta: float) -> Rope:
    """Cosines and sines [B, 1, L, C / 2] of each position's angles; the angles in fp64, where the device has it."""
    exact = torch.float32 if position_BL.device.type == "mps" else torch.float64
    exponents = torch.arange(0, head_dim, 2, dtype=exact, device=position_BL.device) / head_dim
    angles = position_BL[:, None, :, None].to(exact) * theta**-exponents
    return angles.cos().float(), angles.sin().float()


def apply_rope(x: Tensor, rope: Rope) -> Tensor:
    (cos, sin), (a, b) = rope, x.float().chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(x.dtype)


def attend(q_BHLC: Tensor, k_BGSC: Tensor, v_BGSC: Tensor, window: int | None, group_BS: Tensor | None) -> Tensor:
    """Attention of the last L of S positions, over the last `window` of them or all, within the same number of
    `group_BS` (None: everywhere). In blocks of queries, so that no mask is L x S."""
    L, S = q_BHLC.shape[2], k_BGSC.shape[2]
    if group_BS is None and (window is None or window >= S) and L in (1, S):
        return F.scaled_dot_product_attention(q_BHLC, k_BGSC, v_BGSC, is_causal=L > 1, enable_gqa=True)
    block = QUERY_BLOCK if window is None else min(window, QUERY_BLOCK)
    parts = []
    for first in range(S - L, S, block):
        end = min(first + block, S)
        low = 0 if window is None else max(0, first - window + 1)
        row = torch.arange(first, end, device=q_BHLC.device)[:, None]
        column = torch.arange(low, end, device=q_BHLC.device)
        mask = column <= row if window is None else (column <= row) & (column > row - window)
        if group_BS is not None:
            group_B1S = group_BS[:, None, group_BS.shape[1] - S :]
            mask = mask & (group_B1S[..., first:end, None] == group_B1S[..., None, low:end])
        q = q_BHLC[:, :, first - (S - L) : end - (S - L)]
        k, v = k_BGSC[:, :, low:end], v_BGSC[:, :, low:end]
        parts.append(F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True))
    return torch.cat(parts, dim=2)


class RefineryMLP(nn.Module):
    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.gate_up_proj = nn.Linear(size, 2 * hidden, bias=False)
        self.down_proj = nn.Linear(hidden, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        return self.down_proj(F.silu(gate) * up)


class ExpertUse(NamedTuple):
    """How many experts a token of a layer uses: at most `k`, by the value of `config.expert_policy`."""

    k: int
    value: float


class RefineryRouter(nn.Module):
    """In fp32, whatever the rest of the model is in. The bias helps to choose the experts and does not weigh them."""

    def __init__(self, config: RefineryConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(config.num_experts, config.hidden_size))
        self.bias: Tensor
        self.register_buffer("bias", torch.zeros(config.num_experts))

    def forward(self, x_TD: Tensor, use: ExpertUse, config: RefineryConfig) -> tuple[Tensor, Tensor]:
        """The chosen experts [T, K] and their weights, which sum to `routed_scaling_factor`; 0 for one that is not
        used."""
        logits_TE = F.linear(x_TD.float(), self.weight.float())
        expert_TK = (logits_TE.sigmoid() + self.bias.float()).topk(use.k, dim=1).indices
        log_score_TK = F.logsigmoid(logits_TE).gather(1, expert_TK)
        if config.expert_policy != "fixed":
            best_TK = log_score_TK.exp().sort(dim=1, descending=True).values
            if config.expert_policy == "min_p":
                enough_TK = best_TK >= use.value * best_TK[:, :1]
            else:
                share_TK = best_TK / best_TK.sum(1, keepdim=True)
                enough_TK = share_TK.cumsum(1) - share_TK < use.value
            number_T1 = enough_TK.sum(1, keepdim=True).clamp(min=config.min_experts_per_tok)
            unused_TK = torch.arange(use.k, device=x_TD.device) >= number_T1
            log_score_TK = log_score_TK.masked_fill(unused_TK, -torch.inf)
        return expert_TK, config.routed_scaling_factor * log_score_TK.softmax(1)


class RefineryExperts(nn.Module):
    """Routed SwiGLU experts, stored [E, in, out]."""

    def __init__(self, config: RefineryConfig) -> None:
        super().__init__()
        E, D, hidden = config.num_experts, config.hidden_size, config.moe_intermediate_size
        self.gate_up_proj = nn.Parameter(torch.empty(E, D, 2 * hidden))
        self.down_proj = nn.Parameter(torch.empty(E, hidden, D))

    def forward(self, x_TD: Tensor, expert_TK: Tensor, weight_TK: Tensor) -> Tensor:
        E = self.gate_up_proj.shape[0]
        used_TK = weight_TK > 0
        expert_N = expert_TK.masked_fill(~used_TK, E).flatten()
        order_N = expert_N.argsort(stable=True)[: int(used_TK.sum())]
        size_E = expert_N[order_N].bincount(minlength=E)
        gate, up = grouped(x_TD[order_N // expert_TK.shape[1]], self.gate_up_proj, size_E).chunk(2, dim=-1)
        hidden = (F.silu(gate) * up * weight_TK.flatten()[order_N, None]).to(x_TD.dtype)
        y_ND = grouped(hidden, self.down_proj, size_E)
        pairs_ND = y_ND.new_zeros(expert_N.shape[0], x_TD.shape[1]).index_copy(0, order_N, y_ND)
        return pairs_ND.view(*expert_TK.shape, -1).sum(1)


def grouped(x: Tensor, weight_E: Tensor, size_E: Tensor) -> Tensor:
    """Rows sorted by expert, `size_E` of each, times its matrix."""
    aligned = all(size * x.element_size() % 16 == 0 for size in weight_E.shape[1:])
    if aligned and hasattr(F, "grouped_mm") and not torch.is_grad_enabled():
        return F.grouped_mm(x, weight_E, offs=size_E.cumsum(0).to(torch.int32))
    parts = zip(x.split(size_E.tolist()), weight_E)
    return torch.cat([part @ weight for part, weight in parts])


class RefineryMoE(nn.Module):
    """Routed experts, and one shared expert that every token uses."""

    def __init__(self, config: RefineryConfig) -> None:
        super().__init__()
        self.router = RefineryRouter(config)
        self.experts = RefineryExperts(config)
        self.shared_expert = RefineryMLP(config.hidden_size, config.shared_expert_intermediate_size)

    def forward(self, x_BLD: Tensor, use: ExpertUse, config: RefineryConfig) -> Tensor:
        x_TD = x_BLD.flatten(0, 1)
        return self.experts(x_TD, *self.router(x_TD, use, config)).view_as(x_BLD) + self.shared_expert(x_BLD)


class RefineryLayer(GradientCheckpointingLayer):
    def __init__(self, config: RefineryConfig, layer: int) -> None:
        super().__init__()
        dense = config.mlp_layer_types[layer] == "dense"
        self.input_layernorm = RefineryRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = RefineryAttention(config, layer)
        self.post_attention_layernorm = RefineryRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = RefineryMLP(config.hidden_size, config.intermediate_size) if dense else RefineryMoE(config)

    def forward(
        self,
        x_BLD: Tensor,
        k: Tensor | None,
        v: Tensor | None,
        rope: Rope,
        cache: Any,
        group_BS: Tensor | None,
        use: ExpertUse | None,
        config: RefineryConfig,
    ) -> tuple[Tensor, ...]:
        """`k`, `v`: those of the layer that this one reads, None for its own, which it returns behind the output. They
        are values, and no entries of a container: what computes the layer again, or moves it to another device, sees
        them."""
        kv = None if k is None or v is None else (k, v)
        o_BLD, own = self.self_attn(self.input_layernorm(x_BLD), kv, rope, cache, group_BS)
        x_BLD = x_BLD + o_BLD
        h_BLD = self.post_attention_layernorm(x_BLD)
        x_BLD = x_BLD + (self.mlp(h_BLD) if use is None else self.mlp(h_BLD, use, config))
        return (x_BLD, *own) if kv is None else (x_BLD,)


class RefineryModel(nn.Module):
    def __init__(self, config: RefineryConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(RefineryLayer(config, layer) for layer in range(config.num_hidden_layers))
        self.norm = RefineryRMSNorm(config.hidden_size, config.rms_norm_eps)


class RefineryForCausalLM(PreTrainedModel, GenerationMixin):
    config_class = RefineryConfig
    base_model_prefix = "model"
    _no_split_modules = ["RefineryLayer"]
    _keep_in_fp32_modules_strict = ["router"]
    _skip_keys_device_placement = [CACHE, "past_key_values"]
    _supports_sdpa = True
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = True  # `num_items_in_batch`

    def __init__(self, config: RefineryConfig) -> None:
        super().__init__(config)
        self.model = RefineryModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Of a model that is made without weights (`from_config`), or lacks some."""
        super()._init_weights(module)
        if isinstance(module, RefineryRouter):
            nn.init.normal_(module.weight, std=0.02)
        elif isinstance(module, RefineryExperts):
            for weight in (module.gate_up_proj, module.down_proj):
                nn.init.normal_(weight, std=weight.shape[1] ** -0.5)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        cache: Any = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        num_items_in_batch: int | Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast | tuple[Any, ...]:
        """`attention_mask` [B, S]: 0 for padding; documents of a batch are padded on the left. Without a mask, several
        documents of a sequence, whose `position_ids` begin anew, do not attend to each other. `cache` is called
        `past_key_values` in earlier versions. `labels` [B, L] are the inputs, -100 where there is no loss; the loss is
        their mean, or their sum over `num_items_in_batch`, the targets of all passes whose gradients are summed.
        `hidden_states` are the input of each layer and the output of the last norm."""
        config = self.config
        cache = past_key_values if cache is None else cache
        check_arguments(attention_mask, cache)
        with_hidden_states = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        x_BLD = self.model.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        if not x_BLD.numel():
            raise ValueError("the input has no tokens: begin with the end-of-document token")
        again = self.training and torch.is_grad_enabled() and any(x.gradient_checkpointing for x in self.model.layers)
        if again and cache is not None:
            raise ValueError("layers that are computed again would fill the cache twice: train without a cache")
        if cache is None and not again and (not self.training if use_cache is None else use_cache):
            cache = DynamicCache(config=config)
        past = 0 if cache is None else cache.get_seq_length()
        keep_BS = None if attention_mask is None or attention_mask.all() else attention_mask.bool()
        group_BS = keep_BS
        if position_ids is None:
            position_ids = torch.arange(past, past + x_BLD.shape[1], device=x_BLD.device)[None]
            if keep_BS is not None:
                position_ids = (keep_BS.long().cumsum(1) - 1).clamp(min=0)[:, past:]
        elif attention_mask is None and past == 0:
            group_BS = documents_of(position_ids)
        ropes = {
            kind: rope_table(position_ids, config.head_dim, config.rope_thetas[kind]) for kind in config.rope_thetas
        }
        kvs: dict[int, KV] = {}
        hidden_states = [x_BLD] if with_hidden_states else []
        for i, (layer, kind, use) in enumerate(zip(self.model.layers, config.layer_types, use_of_experts(config))):
            k, v = kvs.get(config.kv_source_layers[i], (None, None))
            x_BLD, *own = layer(x_BLD, k, v, ropes[kind], cache, group_BS, use, config)
            if own:
                kvs[i] = own[0], own[1]
            if with_hidden_states:
                hidden_states.append(x_BLD)
        if with_hidden_states:
            hidden_states[-1] = self.model.norm(x_BLD)
        keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(self.model.norm(x_BLD[:, keep])).float()
        loss = None
        if labels is not None:
            targets = labels[:, 1:].flatten().to(logits.device)
            loss = token_loss(logits[:, :-1].flatten(0, 1), targets, num_items_in_batch)
        output = CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            hidden_states=tuple(hidden_states) or None,
            **{CACHE: cache},
        )
        as_tuple = not (config.return_dict if return_dict is None else return_dict)
        return output.to_tuple() if as_tuple else output


def check_arguments(attention_mask: Any, cache: Any) -> None:
    """ValueError for masks and caches whose results would be wrong."""
    if getattr(cache, "is_compileable", False):
        raise ValueError("the model has no static cache: leave cache_implementation out, or make it 'dynamic'")
    if attention_mask is not None and not (isinstance(attention_mask, Tensor) and attention_mask.ndim == 2):
        raise ValueError("attention_mask must be of two dimensions, [B, S], 0 for padding")


def documents_of(position_BL: Tensor) -> Tensor | None:
    """The number of each position's document in its sequence, [B, L]: one begins where a position is not that after the
    one before. None where no sequence has several."""
    begins = position_BL[:, 1:] != position_BL[:, :-1] + 1
    return F.pad(begins.long().cumsum(1), (1, 0)) if begins.any() else None


def token_loss(logits_TV: Tensor, target_T: Tensor, count: int | Tensor | None) -> Tensor:
    """The cross-entropy, the mean over targets, or the sum over `count`."""
    if count is None:
        return F.cross_entropy(logits_TV, target_T)
    return F.cross_entropy(logits_TV, target_T, reduction="sum") / torch.as_tensor(count, device=logits_TV.device)


def use_of_experts(config: RefineryConfig) -> list[ExpertUse | None]:
    """Of each layer, None for dense ones."""
    k, moe = config.num_experts_per_tok, [kind == "sparse" for kind in config.mlp_layer_types]
    ks = [k] * sum(moe) if isinstance(k, int) else list(k)
    if len(ks) != sum(moe) or any(not 1 <= each <= config.num_experts for each in ks):
        raise ValueError(
            f"config.num_experts_per_tok is {k}; it must be a number from 1 to {config.num_experts}, or one for each "
            f"of the {sum(moe)} MoE layers"
        )
    if config.expert_policy not in POLICIES:
        raise ValueError(f"config.expert_policy is {config.expert_policy!r}; it may be {', '.join(POLICIES)}")
    value = config.expert_policy_value
    values = [value] * sum(moe) if isinstance(value, (int, float)) else list(value)
    uses = map(ExpertUse, ks, values)
    return [next(uses) if sparse else None for sparse in moe]
