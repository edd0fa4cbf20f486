"""Sampling under a guide: what may be drawn, how likely it was, and what must not matter."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch

from rftlab.models import Guide, Policy, load_policy
from rftlab.sampling import sample as rollout
from rftlab.sampling.lockstep import guided_by
from rftlab.sampling.sample import sample
from rftlab.streams import row_noise
from rftlab.types import Nucleus, Responses, Sampling

MINIS = {"gpt2_mini": "causal", "t5_mini": "seq2seq"}
PROMPTS = [f"Once upon a time {'a very ' * i}old man went home" for i in range(4)]
NEUTRAL = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_new_tokens": 0, "max_new_tokens": 16}


def mini(name: str) -> Policy:
    return load_policy(
        source=f"asset:{name}", family=MINIS[name], tokenizer="asset:tokenizer", init="pretrained",
        dtype="float32", compute_dtype="float32",
    )  # fmt: skip


def moved(policy: Policy, by: float = 0.02) -> Policy:
    """Make a lagged copy that differs from its policy."""
    copy, generator = policy.with_lm(deepcopy(policy.lm)), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in copy.lm.parameters():
            parameter.add_(by * torch.randn(parameter.shape, generator=generator))
    return copy


def draw(policy: Policy, guide: Guide | None, batch_size: int | None = None, **changes: float) -> Responses:
    setting = Sampling(**NEUTRAL | changes)
    noise = row_noise(0, places=range(len(PROMPTS)), samples=3, steps=setting.max_new_tokens)
    return sample(policy, *prompts_of(policy), setting, 3, noise, batch_size, guided_by(guide))


def prompts_of(policy: Policy) -> tuple[torch.Tensor, torch.Tensor]:
    return policy.encode_prompts(PROMPTS, 32, "left")


@pytest.fixture(scope="module", params=list(MINIS))
def pair(request: pytest.FixtureRequest) -> tuple[Policy, Callable[..., Guide]]:
    policy = mini(request.param)
    lagged = moved(policy)

    def guide(top_p: float = 0.8, min_tokens: int = 5, temperature: float = 1.0) -> Guide:
        return Guide(network=lagged, keeps=Nucleus(top_p=top_p, min_tokens=min_tokens), temperature=temperature)

    return policy, guide


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_sampler_and_scorer_agree_under_the_mask(pair, temperature):
    policy, guide = pair[0], pair[1](temperature=temperature)
    drawn = draw(policy, guide, temperature=temperature)
    row = (*prompts_of(policy), drawn.response_ids, drawn.response_mask)
    scored, _ = policy.read(*row, temperature, drawn.prompt_index, "none", None, guide.read(*row, drawn.prompt_index))
    assert (drawn.logprobs - scored.logprobs).abs().max() < 1e-4
    whole = policy(*row, temperature, drawn.prompt_index).logprobs
    assert (scored.logprobs - whole).max() > 0.1 and (drawn.kept_mass == 1).all()


def test_every_sampled_token_is_inside_the_mask(pair):
    policy, guide = pair[0], pair[1](top_p=0.5, min_tokens=2)
    drawn = draw(policy, guide)
    row = (*prompts_of(policy), drawn.response_ids, drawn.response_mask)
    allowed = guide.read(*row, drawn.prompt_index)
    inside = allowed.tokens(allowed.hidden[drawn.response_mask])
    assert inside.gather(-1, drawn.response_ids[drawn.response_mask].unsqueeze(-1)).all()
    assert inside.float().mean() < 0.2
    free = draw(policy, None)
    row = (*prompts_of(policy), free.response_ids, free.response_mask)
    allowed = guide.read(*row, free.prompt_index)
    outside = ~allowed.tokens(allowed.hidden[free.response_mask]).gather(
        -1, free.response_ids[free.response_mask].unsqueeze(-1)
    )
    assert outside.any(), "without the guide some would not be"


def test_a_guide_that_keeps_everything_changes_no_sample(pair):
    policy, guide = pair
    free, guided = draw(policy, None), draw(policy, guide(top_p=0.01, min_tokens=len(policy.tokenizer)))
    assert torch.equal(free.response_ids, guided.response_ids) and torch.equal(free.logprobs, guided.logprobs)


def test_a_masked_response_does_not_depend_on_the_batches(pair):
    policy, guide = pair
    whole = draw(policy, guide())
    for size in (1, 6):
        cut = draw(policy, guide(), size)
        assert torch.equal(cut.response_ids, whole.response_ids), size
        torch.testing.assert_close(cut.logprobs, whole.logprobs, atol=1e-4, rtol=0)


def test_dropping_finished_rows_changes_nothing_under_a_guide(tiny_t5):
    policy = tiny_t5(vocab_size=6)
    guide = Guide(network=tiny_t5(seed=1, vocab_size=6), keeps=Nucleus(top_p=0.6, min_tokens=3), temperature=1.0)
    ids = torch.tensor([[2, 3, 4, 5], [5, 5, 3, 1]])
    setting = Sampling(**NEUTRAL | {"max_new_tokens": 10})
    numbers = row_noise(0, places=range(2), samples=20, steps=10)
    kept, eager = (
        rollout._sample(policy, ids, torch.ones_like(ids).bool(), setting, numbers, share, guided_by(guide))
        for share in (1.0, 0.0)
    )
    assert torch.equal(kept.response_ids, eager.response_ids) and len(set(kept.response_mask.sum(1).tolist())) > 3


def test_the_cut_of_the_sampler_comes_after_the_mask(pair):
    """EOS banned, then top-k: of what the mask has left; two tokens at least are left, so one that is not EOS."""
    policy, guide = pair[0], pair[1](top_p=0.01, min_tokens=2)
    drawn = draw(policy, guide, min_new_tokens=16, top_k=1)
    assert (drawn.response_mask.sum(1) == 16).all() and (drawn.response_ids != policy.eos_id).all()
    assert (drawn.logprobs == 0).all() and (drawn.kept_mass <= 1).all() and (drawn.kept_mass < 1).any()
