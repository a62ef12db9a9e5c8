"""What `export_model` writes is what `transformers` loads: the same logits, caches, texts and tokens."""

import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from infra.errors import UsageError, WorkError
from tests.trainer.conftest import documents
from trainer.baselines import open_tokenizer
from trainer.cache import kv_bytes
from trainer.checkpoint import read_checkpoint
from trainer.export.export import export_model
from trainer.export.weights import exported_name, exported_weights, write_weights
from trainer.generate import encode, for_inference, generate
from trainer.model import Transformer
from trainer.plans import packed_plan
from trainer.policies import KPolicy
from trainer.policy_file import policies_named
from trainer.sampling import Sampling

Loaded = Callable[..., tuple[Transformer, KPolicy, Any]]
POLICIES = ["fixed", "top_p=0.6", "top_p=.3,.4,.5,.6,.7,.8,.9", "min_p=0.5", "table=1,2,3,4,5,6,7"]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The code of a model is copied to a cache: to one of this test. Nothing is looked up on the network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    def load(checkpoint: Path, dtype: str = "float32", **given: Any) -> tuple[Transformer, KPolicy, Any]:
        """Our model, its policy, and the exported model as transformers loads it."""
        read = read_checkpoint(checkpoint)
        export_model(checkpoint, tmp_path / "exported", dtype, **given)
        theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "exported", trust_remote_code=True, dtype="auto")
        (policy,) = policies_named(given.get("policy", "fixed"), [given["k"]] if "k" in given else [], read)
        return for_inference(read.model(), getattr(torch, dtype)), policy, theirs

    return load


def logits_of(model: Transformer, tokens_BL: Tensor, policy: KPolicy) -> Tensor:
    plan = packed_plan(model.config, torch.zeros_like(tokens_BL), torch.device("cpu"), model.dtype)
    with torch.inference_mode():
        return model.logits(model(tokens_BL, plan, policy.for_layers(model.config.n_moe_layers)).hidden_BLD)


