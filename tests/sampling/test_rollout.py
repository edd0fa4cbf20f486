"""Properties of sampling and search: what is drawn, how likely it was, and what must not matter."""

import copy
import itertools
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from transformers import GenerationConfig

from rftlab.errors import UserError
from rftlab.models import Policy
from rftlab.sampling import decoding, planned
from rftlab.sampling import sample as rollout
from rftlab.sampling.sample import beam_search, choose, generate, restrict, sample
from rftlab.streams import row_noise, stream
from rftlab.types import BeamSearch, Responses, Sampling

DATA = Path(__file__).parents[2] / "conf" / "data"
PROMPTS = ["what is it?", "hi", "a rather longer prompt"]


@pytest.fixture(scope="session", params=["t5", "gpt2", "llama"])
def tiny(request: pytest.FixtureRequest) -> Callable[..., Policy]:
    return request.getfixturevalue(f"tiny_{request.param}")


def sampling(**changes: float | int) -> Sampling:
    neutral = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_new_tokens": 0, "max_new_tokens": 12}
    return Sampling(**neutral | changes)


def beam(**changes: float | int) -> BeamSearch:
    return BeamSearch(**{"num_beams": 4, "length_penalty": 1.0, "min_new_tokens": 0, "max_new_tokens": 8} | changes)


def noise(ids: torch.Tensor, samples: int, setting: Sampling | BeamSearch, seed: int = 0) -> torch.Tensor:
    return row_noise(seed, places=range(len(ids)), samples=samples, steps=setting.max_new_tokens)


def draw(
    policy: Policy, ids: torch.Tensor, mask: torch.Tensor, setting: Sampling, samples: int, seed: int = 0
) -> Responses:
    return sample(policy, ids, mask, setting, samples, noise(ids, samples, setting, seed))


def few_tokens(make: Callable[..., Policy], seed: int = 0) -> tuple[Policy, torch.Tensor, torch.Tensor]:
    """Make a policy of six tokens, which therefore ends rows early, and three prompts of unequal length for it."""
    policy = make(seed=seed, vocab_size=6)
    ids = torch.tensor([[2, 3, 4, 5], [5, 5, 3, 1], [4, 1, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0]], dtype=torch.bool)
    return (policy, ids.flip(1), mask.flip(1)) if policy.family == "causal" else (policy, ids, mask)


def lengths(responses: Responses) -> list[int]:
    return responses.response_mask.sum(-1).tolist()


# --- sampling -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_sampler_and_scorer_agree_on_every_log_probability(tiny, temperature):
    policy = tiny()
    prompts = policy.encode_prompts(PROMPTS, 32, "left")
    drawn = draw(policy, *prompts, sampling(temperature=temperature), 4)
    scored = policy(*prompts, drawn.response_ids, drawn.response_mask, temperature, drawn.prompt_index)
    torch.testing.assert_close(drawn.logprobs, scored.logprobs.detach(), atol=1e-5, rtol=0)
    assert (drawn.kept_mass == 1).all()
    assert drawn.prompt_index.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_sampled_frequencies_are_the_probabilities(tiny):
    policy, ids, mask = few_tokens(tiny)
    drawn = draw(policy, ids[:1], mask[:1], sampling(max_new_tokens=1), 20_000)
    every = torch.arange(6).unsqueeze(1)
    index = torch.zeros(6, dtype=torch.long)
    probs = policy(ids[:1], mask[:1], every, torch.ones_like(every, dtype=torch.bool), 1.0, index).logprobs.exp()
    frequency = drawn.response_ids.flatten().bincount(minlength=6) / 20_000
    assert probs.sum().item() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(frequency, probs.flatten().detach(), atol=0.015, rtol=0)


def test_eos_counts_only_where_it_was_sampled(tiny):
    policy, ids, mask = few_tokens(tiny)
    drawn = draw(policy, ids, mask, sampling(max_new_tokens=5), 30)
    n_eos = ((drawn.response_ids == policy.eos_id) & drawn.response_mask).sum(-1)
    last = drawn.response_ids.gather(1, drawn.response_mask.sum(-1, keepdim=True) - 1).squeeze(1)
    assert torch.equal(n_eos == 1, last == policy.eos_id)
    assert torch.equal(drawn.truncated, n_eos == 0)
    assert (drawn.response_mask.sum(-1)[drawn.truncated] == 5).all()
    assert not drawn.logprobs[~drawn.response_mask].any()
    assert (drawn.response_ids[~drawn.response_mask] == policy.pad_id).all()
    assert 0 < drawn.truncated.sum() < 90 and 1 in lengths(drawn), "the case must hold both kinds, and an immediate EOS"


