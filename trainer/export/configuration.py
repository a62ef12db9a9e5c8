"""`config.json` and `generation_config.json` of an exported model: the architecture, and the policy of its experts."""

from typing import Any

from trainer.config import ModelConfig
from trainer.policies import KPolicy

MODELING_FILE = "modeling_refinery.py"
KINDS = {"sliding": "sliding_attention", "full": "full_attention"}


def model_config(config: ModelConfig, vocab_size: int, eod_id: int, length: int, dtype: str) -> dict[str, Any]:
    """What `config.json` says of the architecture. `length`: tokens of the sequences in training."""
    return {
        "architectures": ["RefineryForCausalLM"],
        "auto_map": {
            "AutoConfig": "modeling_refinery.RefineryConfig",
            "AutoModelForCausalLM": "modeling_refinery.RefineryForCausalLM",
        },
        "model_type": "refinery",
        "dtype": dtype,
        "vocab_size": vocab_size,
        "hidden_size": config.d_model,
        "num_hidden_layers": len(config.layers),
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.head_dim,
        "sliding_window": config.window,
        "layer_types": [KINDS[layer.attention] for layer in config.layers],
        "kv_source_layers": kv_source_layers(config),
        "rope_thetas": {
            KINDS["sliding"]: config.rope_theta_sliding,
            KINDS["full"]: config.rope_theta_full,
        },
        "rms_norm_eps": 1e-6,
        "mlp_layer_types": ["sparse" if layer.ffn == "moe" else "dense" for layer in config.layers],
        "intermediate_size": config.d_ff,
        "num_experts": config.n_experts,
        "moe_intermediate_size": config.d_ff_expert,
        "shared_expert_intermediate_size": config.d_ff_shared,
        "routed_scaling_factor": config.routed_scaling_factor,
        "max_position_embeddings": length,
        "tie_word_embeddings": False,
        "use_cache": True,
        **token_ids(eod_id),
    }


def expert_config(policy: KPolicy) -> dict[str, Any]:
    """What `config.json` says of the experts of a token; a table, and a value for each MoE layer, are lists."""
    table = policy.kind == "table"
    return {
        "num_experts_per_tok": list(policy.table) if table else policy.k,
        "expert_policy": "fixed" if table else policy.kind,
        "expert_policy_value": list(policy.values) or policy.value,
        "min_experts_per_tok": policy.minimum,
    }


def generation_config(eod_id: int) -> dict[str, Any]:
    """As `refinery generate` does by default."""
    return {"do_sample": True, "temperature": 0.8, "top_p": 1.0, "top_k": 0, "max_new_tokens": 100, **token_ids(eod_id)}


def token_ids(eod_id: int) -> dict[str, int]:
    """A document begins after the end of another."""
    return {"bos_token_id": eod_id, "eos_token_id": eod_id, "pad_token_id": eod_id}


def kv_source_layers(config: ModelConfig) -> list[int]:
    """The layer whose keys and values each layer reads: the first of its KV group."""
    first: dict[int, int] = {}
    return [first.setdefault(layer.kv_group, i) for i, layer in enumerate(config.layers)]
