"""bfloat16 as the dtype of the computation: which passes it reaches, what stays float32, and what training loses."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import pytest
import torch
from torch import nn

from rftlab.loops.lab import OptimizerSpec
from rftlab.loops.networks import NetworkSet, Numerics
from rftlab.models import Policy, load_policy, value_function
from rftlab.models.fused import narrow
from rftlab.sampling import decoding, parts
from rftlab.sampling.sample import beam_search, sample
from rftlab.streams import row_noise
from rftlab.types import BeamSearch, Experience, Needs, Responses, Sampling

MINIS = {"gpt2_mini": "causal", "t5_mini": "seq2seq"}
SAMPLING = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_new_tokens=0, max_new_tokens=16)
PROMPTS = [f"Once upon a time {'a very ' * i}old man went home" for i in range(6)]
EVERYTHING = Needs(reference=True, value=True, old_logprobs=True, entropy="trained")


def mini(name: str, compute_dtype: str, dtype: str = "float32") -> Policy:
    return load_policy(
        source=f"asset:{name}", family=MINIS[name], tokenizer="asset:tokenizer", init="pretrained",
        dtype=dtype, compute_dtype=compute_dtype,
    )  # fmt: skip


def draw(policy: Policy) -> tuple[tuple[torch.Tensor, torch.Tensor], Responses]:
    prompts = policy.encode_prompts(PROMPTS, 32, "left")
    return prompts, sample(policy, *prompts, SAMPLING, 2, noise())


def noise() -> torch.Tensor:
    return row_noise(0, places=range(len(PROMPTS)), samples=2, steps=SAMPLING.max_new_tokens)


def experience(prompts: tuple[torch.Tensor, torch.Tensor], responses: Responses) -> Experience:
    n = len(responses.response_ids)
    return Experience(
        prompt_ids=prompts[0], prompt_mask=prompts[1], response_ids=responses.response_ids,
        response_mask=responses.response_mask, prompt_index=responses.prompt_index, unit=torch.arange(n),
        scores=torch.arange(float(n)), temperature=1.0,
    )  # fmt: skip


def network_set(policy: Policy, head_chunk: int | None = None) -> NetworkSet:
    value = value_function(policy, "separate", "mlp", torch.Generator().manual_seed(0))
    return NetworkSet(policy, value, EVERYTHING, Numerics(microbatch_size=12, head_chunk=head_chunk))


@contextmanager
def watched(module: nn.Module) -> Iterator[set[torch.dtype]]:
    """Collect the dtypes of what the matrix products of a network give."""
    found: set[torch.dtype] = set()
    layers = [m for m in module.modules() if isinstance(m, nn.Linear) or type(m).__name__ == "Conv1D"]
    handles = [layer.register_forward_hook(lambda *args: found.add(args[2].dtype)) for layer in layers]
    assert handles
    yield found
    for handle in handles:
        handle.remove()


@contextmanager
def products() -> Iterator[set[torch.dtype]]:
    """Collect the dtypes of what the matrix products of planned decoders give."""
    found: set[torch.dtype] = set()
    plain = parts.Dense.__call__

    def call(self: parts.Dense, x: torch.Tensor) -> torch.Tensor:
        out = plain(self, x)
        found.add(out.dtype)
        return out

    with mock.patch.object(parts.Dense, "__call__", call):
        yield found


# --- where it reaches ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compute", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", list(MINIS))
def test_sampler_beams_and_scorer_compute_in_one_dtype(name: str, compute: str, monkeypatch) -> None:
    policy = mini(name, compute)
    (prompts, responses), dtype = draw(policy), getattr(torch, compute)
    beam = {"length_penalty": 1.0, "min_new_tokens": 0, "max_new_tokens": 3}
    row = (*prompts, responses.response_ids, responses.response_mask)
    passes: dict[str, Callable[[], object]] = {
        "sample": lambda: sample(policy, *prompts, SAMPLING, 2, noise()),
        "greedy": lambda: beam_search(policy, *prompts, BeamSearch(num_beams=1, **beam)),
        "beams": lambda: beam_search(policy, *prompts, BeamSearch(num_beams=3, **beam)),
    }
    for word, run in passes.items():
        with products() as found:
            run()
        assert found == {dtype}, word
    monkeypatch.setattr(decoding, "plan_of", lambda *args: None)
    passes["score"] = lambda: policy(*row, prompt_index=responses.prompt_index)
    for word, run in passes.items():
        with watched(policy.lm) as found:
            run()
        assert found == {dtype}, word


@pytest.mark.parametrize("name", list(MINIS))
def test_reference_and_value_network_compute_likewise_and_all_that_is_summed_up_is_float32(name: str) -> None:
    policy = mini(name, "bfloat16")
    networks, batch = network_set(policy), experience(*draw(policy))
    assert networks.value is not None and networks.value.trunk is not None and networks.reference is not None
    with (
        watched(networks.value.trunk.lm.base_model) as trunk,
        watched(networks.value.head) as head,
        watched(networks.reference.lm) as reference,
    ):
        batch = networks.annotate(batch)
        new = networks(batch, "trained")
    assert trunk == reference == {torch.bfloat16} and head == {torch.float32}
    assert new.logprobs.dtype == new.entropy.dtype == new.values.dtype == torch.float32
    assert {column.dtype for column in batch.columns.values()} == {torch.float32}
    assert {p.dtype for p in networks.parameters()} == {torch.float32}


@pytest.mark.parametrize("head_chunk", [None, 5])
@pytest.mark.parametrize("compute", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", list(MINIS))
@pytest.mark.parametrize("plain", [False, True])
def test_the_first_ratio_is_exactly_one(name: str, compute: str, head_chunk: int | None, plain: bool) -> None:
    policy = mini(name, compute)
    policy.plain = plain
    networks = network_set(policy, head_chunk)
    batch = networks.annotate(experience(*draw(policy)))
    assert torch.equal(networks(batch, "trained").logprobs, batch["old_logprobs"])
    assert torch.equal(batch["ref_logprobs"], batch["old_logprobs"])


@pytest.mark.parametrize("compute", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", list(MINIS))
def test_a_plan_of_trained_weights_samples_and_searches_what_the_modules_do(
    name: str, compute: str, monkeypatch
) -> None:
    policy = mini(name, compute)
    beam = {"length_penalty": 1.0, "min_new_tokens": 0, "max_new_tokens": 16}
    found = []
    for by_plan in (True, False):
        if not by_plan:
            monkeypatch.setattr(decoding, "plan_of", lambda *args: None)
        prompts, drawn = draw(policy)
        found.append((drawn, *(beam_search(policy, *prompts, BeamSearch(num_beams=k, **beam)) for k in (1, 4))))
    for ours, own in zip(*found, strict=True):
        if compute == "float32":
            assert torch.equal(ours.response_ids, own.response_ids)
            torch.testing.assert_close(ours.logprobs, own.logprobs, atol=1e-5, rtol=0)
        else:
            together = (ours.response_ids[:, 0] == own.response_ids[:, 0]).float().mean()
            assert together > 0.8, "rounding may change a token, and with it all that follow"


@pytest.mark.parametrize("name", list(MINIS))
def test_a_frozen_head_is_converted_once_and_again_when_it_changes(name: str) -> None:
    policy = mini(name, "bfloat16")
    prompts, responses = draw(policy)
    head = policy.lm.get_output_embeddings().weight
    row = (*prompts, responses.response_ids, responses.response_mask)

    def scores(trains: bool) -> torch.Tensor:
        head.requires_grad_(trains)
        return policy(*row, prompt_index=responses.prompt_index).logprobs.detach()

    assert torch.equal(scores(False), scores(True))
    kept = narrow(head, torch.bfloat16)
    assert torch.equal(scores(False), scores(True)) and narrow(head, torch.bfloat16) is kept
    with torch.no_grad():
        head.mul_(1.5)
    assert torch.equal(scores(False), scores(True)) and narrow(head, torch.bfloat16) is not kept


# --- what is lost -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(MINIS))
def test_sampler_and_scorer_agree_within_the_rounding_of_bfloat16(name: str) -> None:
    policy = mini(name, "bfloat16")
    prompts, responses = draw(policy)
    scored = policy(*prompts, responses.response_ids, responses.response_mask, prompt_index=responses.prompt_index)
    difference = (scored.logprobs - responses.logprobs)[responses.response_mask].abs()
    assert difference.mean() < 0.02 and difference.max() < 0.25  # logits around 8 have steps of 1/32


@pytest.mark.parametrize("entropy", ["none", "trained"])
@pytest.mark.parametrize("name", list(MINIS))
def test_gradients_point_where_those_of_float32_do(name: str, entropy: str) -> None:
    exact, rounded = mini(name, "float32"), mini(name, "bfloat16")
    prompts, responses = draw(exact)
    gradients = []
    for policy in (exact, rounded):
        row = (*prompts, responses.response_ids, responses.response_mask)
        scored = policy(*row, prompt_index=responses.prompt_index, entropy=entropy)
        whole = scored.logprobs.sum() + (0 if scored.entropy is None else scored.entropy.sum())
        whole.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in policy.parameters() if p.grad is not None]))
    assert gradients[1].dtype == torch.float32
    assert torch.cosine_similarity(*gradients, dim=0) > 0.998
    assert torch.isclose(gradients[1].norm(), gradients[0].norm(), rtol=0.02)


def moved(policy: Policy, lr: float, steps: int) -> float:
    """Return which share of the parameters that get a gradient differs after some AdamW steps of the product."""
    prompts, responses = draw(policy)
    optimizer = OptimizerSpec(build=torch.optim.AdamW, lr=lr, schedule="constant", warmup_steps=0, max_grad_norm=1.0)
    adamw = optimizer.make(policy)
    before = [p.detach().clone() for p in policy.parameters()]
    reached = [torch.zeros_like(p, dtype=torch.bool) for p in policy.parameters()]
    for step in range(1, steps + 1):
        row = (*prompts, responses.response_ids, responses.response_mask)
        (-policy(*row, prompt_index=responses.prompt_index).logprobs.mean()).backward()
        for mask, p in zip(reached, policy.parameters(), strict=True):
            mask |= p.grad != 0
        optimizer.clip(policy)
        optimizer.step(adamw, step, steps)
    changed = [(p != old)[mask] for p, old, mask in zip(policy.parameters(), before, reached, strict=True)]
    return float(torch.cat(changed).float().mean())


@pytest.mark.parametrize("name", list(MINIS))
def test_small_steps_move_nearly_all_parameters_which_they_would_not_in_bfloat16(name: str) -> None:
    """At the learning rate of APA; parameters of bfloat16, which composition refuses to train, hardly move."""
    assert moved(mini(name, "bfloat16"), 1e-6, 5) > 0.9
    assert moved(mini(name, "bfloat16", dtype="bfloat16"), 1e-6, 5) < 0.05