def test_no_response_ends_before_the_minimum_length(tiny):
    policy, ids, mask = few_tokens(tiny)
    drawn = draw(policy, ids, mask, sampling(min_new_tokens=3, max_new_tokens=6), 30)
    assert min(lengths(drawn)) == 4, "three tokens, then at the earliest EOS"
    assert (drawn.kept_mass[:, :3] < 1).all() and (drawn.kept_mass[:, 3:] == 1).all()


def test_log_probability_and_kept_mass_rebuild_the_full_distribution(tiny):
    policy, ids, mask = few_tokens(tiny)
    setting = sampling(temperature=0.8, top_k=4, top_p=0.9, min_new_tokens=2, max_new_tokens=6)
    drawn = draw(policy, ids, mask, setting, 20)
    scored = policy(ids, mask, drawn.response_ids, drawn.response_mask, 0.8, drawn.prompt_index)
    rebuilt = (drawn.logprobs + drawn.kept_mass.log()).masked_fill(~drawn.response_mask, 0.0)
    torch.testing.assert_close(rebuilt, scored.logprobs.detach(), atol=1e-5, rtol=0)
    assert (drawn.kept_mass < 0.999).any()


def test_top_k_one_is_greedy_even_where_eos_is_banned(tiny):
    policy, ids, mask = few_tokens(tiny, seed=3)
    drawn = draw(policy, ids, mask, sampling(top_k=1, min_new_tokens=2, max_new_tokens=8), 1)
    greedy = beam_search(policy, ids, mask, beam(num_beams=1, min_new_tokens=2))
    assert torch.equal(drawn.response_ids, greedy.response_ids)
    torch.testing.assert_close(drawn.logprobs, torch.zeros_like(drawn.logprobs))


def test_restrictions_keep_exactly_the_tokens_they_name():
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()

    def kept(banned: int | None = None, **changes: float | int) -> list[int]:
        return restrict(logits, sampling(**changes), banned)[0].isfinite().nonzero().flatten().tolist()

    assert kept(top_k=2) == [0, 1]
    assert kept(top_k=9) == [0, 1, 2, 3]
    assert kept(top_p=0.69) == [0, 1] and kept(top_p=0.71) == [0, 1, 2]
    assert kept(top_p=0.01) == [0]
    assert kept(banned=0, top_k=1) == [1]
    assert kept(top_k=3, top_p=0.5) == [0, 1], "top-p is of what top-k left: 0.4 / 0.9 falls short of a half"
    assert logits.isfinite().all(), "the argument is untouched"


def test_noise_at_the_edges_never_hits_an_impossible_token():
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 1.0, -torch.inf]]).expand(4, -1)
    noise = torch.tensor([0.0, 0.2, 0.3, 1.0 - 2.0**-53], dtype=torch.float64)
    assert choose(logits, noise, sampling(), None).tokens.tolist() == [1, 1, 3, 3]


@pytest.mark.parametrize("cut", [{}, {"top_k": 3}, {"top_p": 0.6}])
@pytest.mark.parametrize("banned", [None, 2])
def test_kept_mass_is_the_share_of_what_can_be_sampled(cut, banned):
    logits = torch.randn((50, 9), generator=stream(0))
    noise = torch.rand(50, dtype=torch.float64, generator=stream(1))
    setting = sampling(temperature=0.7, **cut)
    whole = (logits / 0.7).softmax(-1)
    kept = restrict(logits / 0.7, setting, banned).isfinite()
    torch.testing.assert_close(choose(logits, noise, setting, banned).kept_mass, (whole * kept).sum(-1))


def test_low_temperature_approaches_greedy(tiny):
    policy, ids, mask = few_tokens(tiny)
    cold = draw(policy, ids, mask, sampling(temperature=1e-4, max_new_tokens=8), 1)
    assert torch.equal(cold.response_ids, beam_search(policy, ids, mask, beam(num_beams=1)).response_ids)


