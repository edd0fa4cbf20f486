"""Properties of policies, references and value networks, each with the pitfall that it excludes."""

import copy

import pytest
import torch
from rows import PROMPTS, TARGETS, batch, generator, with_value
from torch.nn.utils import parameters_to_vector
from transformers import BartConfig, BartForConditionalGeneration

from rftlab.errors import UserError
from rftlab.models import (
    Policy,
    freeze_below,
    reference_of,
)

# --- scores -------------------------------------------------------------------------------------------------------


def test_padding_changes_no_log_probability(tiny):
    policy = tiny()
    prompt_ids, prompt_mask, response_ids, response_mask = batch(policy)
    pads = torch.full((3, 7), policy.pad_id)
    order = [pads, prompt_ids] if policy.family == "causal" else [prompt_ids, pads]
    masks = [torch.zeros(3, 7, dtype=torch.bool), prompt_mask]
    more = torch.cat(order, 1), torch.cat(masks if policy.family == "causal" else masks[::-1], 1)
    more_response = torch.cat([response_ids, pads], 1), torch.cat([response_mask, pads != pads], 1)

    plain = policy(prompt_ids, prompt_mask, response_ids, response_mask)
    padded = policy(*more, *more_response, entropy="logged")

    width = response_ids.shape[1]
    torch.testing.assert_close(padded.logprobs[:, :width], plain.logprobs, atol=1e-5, rtol=0)
    assert not padded.logprobs[:, width:].any() and not padded.entropy[:, width:].any()


def test_rows_score_alike_alone_and_in_a_batch(tiny):
    policy = tiny()
    together = policy(*batch(policy)).logprobs
    for i, (prompt, target) in enumerate(zip(PROMPTS, TARGETS, strict=True)):
        alone = policy(
            *policy.encode_prompts([prompt], 32, "left"), *policy.encode_targets([target], 16, True)
        ).logprobs
        torch.testing.assert_close(alone[0], together[i, : alone.shape[1]], atol=1e-5, rtol=0)


