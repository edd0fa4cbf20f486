"""Loading and storing of policies, and what is refused."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rows import PROMPTS, TARGETS, batch, generator, with_value
from safetensors import SafetensorError
from torch.nn.utils import parameters_to_vector
from transformers import AutoModelForSeq2SeqLM, T5Config

from rftlab.errors import UserError
from rftlab.models import (
    load_policy,
    load_weights,
    save_pretrained_folder,
    save_weights,
    weights,
)
from rftlab.models.policy import Family, Policy


def test_dropout_is_off_whatever_the_config_and_the_mode(tiny_t5, tiny_gpt2, tiny_bert, tmp_path):
    for name, make, drop in (
        ("seq2seq", tiny_t5, {"dropout_rate": 0.5}),
        ("causal", tiny_gpt2, {"resid_pdrop": 0.5, "embd_pdrop": 0.5, "attn_pdrop": 0.5}),
        ("classifier", tiny_bert, {"hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.5}),
    ):
        save_pretrained_folder(make(**drop), tmp_path / name)
        policy = load_policy(
            source=tmp_path / name,
            family=name,
            tokenizer=None,
            init="pretrained",
            dtype="float32",
            compute_dtype="float32",
        )
        model = with_value(policy, "head", "linear", generator()).train()
        policy.lm.train()  # past the guard of Policy.train
        prompts = policy.encode_prompts(PROMPTS, 32, "left")
        targets = policy.encode_targets(["high"] * 3 if name == "classifier" else TARGETS, 8, True)
        first, second = model(*prompts, *targets), model(*prompts, *targets)
        assert torch.equal(first.logprobs, second.logprobs) and torch.equal(first.values, second.values)
        assert not policy.train().training


def test_weights_survive_the_disk_and_tied_ones_stay_tied(tiny, tmp_path):
    model = with_value(tiny(), "separate", "mlp", generator())
    save_weights(model, tmp_path / "a" / "model.safetensors")
    other = with_value(tiny(seed=1), "separate", "mlp", generator(1))
    load_weights(other, tmp_path / "a" / "model.safetensors")
    assert torch.equal(other(*batch(model.policy)).logprobs, model(*batch(model.policy)).logprobs)
    assert torch.equal(other.values(*batch(model.policy)), model.values(*batch(model.policy)))
    with torch.no_grad():
        other.policy.lm.get_input_embeddings().weight.zero_()
    tied = model.policy.lm.get_output_embeddings().weight is model.policy.lm.get_input_embeddings().weight
    assert (not other.policy.lm.get_output_embeddings().weight.any()) == tied
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["model.safetensors"]


def test_weights_of_another_shape_or_a_broken_file_are_refused(tiny_t5, tmp_path):
    save_weights(tiny_t5(num_layers=1), tmp_path / "small.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    for name in ("small", "broken", "absent"):
        with pytest.raises(UserError, match=name):
            load_weights(tiny_t5(), tmp_path / f"{name}.safetensors")


def test_stored_folder_loads_here_and_in_transformers(tiny_t5, tmp_path):
    policy = tiny_t5()
    for _ in range(2):  # the second replaces the first
        save_pretrained_folder(policy, tmp_path / "org" / "name", torch.float16)
    assert next(policy.parameters()).dtype == torch.float32, "the policy itself is not converted"
    for source, mirror in ((tmp_path / "org" / "name", None), ("org/name", tmp_path)):
        loaded = load_policy(
            source=source,
            family="seq2seq",
            tokenizer=None,
            init="pretrained",
            dtype="float32",
            compute_dtype="float32",
            hub_mirror=mirror,
        )
        assert {p.dtype for p in loaded.parameters()} == {torch.float32}
        torch.testing.assert_close(loaded(*batch(policy)).logprobs, policy(*batch(policy)).logprobs, atol=0.05, rtol=0)
    assert AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "org" / "name").config.d_model == 16
    assert [file.name for file in (tmp_path / "org").iterdir()] == ["name"]


def test_random_weights_follow_the_generator_and_leave_the_global_stream_alone(byte_tokenizer, tmp_path):
    T5Config(
        vocab_size=258, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0
    ).save_pretrained(tmp_path)
    byte_tokenizer.save_pretrained(tmp_path)
    state = torch.get_rng_state()
    one, two, three = (
        parameters_to_vector(
            load_policy(
                source=tmp_path,
                family="seq2seq",
                tokenizer=None,
                init="random",
                dtype="float32",
                compute_dtype="float32",
                generator=generator(s),
            ).parameters()
        )
        for s in (0, 0, 1)
    )
    assert torch.equal(one, two) and not torch.equal(one, three)
    assert torch.equal(state, torch.get_rng_state())


def test_unusable_models_are_refused_quickly_and_in_one_line(tiny_bert, tiny_t5, byte_tokenizer, tmp_path):
    save_pretrained_folder(tiny_bert(), tmp_path / "bert")
    save_pretrained_folder(tiny_t5(vocab_size=100), tmp_path / "few")
    tiny_t5().lm.config.save_pretrained(tmp_path / "bare")
    (tmp_path / "empty").mkdir()
    cases: list[tuple[str | Path, Family, str]] = [
        (tmp_path / "bert", "causal", "model type bert"),
        (tmp_path / "bert", "seq2seq", "model type bert"),
        (tmp_path / "few", "seq2seq", "258 tokens"),
        (tmp_path / "bare", "seq2seq", "no weights"),
        (tmp_path / "empty", "seq2seq", "empty"),
        (tmp_path / "absent", "seq2seq", "no folder"),
        ("asset:absent", "seq2seq", "make assets"),
        ("nobody/nothing", "seq2seq", "paths.hub_mirror"),
    ]
    for source, family, words in cases:
        started = time.monotonic()
        with pytest.raises(UserError, match=words) as caught:
            load_policy(
                source=source,
                family=family,
                tokenizer=None,
                init="pretrained",
                dtype="float32",
                compute_dtype="float32",
                hub_mirror=tmp_path,
            )
        assert "\n" not in str(caught.value)
        assert time.monotonic() - started < 5


def test_weights_that_the_disk_does_not_take_are_refused_in_words_and_leave_the_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "final" / "model.safetensors"
    save_weights(torch.nn.Linear(2, 2), path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(weights, "save_file", full)
    with pytest.raises(UserError, match=r"cannot write .*model.safetensors: .*No space left"):
        save_weights(torch.nn.Linear(2, 2), path)
    assert path.read_bytes() == before and [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_folder_that_the_disk_does_not_take_is_refused_in_words_and_leaves_the_old_one(
    tiny_gpt2: Callable[..., Policy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tiny_gpt2()
    save_pretrained_folder(policy, tmp_path / "model")
    before = {file.name: file.read_bytes() for file in (tmp_path / "model").iterdir()}

    def full(*_: object, **__: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(policy.lm, "save_pretrained", full)
    with pytest.raises(UserError, match=r"cannot write .*model: .*No space left"):
        save_pretrained_folder(policy, tmp_path / "model")
    assert {file.name: file.read_bytes() for file in (tmp_path / "model").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