def test_the_noise_decides_and_nothing_else(tiny):
    policy, ids, mask = few_tokens(tiny)
    draws = []
    for global_seed, seed in ((0, 0), (1, 0), (0, 1)):
        torch.manual_seed(global_seed)
        draws.append(draw(policy, ids, mask, sampling(), 5, seed))
    assert torch.equal(draws[0].response_ids, draws[1].response_ids)
    assert not torch.equal(draws[0].response_ids[:, :2], draws[2].response_ids[:, :2])


def test_a_response_does_not_depend_on_the_batches(tiny):
    policy, ids, mask = few_tokens(tiny)
    whole = draw(policy, ids, mask, sampling(), 4)
    for size in (1, 3, 8, 64):
        cut = sample(policy, ids, mask, sampling(), 4, noise(ids, 4, sampling()), batch_size=size)
        for name in ("response_ids", "response_mask", "truncated", "prompt_index"):
            assert torch.equal(getattr(cut, name), getattr(whole, name)), (size, name)
        torch.testing.assert_close(cut.logprobs, whole.logprobs, atol=1e-5, rtol=0)
        torch.testing.assert_close(cut.kept_mass, whole.kept_mass)
    assert len(set(lengths(whole))) > 3


def test_dropping_finished_rows_changes_nothing(tiny):
    policy, ids, mask = few_tokens(tiny)
    setting = sampling(max_new_tokens=10)
    numbers = noise(ids, 20, setting)
    kept, eager, lazy = (rollout._sample(policy, ids, mask, setting, numbers, share) for share in (1.0, 0.0, 0.3))
    for other in (eager, lazy):
        assert torch.equal(kept.response_ids, other.response_ids)
        torch.testing.assert_close(kept.logprobs, other.logprobs, atol=1e-5, rtol=0)
    assert len(set(lengths(kept))) > 4


def counted(read: list[int], forward: Callable[[torch.Tensor], torch.Tensor], tokens: torch.Tensor) -> torch.Tensor:
    read.append(tokens.numel())
    return forward(tokens)


def test_each_prompt_is_read_once_and_ended_rows_leave(tiny):
    policy, ids, mask = few_tokens(tiny)
    read: list[int] = []
    stacks = [policy.lm.base_model]
    if policy.family == "seq2seq":
        stacks = [policy.lm.get_encoder(), policy.lm.get_decoder()]
    for table in (stack.get_input_embeddings() for stack in stacks):
        table.forward = partial(counted, read, table.forward)
    draw(policy, ids, mask, sampling(), 20)
    if policy.family == "seq2seq":
        assert read[1] == 3, "the start token of each prompt"
        del read[1]
    rows = read[1:]
    assert read[0] == mask.sum(), "prompts without their padding"
    assert rows == sorted(rows, reverse=True) and rows[-1] < rows[0] <= 60


def test_responses_can_be_trained_on(tiny):
    policy, ids, mask = few_tokens(tiny)
    drawn = draw(policy, ids, mask, sampling(), 2)
    ratio = (
        policy(ids, mask, drawn.response_ids, drawn.response_mask, 1.0, drawn.prompt_index).logprobs - drawn.logprobs
    ).exp()
    ratio.sum().backward()
    assert not any(tensor.is_inference() for tensor in (drawn.response_ids, drawn.logprobs, drawn.kept_mass))


def test_generation_config_of_a_checkpoint_is_ignored(tiny):
    policy, ids, mask = few_tokens(tiny)
    plain = draw(policy, ids, mask, sampling(), 3), beam_search(policy, ids, mask, beam())
    policy.lm.generation_config = GenerationConfig(
        top_k=1, repetition_penalty=5.0, min_length=7, no_repeat_ngram_size=1, num_beams=2, length_penalty=-3.0
    )
    again = draw(policy, ids, mask, sampling(), 3), beam_search(policy, ids, mask, beam())
    assert all(torch.equal(a.response_ids, b.response_ids) for a, b in zip(plain, again, strict=True))


def test_every_setting_of_a_sampler_is_in_its_record_and_in_the_config_of_each_dataset():
    """There is none that a library could fill: no penalty, no banned words, no stop string."""
    names = {field.name for field in fields(Sampling)}
    assert names == {"temperature", "top_k", "top_p", "min_new_tokens", "max_new_tokens"}
    assert all(field.default is MISSING for field in fields(Sampling))
    rollouts = [yaml.safe_load(path.read_text()).get("rollout") for path in sorted(DATA.glob("*.yaml"))]
    sampled = [node for node in rollouts if node]
    assert len(sampled) >= 2
    for node in sampled:
        assert node.keys() - {"_target_"} == names and (node["top_k"], node["top_p"]) == (0, 1.0)


