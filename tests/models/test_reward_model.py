"""A reward model reads a prompt and the whole response; nothing else changes its score."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from rftlab.errors import UserError
from rftlab.models import Policy, load_weights, save_weights
from rftlab.models.reward_model import Reading, RewardModel, reward_model

PROMPTS, RESPONSES = ["What?", "A longer prompt, is it", "x"], ["fine", "no", "a much longer response than the others"]


def scorer(policy: Policy, most: int = 60, seed: int = 0, side: str = "left") -> RewardModel:
    reading = Reading(max_prompt_tokens=24, truncation_side=side, max_response_tokens=most)
    return reward_model(policy, reading, torch.Generator().manual_seed(seed))


def test_a_score_depends_neither_on_batch_mates_nor_on_padding(tiny: Callable[..., Policy]) -> None:
    model = scorer(tiny())
    alone = np.concatenate([model.score([p], [r], 1) for p, r in zip(PROMPTS, RESPONSES, strict=True)])
    for size in (2, 3):
        np.testing.assert_allclose(model.score(PROMPTS, RESPONSES, size), alone, atol=1e-5)
    (ids, mask), (asked, known) = model.encode_responses(RESPONSES), model.encode_prompts(PROMPTS)
    side = (5, 0) if model.trunk.family == "causal" else (0, 5)
    wide = (pad(asked, side, value=7), pad(known, side), pad(ids, (0, 9), value=7), pad(mask, (0, 9)))
    np.testing.assert_allclose(model(*wide).detach().numpy(), alone, atol=1e-5)
    assert np.ptp(alone) > 0.01


@pytest.mark.parametrize(("size", "passes"), [(2, 4), (7, 3)])
def test_a_pass_reads_each_of_its_prompts_once(tiny: Callable[..., Policy], size: int, passes: int) -> None:
    """Scores are those of each row alone, in whatever order prompts come back."""
    model, read = scorer(tiny()), []
    prompts, responses = ["What?", "No.", "What?", "Why not?", "No.", "What?"], ["a", "bb", "cc", "a", "", "a"]
    alone = np.concatenate([model.score([p], [r], 1) for p, r in zip(prompts, responses, strict=True)])
    encode = model.encode_prompts
    model.encode_prompts = lambda asked: read.extend(asked) or encode(asked)
    np.testing.assert_allclose(model.score(prompts, responses, size), alone, atol=1e-5)
    assert len(read) == passes and set(read) == set(prompts)


def test_the_state_has_read_the_last_token(tiny: Callable[..., Policy]) -> None:
    """Unlike a value, which is read before the token that it predicts."""
    model = scorer(tiny())
    prompts = model.encode_prompts(["What?"])
    for place in (0, 2, 4):
        ids = torch.tensor([[10, 20, 30, 40, 50]]).repeat(2, 1)
        ids[1, place] = 60
        scores = model(*prompts, ids, torch.ones_like(ids, dtype=torch.bool), torch.tensor([0, 0]))
        assert abs((scores[0] - scores[1]).item()) > 1e-4, place


def test_the_state_is_that_of_the_network_itself(tiny: Callable[..., Policy]) -> None:
    policy = tiny()
    model = scorer(policy)
    (asked, _), (ids, _) = model.encode_prompts(["What?"]), model.encode_responses(["fine"])
    if policy.family == "causal":
        states = policy.lm.base_model(input_ids=torch.cat([asked, ids], 1)).last_hidden_state
    else:
        start = torch.full((1, 1), policy.lm.config.decoder_start_token_id)
        out = policy.lm(input_ids=asked, decoder_input_ids=torch.cat([start, ids], 1), output_hidden_states=True)
        states = out.decoder_hidden_states[-1]
    expected = (states[0, -1] @ model.head.net[0].weight[0]).item()
    assert model.score(["What?"], ["fine"], 1)[0] == pytest.approx(expected, abs=1e-5)


def test_of_a_long_response_the_end_is_read_and_of_a_prompt_what_its_side_leaves(tiny: Callable[..., Policy]) -> None:
    model = scorer(tiny(), most=4)
    assert model.response_ids("abcdefgh")[:-1] == model.response_ids("efgh")[:-1] != model.response_ids("abcd")[:-1]
    same = model.score(["p"] * 3, ["abcdefgh", "efgh", "abcd"], 3)
    assert same[0] == pytest.approx(same[1], abs=1e-5) and abs(same[0] - same[2]) > 1e-3
    long = "beginning of a prompt that is too long to be read whole"
    left, other = model.score([long, long[-23:]], ["a", "a"], 2)  # 24 tokens, one of them EOS in a seq2seq model
    right = scorer(tiny(), most=4, side="right").score([long], ["a"], 1)[0]
    assert abs(left - right) > 1e-3
    if model.trunk.family == "seq2seq":
        assert left == pytest.approx(other, abs=1e-5)


def test_every_response_ends_with_one_eos_and_an_empty_one_is_scored(tiny: Callable[..., Policy]) -> None:
    model = scorer(tiny())
    assert model.response_ids("") == [model.trunk.eos_id] and model.response_ids("a")[-1] == model.trunk.eos_id
    assert np.isfinite(model.score(["p"], [""], 1)).all()


def test_the_centre_shifts_all_scores_alike_and_is_stored(tiny: Callable[..., Policy], tmp_path) -> None:
    model = scorer(tiny())
    before = model.score(PROMPTS, RESPONSES, 3)
    model.centre.fill_(2.5)
    np.testing.assert_allclose(model.score(PROMPTS, RESPONSES, 3), before - 2.5, atol=1e-5)
    save_weights(model, tmp_path / "model.safetensors")
    other = scorer(tiny(seed=3), seed=5)
    load_weights(other, tmp_path / "model.safetensors")
    np.testing.assert_array_equal(other.score(PROMPTS, RESPONSES, 3), model.score(PROMPTS, RESPONSES, 3))


def test_the_head_over_the_vocabulary_is_gone_and_everything_else_trains(tiny: Callable[..., Policy]) -> None:
    model = scorer(tiny())
    rows = (*model.encode_prompts(PROMPTS), *model.encode_responses(RESPONSES))
    model(*rows).sum().backward()
    idle = {name for name, p in model.named_parameters() if p.requires_grad and p.grad is None}
    assert not idle


def test_a_classifier_reads_no_response(tiny_bert: Callable[..., Policy]) -> None:
    with pytest.raises(UserError, match="a reward model of a classifier"):
        scorer(tiny_bert())
