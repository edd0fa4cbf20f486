"""Adapters: a new one changes nothing, off is the base, merged is the same policy, and nothing but it trains."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from rows import batch, generator, with_value

from rftlab.errors import UserError
from rftlab.models import (
    LoRA,
    Policy,
    adapt,
    load_policy_weights,
    merged,
    reference_of,
    save_pretrained_folder,
    value_function,
)
from rftlab.models.adapters import TARGETS, adapted
from rftlab.models.freeze import frozen_copy
from rftlab.sampling.sample import sample
from rftlab.types import BeamSearch, Sampling

SMALL = LoRA(rank=2, alpha=6.0, targets=None)


def with_adapter(policy: Policy, lora: LoRA = SMALL, seed: int = 0) -> Policy:
    adapt(policy, lora, generator(seed))
    return policy


def trained(policy: Policy) -> Policy:
    """Move the adapter, as training does: B is zero before."""
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator(7)))
    return policy


def test_a_new_adapter_changes_nothing_bit_for_bit(tiny: Callable[..., Policy]) -> None:
    plain, policy = tiny(), with_adapter(tiny())
    row = batch(plain)
    assert torch.equal(plain(*row).logprobs, policy(*row).logprobs)
    assert adapted(policy.lm) and not adapted(plain.lm)


def test_the_adapter_is_drawn_from_the_given_stream_alone(tiny: Callable[..., Policy]) -> None:
    before = torch.get_rng_state()
    one, same, other = with_adapter(tiny()), with_adapter(tiny()), with_adapter(tiny(), seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    drawn = [torch.cat([p.flatten() for p in policy.parameters() if p.requires_grad]) for policy in (one, same, other)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_with_the_adapter_off_a_trained_policy_is_its_base_bit_for_bit_and_takes_no_memory(
    tiny: Callable[..., Policy],
) -> None:
    plain, policy = tiny(), with_adapter(tiny())
    reference = reference_of(policy)
    trained(policy)
    row = batch(plain)
    assert torch.equal(reference(*row).logprobs, plain(*row).logprobs)
    assert torch.equal(reference_of(policy, share=False)(*row).logprobs, plain(*row).logprobs)
    assert not torch.allclose(policy(*row).logprobs, plain(*row).logprobs, atol=1e-3)
    own = {p.data_ptr() for p in policy.parameters()}
    held = [p for p in reference.parameters() if p.data_ptr() not in own]
    adapter = sum(p.numel() for p in policy.parameters() if p.requires_grad)
    assert sum(p.numel() for p in held) == adapter, "nothing but the small matrices is held twice"


def test_a_reference_that_is_off_leaves_the_policy_on_and_training(tiny: Callable[..., Policy]) -> None:
    policy = trained(with_adapter(tiny()))
    row = batch(policy)
    before = policy(*row).logprobs
    trains = [name for name, p in policy.named_parameters() if p.requires_grad]
    reference_of(policy)
    assert torch.equal(policy(*row).logprobs, before)
    assert [name for name, p in policy.named_parameters() if p.requires_grad] == trains


def test_a_frozen_copy_keeps_the_adapter_and_does_not_follow(tiny: Callable[..., Policy]) -> None:
    policy = trained(with_adapter(tiny()))
    row = batch(policy)
    before = policy(*row).logprobs
    lagged = frozen_copy(policy)
    trained(policy)
    assert torch.equal(lagged(*row).logprobs, before)
    assert not any(p.requires_grad for p in lagged.parameters())


def test_nothing_but_the_adapter_gets_a_gradient_or_changes(tiny: Callable[..., Policy]) -> None:
    policy = trained(with_adapter(tiny()))
    before = {name: p.detach().clone() for name, p in policy.named_parameters()}
    optimizer = torch.optim.AdamW(policy.parameters(), lr=0.1, weight_decay=0.5)
    policy(*batch(policy)).logprobs.sum().backward()
    optimizer.step()
    for name, parameter in policy.named_parameters():
        own = "lora_" in name
        assert parameter.requires_grad is own and (parameter.grad is not None) is own
        assert torch.equal(parameter, before[name]) is not own, name


def test_no_module_of_an_adapted_policy_is_in_training_mode(tiny: Callable[..., Policy]) -> None:
    policy = with_adapter(tiny())
    assert not any(module.training for module in policy.modules())
    policy.train()
    assert not any(module.training for module in policy.modules())
    row = batch(policy)
    assert torch.equal(policy(*row).logprobs, policy(*row).logprobs)


def test_merged_and_adapted_policies_sample_and_decode_the_same_tokens(tiny: Callable[..., Policy]) -> None:
    policy = trained(with_adapter(tiny()))
    plain = merged(policy)
    assert not adapted(plain.lm) and adapted(policy.lm)
    row = batch(policy)
    assert torch.allclose(plain(*row).logprobs, policy(*row).logprobs, atol=1e-4)
    prompts = policy.encode_prompts(["what is it?", "hi"], 16, "left")
    noise = torch.rand((6, 8), generator=generator(), dtype=torch.float64)
    drawing = Sampling(temperature=0.9, top_k=0, top_p=1.0, min_new_tokens=0, max_new_tokens=8)
    one, other = (sample(p, *prompts, drawing, 3, noise) for p in (plain, policy))
    assert torch.equal(one.response_ids, other.response_ids)
    from rftlab.sampling.beam import beam_search

    for beams in (1, 3):
        search = BeamSearch(num_beams=beams, length_penalty=1.0, min_new_tokens=0, max_new_tokens=8)
        first, second = (beam_search(p, *prompts, search) for p in (plain, policy))
        assert torch.equal(first.response_ids, second.response_ids)


def test_the_value_network_has_the_base_in_common_and_an_adapter_of_its_own(tiny: Callable[..., Policy]) -> None:
    policy = with_adapter(tiny())
    model = with_value(policy, "separate", "linear", generator())
    row = batch(policy)
    assert torch.equal(model.values(*row), value_function(tiny(), "separate", "linear", generator())(
        policy.hidden(*row), *row
    ))  # fmt: skip
    scored = model(*row)
    scored.values.sum().backward()
    assert all(p.grad is None for p in policy.parameters()), "the values' gradient stays in the value network"
    assert {name for name, p in model.critic.named_parameters() if p.requires_grad} == {
        name for name, _ in model.critic.named_parameters() if "lora_" in name
    }
    own = {p.data_ptr() for p in policy.parameters()}
    assert all((p.data_ptr() in own) is not p.requires_grad for p in model.critic.parameters())


def test_a_stored_adapter_opens_in_peft_and_the_folder_in_transformers(
    tiny: Callable[..., Policy], tmp_path: Path
) -> None:
    policy = trained(with_adapter(tiny()))
    save_pretrained_folder(policy, tmp_path / "final")
    row = batch(policy)
    expected = policy(*row).logprobs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = PeftModel.from_pretrained(tiny().lm, tmp_path / "final" / "adapter")
    onto_base = policy.with_lm(loaded.base_model.model)
    assert torch.equal(onto_base(*row).logprobs, expected)
    opened = policy.with_lm(type(policy.lm).from_pretrained(tmp_path / "final"))
    assert torch.allclose(opened(*row).logprobs, expected, atol=1e-4)
    other = tiny(seed=5)
    load_policy_weights(other, tmp_path / "final" / "model.safetensors")
    assert torch.equal(other(*row).logprobs, merged(policy)(*row).logprobs)
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "final").rglob("*.safetensors")}
    assert sizes["adapter_model.safetensors"] < sizes["model.safetensors"] / 2
    assert torch.equal(policy(*row).logprobs, expected), "storing leaves the policy as it is"


@pytest.mark.parametrize("name", ["t5", "gpt2", "llama"])
def test_the_default_targets_are_queries_and_values(name: str, request: pytest.FixtureRequest) -> None:
    policy = with_adapter(request.getfixturevalue(f"tiny_{name}")())
    with_one = {part.rpartition(".lora_A")[0] for part, _ in policy.lm.named_parameters() if ".lora_A" in part}
    assert {part.rpartition(".")[2] for part in with_one} == set(TARGETS[name])


def test_other_targets_may_be_named_and_unknown_ones_are_refused_with_those_that_exist(tiny_llama, tiny_gpt2) -> None:
    policy = with_adapter(tiny_llama(), LoRA(rank=1, alpha=1.0, targets=["down_proj", "lm_head"]))
    assert any("lm_head.lora_A" in name for name, _ in policy.named_parameters()), "an untied head may have one"
    assert torch.equal(policy(*batch(policy)).logprobs, tiny_llama()(*batch(policy)).logprobs)
    with pytest.raises(UserError, match=r"q_prj in model.lora.targets.*some of down_proj, gate_proj, k_proj"):
        with_adapter(tiny_llama(), LoRA(rank=1, alpha=1.0, targets=["q_prj"]))
    with pytest.raises(UserError, match=r"\[\] and a model of type gpt2.*some of c_attn, c_fc, c_proj"):
        with_adapter(tiny_gpt2(), LoRA(rank=1, alpha=1.0, targets=[]))


@pytest.mark.parametrize(
    ("name", "target"), [("gpt2", "lm_head"), ("gpt2", "wte"), ("t5", "lm_head"), ("t5", "shared")]
)
def test_an_adapter_on_a_tied_head_or_an_embedding_is_refused(name, target, request: pytest.FixtureRequest) -> None:
    policy = request.getfixturevalue(f"tiny_{name}")(**({"tie_word_embeddings": True} if name == "t5" else {}))
    with pytest.raises(UserError, match=f"{target} in model.lora.targets, which is no linear layer of its own"):
        with_adapter(policy, LoRA(rank=1, alpha=1.0, targets=[target]))