def test_every_sampled_token_is_one_that_the_cut_of_the_scorer_keeps(tiny):
    policy, ids, mask = few_tokens(tiny)
    every = torch.arange(6).unsqueeze(1)
    index = torch.zeros(6, dtype=torch.long)
    whole = policy(ids[:1], mask[:1], every, torch.ones_like(every, dtype=torch.bool), 0.8, index).logprobs.flatten()
    likeliest = whole.detach().exp().sort(descending=True)
    nucleus = int((likeliest.values.cumsum(0) < 0.7).sum()) + 1
    for cut, n in (({"top_k": 2}, 2), ({"top_p": 0.7}, nucleus)):
        drawn = draw(policy, ids[:1], mask[:1], sampling(temperature=0.8, max_new_tokens=1, **cut), 500)
        found = set(drawn.response_ids.flatten().tolist())
        assert found <= set(likeliest.indices[:n].tolist()) and 0 < n < 6
        torch.testing.assert_close(drawn.kept_mass[:, 0], likeliest.values[:n].sum().expand(500))


def test_nothing_that_a_text_says_ends_or_shortens_a_response(tiny):
    """Only EOS and the length limit do: there are no stop strings, which could end in the middle of a token."""
    policy = tiny()
    said = "one.\n\nHuman: two</s> \nQ: three<pad>"
    ids, mask = policy.encode_targets([said], 64, True)
    assert policy.decode(ids, mask) == [said]
    drawn = draw(policy, *policy.encode_prompts(PROMPTS, 32, "left"), sampling(max_new_tokens=40), 6)
    for row, n, truncated in zip(drawn.response_ids, lengths(drawn), drawn.truncated, strict=True):
        assert policy.eos_id not in row[: n - 1] and (n == 40 if truncated else row[n - 1] == policy.eos_id)


def test_classifier_samples_one_label(tiny_bert):
    policy = tiny_bert()
    prompts = policy.encode_prompts(["good", "it was rather bad"], 32, "right")
    drawn = draw(policy, *prompts, sampling(), 50)
    assert drawn.response_ids.shape == (100, 1) and drawn.response_mask.all() and not drawn.truncated.any()
    scored = policy(*prompts, drawn.response_ids, drawn.response_mask, 1.0, drawn.prompt_index)
    torch.testing.assert_close(drawn.logprobs, scored.logprobs.detach(), atol=1e-5, rtol=0)
    best = beam_search(policy, *prompts, beam())
    assert best.response_ids.flatten().tolist() == policy.classify(*prompts)[1].argmax(-1).tolist()


def test_rows_longer_than_the_models_positions_are_refused(tiny_gpt2):
    policy = tiny_gpt2(n_positions=20)
    with pytest.raises(UserError, match="20 positions"):
        draw(policy, *policy.encode_prompts(["0123456789"], 32, "left"), sampling(), 1)


# --- search -------------------------------------------------------------------------------------------------------


def transformers_answer(policy: Policy, ids: torch.Tensor, mask: torch.Tensor, b: BeamSearch) -> list[list[int]]:
    start = {"decoder_start_token_id": 0} if policy.family == "seq2seq" else {}
    config = GenerationConfig(
        do_sample=False, num_beams=b.num_beams, length_penalty=b.length_penalty, early_stopping=False,
        min_new_tokens=b.min_new_tokens or None, max_new_tokens=b.max_new_tokens, pad_token_id=0, eos_token_id=1,
        **start,
    )  # fmt: skip
    out = policy.lm.generate(input_ids=ids, attention_mask=mask, generation_config=config)
    rows = out[:, 1 if policy.family == "seq2seq" else ids.shape[1] :].tolist()
    return [row[: row.index(1) + 1] if 1 in row else row for row in rows]


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize(("penalty", "minimum"), [(1.0, 0), (0.0, 0), (2.0, 3), (2.0, 0), (-1.0, 0)])
def test_search_finds_what_transformers_finds(tiny, k, penalty, minimum):
    decoding = beam(num_beams=k, length_penalty=penalty, min_new_tokens=minimum)
    for seed in (0, 3):  # with seed 3 a row that ends late beats the best one so far
        policy, ids, mask = few_tokens(tiny, seed)
        found = beam_search(policy, ids, mask, decoding)
        ours = [row[:n].tolist() for row, n in zip(found.response_ids, lengths(found), strict=True)]
        assert ours == transformers_answer(policy, ids, mask, decoding)