def drawn(model: Transformer, length: int) -> Tensor:
    return torch.randint(3, model.head.shape[0], (2, length), generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("policy", POLICIES)
def test_logits_are_equal_with_and_without_a_cache_beyond_two_windows(
    policy: str, checkpoint: Path, loaded: Loaded
) -> None:
    ours, chosen, theirs = loaded(checkpoint, policy=policy)
    tokens = drawn(ours, 5 * ours.config.window + 3)
    expected = logits_of(ours, tokens, chosen)
    with torch.inference_mode():
        assert (theirs(tokens, use_cache=False).logits - expected).abs().max() < 1e-5
        out = theirs(tokens[:, :7])
        assert (out.logits - expected[:, :7]).abs().max() < 1e-5
        for first, end in ((7, 9), (9, 15), *((t, t + 1) for t in range(15, tokens.shape[1]))):
            out = theirs(tokens[:, first:end], cache=out.cache)
            assert (out.logits - expected[:, first:end]).abs().max() < 1e-5, f"position {first}"


def test_sharing_that_is_no_suffix(odd_checkpoint: Path, loaded: Loaded) -> None:
    ours, chosen, theirs = loaded(odd_checkpoint)
    assert theirs.config.kv_source_layers == [0, 1, 0, 1, 4, 1]
    names = {name for name, _ in theirs.named_parameters() if "k_proj" in name or "v_proj" in name}
    assert names == {f"model.layers.{i}.self_attn.{part}_proj.weight" for i in (0, 1, 4) for part in "kv"}
    tokens = drawn(ours, 21)
    expected = logits_of(ours, tokens, chosen)
    with torch.inference_mode():
        out = theirs(tokens[:, :10])
        assert (theirs(tokens).logits - expected).abs().max() < 1e-5
        assert (theirs(tokens[:, 10:], cache=out.cache).logits - expected[:, 10:]).abs().max() < 1e-5


def test_only_layers_with_keys_have_a_cache(checkpoint: Path, loaded: Loaded) -> None:
    """The window's last token is not kept between steps, so sliding layers hold W - 1 positions."""
    ours, _, theirs = loaded(checkpoint)
    with torch.inference_mode():
        cache = theirs(drawn(ours, 20)).cache
    held = [layer.keys.shape[2] if getattr(layer, "keys", None) is not None else 0 for layer in cache.layers]
    window = ours.config.window
    assert held == [window - 1, window - 1, window - 1, 20, window - 1, window - 1, window - 1, 0]
    slot = 2 * ours.config.n_kv_heads * ours.config.head_dim * 4
    assert kv_bytes(ours.config, 20) == slot * (sum(held) + 6)


def test_k_can_be_changed_after_loading(checkpoint: Path, loaded: Loaded) -> None:
    ours, _, theirs = loaded(checkpoint, k=3)
    tokens = drawn(ours, 12)
    for k in (3, 1, 16):
        theirs.config.num_experts_per_tok = k
        with torch.inference_mode():
            assert (theirs(tokens).logits - logits_of(ours, tokens, KPolicy(k))).abs().max() < 1e-5


def test_bfloat16(checkpoint: Path, loaded: Loaded) -> None:
    ours, chosen, theirs = loaded(checkpoint, "bfloat16")
    kinds = {name: tensor.dtype for name, tensor in theirs.state_dict().items()}
    assert {kind for name, kind in kinds.items() if ".router." in name} == {torch.float32}
    assert {kind for name, kind in kinds.items() if ".router." not in name} == {torch.bfloat16}
    tokens = drawn(ours, 12)
    expected = logits_of(ours, tokens, chosen)
    with torch.inference_mode():
        assert (theirs(tokens).logits - expected).abs().max() < 0.05 * expected.abs().max()


def test_it_generates_what_we_do(checkpoint: Path, loaded: Loaded, tmp_path: Path) -> None:
    """Greedily, three prompts of other lengths in one batch. Bytes that are no UTF-8, of which a model without training
    writes many, are shown in another way by SentencePiece, so it decodes both."""
    _, _, theirs = loaded(checkpoint)
    prompts = ["the river crosses", "", "my neighbour remembers the engine near the bridge."]
    rows = generate(checkpoint, prompts, 30, sampling=Sampling(temperature=0.0))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "exported", trust_remote_code=True)
    given = tokenizer(prompts, return_tensors="pt", padding=True)
    made = theirs.generate(**given, do_sample=False, max_new_tokens=30)
    processor = open_tokenizer(read_checkpoint(checkpoint).tokenizer)
    assert processor.decode(made.tolist()) == [row.prompt + row.text for row in rows]
    assert theirs.generate(**given, num_beams=2, do_sample=False, max_new_tokens=5).shape[0] == 3