@pytest.mark.parametrize("tied", [True, False], ids=["t5", "t5 v1.1, whose head is not scaled"])
def test_t5_label_log_probability_is_the_models_own_loss(tiny_t5, tied):
    policy = tiny_t5(tie_word_embeddings=tied)
    prompt_ids, prompt_mask, ids, mask = batch(policy)
    labels = ids.masked_fill(~mask, -100)
    loss = policy.lm(input_ids=prompt_ids, attention_mask=prompt_mask, labels=labels).loss
    total = policy(prompt_ids, prompt_mask, ids, mask).logprobs.sum()
    torch.testing.assert_close(-total, loss * mask.sum(), atol=1e-4, rtol=1e-6)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_causal_scores_are_the_models_own_at_a_temperature(request, name):
    policy = request.getfixturevalue(f"tiny_{name}")()
    prompt_ids, prompt_mask = policy.encode_prompts(["abc"], 8, "left")
    ids, mask = policy.encode_targets(["de"], 8, True)
    logits = policy.lm(input_ids=torch.cat([prompt_ids, ids], 1)).logits[0, 2:5] / 0.7
    scored = policy(prompt_ids, prompt_mask, ids, mask, 0.7, entropy="logged")
    expected = torch.distributions.Categorical(logits=logits)
    torch.testing.assert_close(scored.logprobs[0], expected.log_prob(ids[0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(scored.entropy[0], expected.entropy(), atol=1e-5, rtol=0)


def test_bart_bias_on_the_logits_is_part_of_the_score(byte_tokenizer):
    config = BartConfig(
        vocab_size=258, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=64,
        pad_token_id=0, bos_token_id=1, eos_token_id=1, decoder_start_token_id=1, forced_eos_token_id=None,
    )  # fmt: skip
    policy = Policy(BartForConditionalGeneration(config), byte_tokenizer, "seq2seq")
    policy.lm.final_logits_bias.normal_()
    prompt_ids, prompt_mask, ids, mask = batch(policy)
    loss = policy.lm(input_ids=prompt_ids, attention_mask=prompt_mask, labels=ids.masked_fill(~mask, -100)).loss
    torch.testing.assert_close(-policy(*batch(policy)).logprobs.sum(), loss * mask.sum(), atol=1e-4, rtol=1e-6)


def test_uniform_logits_have_the_entropy_of_the_vocabulary(tiny_llama):
    policy = tiny_llama()
    policy.lm.lm_head.weight.data.zero_()
    _, _, _, mask = row = batch(policy)
    entropy = policy(*row, entropy="logged").entropy
    torch.testing.assert_close(entropy[mask], torch.full((int(mask.sum()),), 258.0).log())


def test_the_entropy_is_computed_only_where_asked_for_and_has_a_gradient_only_where_trained(tiny):
    policy = tiny()
    row = batch(policy)
    none, logged, trained = (policy(*row, entropy=mode) for mode in ("none", "logged", "trained"))
    assert none.entropy is None and not logged.entropy.requires_grad and trained.entropy.requires_grad
    torch.testing.assert_close(logged.entropy, trained.entropy)
    assert torch.equal(logged.logprobs, trained.logprobs), "the first ratio is 1 whatever is said of entropy"
    assert torch.equal(none.logprobs, trained.logprobs)


@pytest.mark.parametrize("entropy", ["none", "trained"])
@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_a_head_in_chunks_gives_the_same_scores_and_gradients(tiny, entropy, chunk):
    found = []
    for head_chunk in (None, chunk):
        policy = tiny()
        scored, _ = policy.read(*batch(policy), 0.7, None, entropy, head_chunk)
        parts = [scored.logprobs] if scored.entropy is None else [scored.logprobs, scored.entropy]
        sum(part.mean() for part in parts).backward()
        found.append((parts, [p.grad for p in policy.parameters()]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-5)


def test_half_precision_scores_are_fp32_and_near(tiny):
    policy = tiny(vocab_size=258)
    half = copy.deepcopy(policy).to(torch.bfloat16)
    exact, rounded = policy(*batch(policy)), half(*batch(policy))
    assert rounded.logprobs.dtype == torch.float32
    assert (exact.logprobs - rounded.logprobs).abs().max() < 0.25  # bf16 keeps 8 bits of logits around 8


def test_shared_prompts_score_as_repeated_ones_and_are_read_once_without_padding(tiny):
    policy = tiny()
    prompt_ids, prompt_mask, ids, mask = batch(policy)
    index = torch.tensor([0, 0, 1, 2, 2])
    tokens = []
    reader = policy.lm.get_encoder() if policy.family == "seq2seq" else policy.lm.base_model
    reader.get_input_embeddings().register_forward_hook(lambda *args: tokens.append(args[1][0].numel()))
    shared = policy(prompt_ids, prompt_mask, ids[index], mask[index], 1.0, index)
    repeated = policy(prompt_ids[index], prompt_mask[index], ids[index], mask[index])
    torch.testing.assert_close(shared.logprobs, repeated.logprobs, atol=1e-6, rtol=0)
    own = 0 if policy.family == "seq2seq" else int((mask[index].sum(1) - 1).sum())
    assert tokens == [int(prompt_mask.sum()) + own, int(prompt_mask[index].sum()) + own]
    policy.plain = True
    plain = policy(prompt_ids, prompt_mask, ids[index], mask[index], 1.0, index)
    torch.testing.assert_close(shared.logprobs, plain.logprobs, atol=1e-5, rtol=0)


def test_gradients_are_finite_under_padding(tiny):
    policy = tiny()
    policy(*batch(policy)).logprobs.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in policy.parameters() if p.grad is not None)


# --- texts --------------------------------------------------------------------------------------------------------


def test_prompts_are_cut_on_the_given_side(tiny):
    policy = tiny()
    for side, kept in (("left", "efgh"), ("right", "abcd")):
        room = 5 if policy.family == "seq2seq" else 4
        ids, mask = policy.encode_prompts(["abcdefgh", "x"], room, side)
        assert policy.decode(ids, mask) == [kept, "x"]
        if policy.family == "seq2seq":
            assert ids[0, -1] == policy.eos_id and ids[1].tolist()[1:] == [policy.eos_id, 0, 0, 0]
        else:
            assert mask[1].tolist() == [False, False, False, True]


def test_empty_causal_prompt_is_one_eos_token(tiny_gpt2):
    ids, mask = tiny_gpt2().encode_prompts(["", ""], 8, "left")
    assert ids.tolist() == [[1], [1]] and mask.all()


def test_targets_are_cut_so_that_eos_fits(tiny_t5):
    policy = tiny_t5()
    ids, mask = policy.encode_targets(["abcdef", "a", ""], 4, True)
    assert policy.decode(ids, mask) == ["abc", "a", ""]
    assert mask.sum(-1).tolist() == [4, 2, 1]
    assert (ids[torch.arange(3), mask.sum(-1) - 1] == policy.eos_id).all()
    assert policy.encode_targets(["abcdef"], 4, False)[0].shape == (1, 4)


def test_eos_stays_in_the_mask_where_pad_and_eos_are_the_same_token(tiny_gpt2, byte_tokenizer):
    tokenizer = copy.deepcopy(byte_tokenizer)
    tokenizer.pad_token = tokenizer.eos_token
    policy = Policy(tiny_gpt2().lm, tokenizer, "causal")
    ids, mask = policy.encode_targets(["ab", "a"], 8, True)
    assert mask.tolist() == [[True, True, True], [True, True, False]]
    assert ids[1].tolist()[1:] == [1, 1]


def test_classifier_answers_with_the_index_of_a_label(tiny_bert):
    policy = tiny_bert()
    ids, mask = policy.encode_targets(["high", "low"], 1, True)
    assert ids.tolist() == [[2], [0]] and policy.decode(ids, mask) == ["high", "low"]
    prompts = policy.encode_prompts(["good", "it was rather bad"], 32, "right")
    scored = policy(*prompts, ids, mask)
    expected = policy.lm(input_ids=prompts[0], attention_mask=prompts[1]).logits.log_softmax(-1)
    torch.testing.assert_close(scored.logprobs[:, 0], expected[[0, 1], [2, 0]])
    with pytest.raises(UserError, match="huge"):
        policy.encode_targets(["huge"], 1, True)


# --- references, values, frozen parts -----------------------------------------------------------------------------


def test_reference_is_bit_equal_after_updates_of_the_policy(tiny):
    policy = tiny()
    reference = reference_of(policy)
    before = reference(*batch(policy)).logprobs
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (-policy(*batch(policy)).logprobs.sum()).backward()
        optimizer.step()
    assert torch.equal(reference(*batch(policy)).logprobs, before)
    assert not torch.allclose(policy(*batch(policy)).logprobs, before)
    assert not any(p.requires_grad for p in reference.parameters())


@pytest.mark.parametrize("kind", ["separate", "head"])
@pytest.mark.parametrize("head", ["mlp", "linear"])
def test_value_is_read_where_the_token_is_predicted(tiny, kind, head):
    model = with_value(tiny(), kind, head, generator())
    prompt_ids, prompt_mask, ids, mask = batch(model.policy)
    changed = ids.clone()
    changed[1, 3] += 1
    difference = model.values(prompt_ids, prompt_mask, ids, mask) - model.values(prompt_ids, prompt_mask, changed, mask)
    moved = difference.abs() > 1e-6
    assert not moved[1, :4].any(), "V(s_3) must not see token 3"
    assert moved[1, 4], "V(s_4) must see token 3"
    assert not moved[[0, 2]].any()


def test_values_of_forward_are_those_of_values_and_zero_on_padding(tiny):
    model = with_value(tiny(), "separate", "mlp", generator())
    row = batch(model.policy)
    scored = model(*row)
    torch.testing.assert_close(scored.values, model.values(*row))
    assert not scored.values[~row[3]].any()
    torch.testing.assert_close(scored.logprobs, model.policy(*row).logprobs)


def test_shared_head_sends_its_gradient_into_the_policy_and_separate_does_not(tiny):
    for kind, reaches in (("head", True), ("separate", False)):
        model = with_value(tiny(), kind, "linear", generator())
        model.values(*batch(model.policy)).sum().backward()
        assert any(p.grad is not None and p.grad.any() for p in model.policy.parameters()) == reaches
        assert all(p.grad is not None for p in model.head.parameters())


def test_shared_head_costs_no_second_pass(tiny):
    model = with_value(tiny(), "head", "mlp", generator())
    trunk = model.policy.lm.get_decoder() if model.policy.family == "seq2seq" else model.policy.lm.base_model
    calls = []
    trunk.register_forward_hook(lambda *_: calls.append(1))
    model(*batch(model.policy))
    assert len(calls) == 1


def test_value_head_comes_from_its_generator_alone(tiny_t5):
    heads = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        heads.append(parameters_to_vector(with_value(tiny_t5(), "head", "mlp", generator(5)).head.parameters()))
    assert torch.equal(*heads)
    other = with_value(tiny_t5(), "head", "mlp", generator(6)).head
    assert not torch.equal(heads[0], parameters_to_vector(other.parameters()))


def test_classifier_has_a_value_per_prompt(tiny_bert):
    for kind in ("head", "separate"):
        model = with_value(tiny_bert(), kind, "mlp", generator())
        prompts = model.policy.encode_prompts(["good", "it was bad"], 32, "right")
        assert model(*prompts, *model.policy.encode_targets(["high", "low"], 1, True)).values.shape == (2, 1)


def test_frozen_parts_get_no_gradient_and_tied_heads_freeze_with_the_embedding(tiny):
    policy = tiny()
    freeze_below(policy, 1)
    model = with_value(policy, "separate", "linear", generator())
    scored = model(*batch(policy))
    (scored.logprobs.sum() + scored.values.sum()).backward()
    trained = {name for name, p in policy.lm.named_parameters() if p.grad is not None}
    untied = policy.lm.get_output_embeddings().weight is not policy.lm.get_input_embeddings().weight
    expected = {
        name
        for name, _ in policy.lm.named_parameters()
        if name.startswith(("decoder.block.1.", "transformer.h.1.", "model.layers.1."))
        or name in ("decoder.final_layer_norm.weight", "transformer.ln_f.weight", "transformer.ln_f.bias")
        or name == "model.norm.weight"
        or (untied and name == "lm_head.weight")
    }
    assert trained == expected
    assert all(p.grad is not None for p in model.critic.parameters()), "the value network trains in full"


def test_freezing_nothing_or_too_much(tiny):
    policy = tiny()
    freeze_below(policy, 1)
    freeze_below(policy, None)
    assert all(p.requires_grad for p in policy.parameters())
    with pytest.raises(UserError, match="unfrozen_blocks=3"):
        freeze_below(policy, 3)


def test_a_token_that_the_model_excludes_leaves_the_entropy_a_number(tiny_llama):
    policy = tiny_llama()
    bias = torch.zeros(policy.lm.config.vocab_size)
    bias[7] = -torch.inf
    policy.lm.lm_head.register_forward_hook(lambda *args: args[2] + bias)
    scored = policy(*batch(policy), entropy="trained")
    scored.entropy.sum().backward()
    assert scored.entropy.isfinite().all() and (scored.entropy[batch(policy)[3]] > 0).all()
    assert all(p.grad.isfinite().all() for p in policy.parameters() if p.grad is not None)