@pytest.mark.parametrize("penalty", [0.0, 0.5, 1.0])
def test_a_wide_beam_finds_the_best_of_all_sequences(tiny, penalty):
    policy, ids, mask = few_tokens(tiny, seed=5)
    endless = [s for n in (1, 2) for s in itertools.product([0, 2, 3, 4, 5], repeat=n)]
    complete = [(1,), *[(*s, 1) for s in endless], *itertools.product([0, 2, 3, 4, 5], repeat=3)]
    rows = torch.tensor([list(s) + [0] * (3 - len(s)) for s in complete])
    counts = torch.tensor([[i < len(s) for i in range(3)] for s in complete])
    for i in range(3):
        index = torch.full((len(complete),), i)
        total = policy(ids, mask, rows, counts, 1.0, index).logprobs.sum(-1)
        assert total.exp().sum().item() == pytest.approx(1, abs=1e-4), "the enumeration is the whole sample space"
        best = int((total / counts.sum(-1) ** penalty).argmax())  # EOS counts in the length
        found = beam_search(
            policy, ids[i : i + 1], mask[i : i + 1], beam(num_beams=200, length_penalty=penalty, max_new_tokens=3)
        )
        assert tuple(found.response_ids[0, : lengths(found)[0]].tolist()) == complete[best]
        assert found.logprobs.sum().item() == pytest.approx(total[best].item(), abs=1e-4)


def test_search_scores_are_the_policys(tiny):
    policy, ids, mask = few_tokens(tiny)
    for k in (1, 3):
        found = beam_search(policy, ids, mask, beam(num_beams=k))
        scored = policy(ids, mask, found.response_ids, found.response_mask)
        torch.testing.assert_close(found.logprobs, scored.logprobs.detach(), atol=1e-5, rtol=0)
        assert torch.equal(found.truncated, ~(found.response_ids == 1).any(-1))


# --- generate -----------------------------------------------------------------------------------------------------


def test_generate_follows_the_record(tiny):
    policy, ids, mask = few_tokens(tiny)
    searched = generate(policy, ids, mask, beam(), 1, noise(ids, 1, beam()))
    assert torch.equal(searched.response_ids, beam_search(policy, ids, mask, beam()).response_ids)
    drawn = generate(policy, ids, mask, sampling(), 2, noise(ids, 2, sampling()))
    assert torch.equal(drawn.response_ids, draw(policy, ids, mask, sampling(), 2).response_ids)


def test_half_precision_rollout_agrees_with_its_own_scorer(tiny):
    policy = copy.deepcopy(tiny()).to(torch.bfloat16)
    prompts = policy.encode_prompts(PROMPTS, 32, "left")
    drawn = draw(policy, *prompts, sampling(), 2)
    scored = policy(*prompts, drawn.response_ids, drawn.response_mask, 1.0, drawn.prompt_index)
    assert (drawn.logprobs - scored.logprobs).abs().max() < 0.3


# --- plans --------------------------------------------------------------------------------------------------------


def test_a_plan_changes_no_response(tiny, monkeypatch):
    responses = []
    for by_plan in (True, False):
        policy, ids, mask = few_tokens(tiny)
        if not by_plan:
            monkeypatch.setattr(decoding, "plan_of", lambda *args: None)
        found = (
            draw(policy, ids, mask, sampling(), 20),
            *(beam_search(policy, ids, mask, beam(num_beams=k)) for k in (1, 4)),
        )
        responses.append(found)
    for ours, plain in zip(*responses, strict=True):
        assert torch.equal(ours.response_ids, plain.response_ids)
        torch.testing.assert_close(ours.logprobs, plain.logprobs, atol=1e-5, rtol=0)


def test_many_samples_of_a_prompt_are_what_they_are_in_small_groups(tiny, monkeypatch):
    policy, ids, mask = few_tokens(tiny)
    drawn = []
    for size in (16, 3, 1):
        monkeypatch.setattr(planned, "ROWS_PER_GROUP", size)
        drawn.append(draw(policy, ids, mask, sampling(), 20))
    assert all(torch.equal(drawn[0].response_ids, other.response_ids) for other in drawn[1:])