@pytest.mark.parametrize("use_cache", [True, False])
def test_loss_and_every_gradient_are_equal(use_cache: bool, checkpoint: Path, loaded: Loaded) -> None:
    """Those of shared keys and values too; with a cache, as transformers trains unless told otherwise, and without."""
    _, policy, theirs = loaded(checkpoint)
    ours = read_checkpoint(checkpoint).model()
    tokens = drawn(ours, 40)
    plan = packed_plan(ours.config, torch.zeros_like(tokens), torch.device("cpu"), ours.dtype)
    logits = ours.logits(ours(tokens, plan, policy.for_layers(ours.config.n_moe_layers)).hidden_BLD)
    expected = F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    loss = theirs(tokens, labels=tokens, use_cache=use_cache).loss
    assert abs(loss.item() - expected.item()) < 1e-5
    loss.backward()
    expected.backward()
    found = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    assert len(found) == len(list(ours.parameters()))
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(found[exported_name(name)], parameter.grad, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated")
@pytest.mark.parametrize("use_reentrant", [True, False])
def test_layers_that_are_computed_again_have_the_same_gradients(
    use_reentrant: bool, odd_checkpoint: Path, loaded: Loaded
) -> None:
    """Those of shared keys and values too, which others lost; also where a cache would be filled twice."""
    _, _, theirs = loaded(odd_checkpoint)
    tokens = drawn(read_checkpoint(odd_checkpoint).model(), 40)
    theirs.train()(tokens, labels=tokens).loss.backward()
    expected = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    theirs.zero_grad()
    theirs.gradient_checkpointing_enable({"use_reentrant": use_reentrant})
    calls = []
    theirs.model.layers[0].input_layernorm.register_forward_hook(lambda *_: calls.append(0))
    theirs(tokens, labels=tokens, use_cache=True).loss.backward()
    assert len(calls) == 2
    for name, parameter in theirs.named_parameters():
        assert torch.equal(parameter.grad, expected[name]), name
    cache = theirs.eval()(tokens).cache
    with pytest.raises(ValueError, match="fill the cache twice"):
        theirs.train()(tokens, cache=cache)
    assert theirs.generate(tokens, max_new_tokens=2).shape == (2, 42)


def test_documents_packed_into_one_sequence_do_not_attend_to_each_other(checkpoint: Path, loaded: Loaded) -> None:
    """As collators of transformers and TRL pack them: positions begin anew, and there is no mask."""
    _, _, theirs = loaded(checkpoint)
    tokens = drawn(read_checkpoint(checkpoint).model(), 23)
    positions = torch.cat((torch.arange(9), torch.arange(14)))[None].expand(2, -1)
    with torch.inference_mode():
        logits = theirs(tokens, position_ids=positions).logits
        for part in (slice(0, 9), slice(9, 23)):
            assert (theirs(tokens[:, part]).logits - logits[:, part]).abs().max() < 1e-5


@pytest.mark.parametrize("offset", [0, 1])
def test_a_layer_may_get_its_arguments_as_copies(offset: int, checkpoint: Path, loaded: Loaded) -> None:
    """As where layers are on several devices: containers are then made again for each layer."""
    _, _, theirs = loaded(checkpoint)
    tokens = drawn(read_checkpoint(checkpoint).model(), 12)
    expected = theirs(tokens).logits

    def copies(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: copies(each) for name, each in value.items()}
        return value.clone() if isinstance(value, Tensor) else value

    for layer in theirs.model.layers[offset::2]:
        layer.register_forward_pre_hook(lambda _, given: tuple(copies(each) for each in given))
    assert torch.equal(theirs(tokens).logits, expected)


def test_gradients_of_accumulated_passes_sum_to_those_of_one(checkpoint: Path, loaded: Loaded) -> None:
    """transformers' Trainer divides a loss by the number of passes only where the model does not take
    `num_items_in_batch`, and it asks the signature."""
    _, _, theirs = loaded(checkpoint)
    tokens = torch.randint(3, 60, (4, 12), generator=torch.Generator().manual_seed(6))
    labels = tokens.clone()
    labels[0, :9] = -100
    count = (labels[:, 1:] != -100).sum()
    expected = theirs(tokens, labels=labels).loss.item()
    halves = [theirs(tokens[i : i + 2], labels=labels[i : i + 2], num_items_in_batch=count).loss for i in (0, 2)]
    assert abs(sum(half.item() for half in halves) - expected) < 1e-5
    nothing = theirs(tokens[:1], labels=torch.full((1, 12), -100), num_items_in_batch=count).loss
    assert nothing.item() == 0


def test_hidden_states_and_tuples(checkpoint: Path, loaded: Loaded) -> None:
    ours, _, theirs = loaded(checkpoint)
    tokens = drawn(ours, 12)
    with torch.inference_mode():
        out = theirs(tokens, output_hidden_states=True)
        logits, cache = theirs(tokens, return_dict=False)
        assert torch.equal(theirs.lm_head(out.hidden_states[-1]), out.logits)
    assert len(out.hidden_states) == len(ours.config.layers) + 1
    assert torch.equal(out.hidden_states[0], theirs.model.embed_tokens(tokens))
    assert torch.equal(logits, out.logits) and cache.get_seq_length() == 12
    assert theirs(tokens).hidden_states is None


def test_a_model_made_without_weights_is_finite(checkpoint: Path, loaded: Loaded) -> None:
    ours, _, theirs = loaded(checkpoint)
    torch.manual_seed(0)
    new = AutoModelForCausalLM.from_config(theirs.config, trust_remote_code=True)
    assert all(0 < parameter.abs().max() < 10 for parameter in new.parameters())
    assert new(drawn(ours, 12)).logits.isfinite().all()


def test_what_it_cannot_do_is_refused(checkpoint: Path, loaded: Loaded) -> None:
    """In place of results that are wrong: a static cache has empty slots behind the tokens."""
    ours, _, theirs = loaded(checkpoint)
    tokens = drawn(ours, 5)
    with pytest.raises(ValueError, match="no static cache"):
        theirs.generate(tokens, cache_implementation="static", max_new_tokens=2)
    with pytest.raises(ValueError, match="two dimensions"):
        theirs(tokens, attention_mask=torch.ones(2, 1, 5, 5))
    theirs.config.expert_policy = "topp"
    with pytest.raises(ValueError, match="expert_policy is 'topp'"):
        theirs(tokens)


def test_its_readme_loads_it(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = export_model(checkpoint, tmp_path / "exported", "bfloat16", policy="top_p=0.5")
    monkeypatch.chdir(answer["folder"])
    text = Path("README.md").read_text("utf-8")
    exec(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0], {})
    assert capsys.readouterr().out[2:].startswith("The sea")
    assert answer["checkpoint"] in text and "at most 4 of 16, by top_p=0.5" in text


def test_the_same_checkpoint_gives_the_same_bytes(checkpoint: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        export_model(checkpoint, folder)
    names = sorted(path.name for path in folders[0].iterdir())
    assert names == sorted(path.name for path in folders[1].iterdir())
    assert all((folders[0] / name).read_bytes() == (folders[1] / name).read_bytes() for name in names)
    with pytest.raises(UsageError, match="exists already"):
        export_model(checkpoint, folders[0])


def test_weights_in_several_files(checkpoint: Path, loaded: Loaded, tmp_path: Path) -> None:
    ours, chosen, _ = loaded(checkpoint)
    folder = tmp_path / "exported"
    (folder / "model.safetensors").unlink()
    files = write_weights(folder, exported_weights(ours, torch.float32), shard_bytes=20_000)
    assert len(files) > 2 and max(file.stat().st_size for file in files[:-1]) < 40_000
    theirs = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    tokens = drawn(ours, 12)
    with torch.inference_mode():
        assert (theirs(tokens).logits - logits_of(ours, tokens, chosen)).abs().max() < 1e-5


def test_a_file_that_cannot_be_written_is_told(checkpoint: Path, tmp_path: Path) -> None:
    """The error is that of safetensors, which is no OSError."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limit[1]))
    try:
        with pytest.raises(WorkError, match="larger than its file system, or `ulimit -f`, allows"):
            export_model(checkpoint, tmp_path / "exported")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert not list(tmp_path.iterdir())


def test_the_tokenizer_gives_the_same_ids(checkpoint: Path, tmp_path: Path) -> None:
    export_model(checkpoint, tmp_path / "exported")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "exported", trust_remote_code=True)
    ours = open_tokenizer(read_checkpoint(checkpoint).tokenizer)
    hard = ["  a\tb\r\n\n c\u00a0\u3000d e\u0301\ufb01\u00bd中\U0001f642\x00 <s> </s> 2024 ", "", " ", "   ", "<unk>"]
    for text in (*hard, *(document.text for document in documents(seed=3, count=40))):
        ids = theirs(text)["input_ids"]
        assert ids == [theirs.eos_token_id, *encode(ours, text)], text
        assert theirs.decode(ids, skip_special_tokens=True) == text
