"""A policy that is masked by another network: log-probabilities and entropies of what is left, and their gradients."""

from collections.abc import Callable

import pytest
import torch

from rftlab.models import Guide, Policy
from rftlab.models.policy import Allowed
from rftlab.ops import nucleus
from rftlab.types import Nucleus

PROMPTS, TARGETS = ["what is it?", "hi"], ["yes", "no, never"]


@pytest.fixture(params=["tiny_gpt2", "tiny_t5"])
def make_policy(request: pytest.FixtureRequest) -> Callable[..., Policy]:
    return request.getfixturevalue(request.param)


def row(policy: Policy) -> tuple[torch.Tensor, ...]:
    return (*policy.encode_prompts(PROMPTS, 32, "left"), *policy.encode_targets(TARGETS, 16, True))


def test_a_nucleus_is_the_fewest_tokens_of_that_probability_and_at_least_so_many():
    logits = torch.tensor([[0.1, 0.4, 0.2, 0.3]]).log()

    def kept(top_p: float, min_tokens: int) -> list[int]:
        return nucleus(logits, top_p, min_tokens)[0].nonzero().flatten().tolist()

    assert kept(0.39, 1) == [1] and kept(0.41, 1) == [1, 3] and kept(0.71, 1) == [1, 2, 3]
    assert kept(0.39, 2) == [1, 3] and kept(0.39, 3) == [1, 2, 3] and kept(0.39, 9) == [0, 1, 2, 3]


def test_equal_tokens_are_kept_together():
    logits = torch.tensor([[0.0, 2.0, 0.0, 0.0]])
    assert nucleus(logits, 0.8, 1).all() and nucleus(logits, 0.5, 1).sum() == 1


def test_eos_may_always_follow(make_policy):
    guide = Guide(network=make_policy(), keeps=Nucleus(top_p=0.01, min_tokens=2), temperature=1.0)
    logits = torch.arange(10.0).flip(0).unsqueeze(0)
    logits[0, guide.network.eos_id] = -50.0
    assert guide.tokens(logits)[0].nonzero().flatten().tolist() == [0, 1, 2]


def test_the_temperature_of_the_sampling_is_that_of_the_guide(make_policy):
    logits = torch.tensor([[0.1, 0.4, 0.2, 0.3]]).log()
    sizes = [
        int(Guide(network=make_policy(), keeps=Nucleus(top_p=0.65, min_tokens=2), temperature=t).tokens(logits).sum())
        for t in (0.1, 1.0, 10.0)
    ]
    assert sizes == [2, 2, 3]  # EOS, of probability 0.4, is one of them


def test_masked_scores_are_those_of_the_renormalised_distribution(make_policy):
    """By hand, token by token: softmax over what the guide's plain logits keep."""
    policy, lagged, temperature = make_policy(), make_policy(seed=3), 0.7
    guide = Guide(network=lagged, keeps=Nucleus(top_p=0.5, min_tokens=5), temperature=temperature)
    _, _, ids, mask = batch = row(policy)
    scored, _ = policy.read(*batch, temperature, None, "trained", None, guide.read(*batch, None))
    theirs, ours = ((net.logits(net.hidden(*batch)) / temperature).detach() for net in (lagged, policy))
    for i, t in mask.nonzero().tolist():
        order = theirs[i, t].argsort(descending=True).tolist()
        probs, kept, mass = theirs[i, t].softmax(-1), set(), 0.0
        for token in order:
            if mass >= 0.5 and len(kept) >= 5:
                break
            kept.add(token)
            mass += float(probs[token])
        kept |= {policy.eos_id, int(ids[i, t])}
        left = ours[i, t][sorted(kept)].log_softmax(-1)
        assert scored.logprobs[i, t].item() == pytest.approx(left[sorted(kept).index(int(ids[i, t]))].item(), abs=1e-5)
        assert scored.entropy[i, t].item() == pytest.approx(float(-(left.exp() * left).sum()), abs=1e-5)
    assert not torch.allclose(scored.logprobs, policy.read(*batch, temperature, None, "none")[0].logprobs, atol=0.1)


def test_gradients_are_finite_and_reach_the_policy_alone(make_policy):
    policy, lagged = make_policy(), make_policy(seed=3)
    lagged.requires_grad_(False)
    guide = Guide(network=lagged, keeps=Nucleus(top_p=0.3, min_tokens=2), temperature=1.0)
    batch = row(policy)
    scored, _ = policy.read(*batch, 1.0, None, "trained", None, guide.read(*batch, None))
    (scored.logprobs.sum() + scored.entropy.sum()).backward()
    grads = [p.grad for p in policy.parameters() if p.grad is not None]
    assert grads and all(grad.isfinite().all() for grad in grads) and any(grad.any() for grad in grads)
    assert scored.entropy.isfinite().all() and (scored.entropy >= 0).all()


def test_a_token_that_was_chosen_is_inside_whatever_the_guide_says(make_policy):
    """The sampler may have seen a token on the other side of the edge, by rounding."""
    policy = make_policy()
    batch = row(policy)
    nothing = Allowed(hidden=policy.hidden(*batch), tokens=lambda h: torch.zeros(len(h), 258, dtype=torch.bool))
    scored, _ = policy.read(*batch, 1.0, None, "trained", None, nothing)
    assert (scored.logprobs == 0).all() and (scored.entropy == 0).all()  # it is the only one left


@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_a_head_in_chunks_gives_the_same_masked_scores_and_gradients(make_policy, chunk):
    found = []
    for head_chunk in (None, chunk):
        policy = make_policy()
        guide = Guide(network=make_policy(seed=3), keeps=Nucleus(top_p=0.5, min_tokens=5), temperature=0.7)
        batch = row(policy)
        scored, _ = policy.read(*batch, 0.7, None, "trained", head_chunk, guide.read(*batch, None))
        (scored.logprobs.mean() + scored.entropy.mean()).backward()
        found.append(([scored.logprobs, scored.entropy], [p.grad for p in policy.parameters()]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-5)
