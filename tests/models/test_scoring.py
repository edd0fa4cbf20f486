"""Scores with a gradient of their own, the head in parts, fused kernels: as torch and transformers say."""

import copy
from collections.abc import Callable

import pytest
import torch
from rows import batch

from rftlab.models import Policy, freeze_below, fuse
from rftlab.models.scoring import PIECE, score_logits

TEMPERATURE = 0.7


def scored(plain: bool, rows: int, vocabulary: int, temperature: float, dtype: torch.dtype) -> list[torch.Tensor]:
    stream = torch.Generator().manual_seed(0)
    logits = (4 * torch.randn((rows, vocabulary), generator=stream)).to(dtype).requires_grad_(True)
    ids = torch.randint(vocabulary, (rows,), generator=stream)
    chosen, spread = score_logits(logits, ids, temperature, "logged", plain=plain)
    (chosen * torch.arange(1.0, rows + 1.0)).sum().backward()
    assert spread is not None and not spread.requires_grad
    assert chosen.dtype == spread.dtype == torch.float32 and logits.grad.dtype == dtype
    return [chosen.detach(), spread, logits.grad]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("temperature", [1.0, TEMPERATURE])
@pytest.mark.parametrize(("rows", "vocabulary"), [(6, 11), (7, PIECE // 3), (3, 2 * PIECE)])
def test_log_probability_entropy_and_gradient_are_those_of_log_softmax(
    rows: int, vocabulary: int, temperature: float, dtype: torch.dtype
) -> None:
    """Of one piece, of several with a rest, and of rows longer than a piece."""
    asked = (rows, vocabulary, temperature, dtype)
    for ours, theirs in zip(scored(False, *asked), scored(True, *asked), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-5 if ours.dtype == torch.float32 else 1e-2)


def test_rows_score_the_same_bits_whatever_stands_beside_them() -> None:
    logits = torch.randn((9, PIECE // 4), generator=torch.Generator().manual_seed(1))
    ids = torch.arange(9)
    whole = score_logits(logits, ids, 1.0, "logged")
    for i in range(9):
        alone = score_logits(logits[i : i + 1], ids[i : i + 1], 1.0, "logged")
        assert all(torch.equal(one[i : i + 1], other) for one, other in zip(whole, alone, strict=True))


def gradients(policy: Policy, head_chunk: int | None, entropy: str) -> list[torch.Tensor]:
    prompt_ids, prompt_mask, ids, mask = batch(policy)
    policy.zero_grad()
    said, _ = policy.read(prompt_ids, prompt_mask, ids, mask, TEMPERATURE, None, entropy, head_chunk)
    loss = (said.logprobs**2).sum()
    (loss if entropy != "trained" else loss + said.entropy.sum()).backward()
    return [said.logprobs.detach(), *(p.grad for p in policy.parameters() if p.grad is not None)]


@pytest.mark.parametrize("entropy", ["none", "logged", "trained"])
@pytest.mark.parametrize("unfrozen", [None, 1])
def test_the_head_in_parts_says_and_teaches_what_the_whole_one_does(
    tiny: Callable[..., Policy], unfrozen: int | None, entropy: str
) -> None:
    policy = tiny()
    freeze_below(policy, unfrozen)
    whole, parts = gradients(policy, None, entropy), gradients(policy, 4, entropy)
    assert len(whole) == len(parts)
    for one, other in zip(whole, parts, strict=True):
        assert (one - other).abs().max() < 1e-5 * other.abs().max().clamp_min(1.0)


def test_a_frozen_head_in_parts_is_computed_once(tiny_gpt2: Callable[..., Policy]) -> None:
    policy, calls = tiny_gpt2(), []
    freeze_below(policy, 1)
    policy.lm.get_output_embeddings().register_forward_hook(lambda *_: calls.append(1))
    tokens = int(batch(policy)[3].sum())
    gradients(policy, 4, "none")
    assert len(calls) == -(-tokens // 4)


@pytest.mark.parametrize("name", ["gpt2", "t5", "t5 v1.1"])
def test_fused_kernels_say_what_the_models_own_do_and_keep_the_weights(request, name: str) -> None:
    make = request.getfixturevalue(f"tiny_{name.split()[0]}")
    policy = make(feed_forward_proj="gated-gelu") if "v1.1" in name else make()
    fused = copy.deepcopy(policy)
    before = dict(fused.named_parameters())
    fuse(fused.lm)
    kinds = {type(module).__name__ for module in fused.modules()}
    assert not kinds & {"NewGELUActivation", "T5LayerNorm"} and kinds & {"GELU", "RMSNorm"}
    after = dict(fused.named_parameters())
    assert before.keys() == after.keys() and all(before[key] is after[key] for key in before)
    for one, other in zip(gradients(policy, None, "none"), gradients(fused, None, "none"), strict=True):
        assert (one - other).abs().max() < 1e-5 * other.abs().max().clamp_min(1.0)
