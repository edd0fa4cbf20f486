"""`model=hub`: any folder with a language model, its family found in its config; everything else is one line."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from families import FAMILIES, letter_tokenizer, save_checkpoint

from rftlab.errors import UserError
from rftlab.families import family_of
from rftlab.models import Policy, load_policy


def load(source: Path, tokenizer: Path | None = None) -> Policy:
    return load_policy(
        source=source, family="auto", tokenizer=tokenizer, init="pretrained", dtype="float32", compute_dtype="float32"
    )


@pytest.mark.parametrize("name", ["t5", "gpt2", "gemma3"])
def test_the_family_is_that_of_the_config(name: str, tmp_path: Path) -> None:
    assert load(save_checkpoint(name, tmp_path)).family == FAMILIES[name].family


def test_a_mask_is_right_where_pad_is_eos_or_there_is_no_pad(tmp_path: Path) -> None:
    """SmolLM2 pads with its EOS: the EOS of a response counts, the padding behind it does not."""
    folder = save_checkpoint("llama", tmp_path)
    for pad in ("</s>", None):
        words = letter_tokenizer()
        words.pad_token = pad
        words.save_pretrained(folder)
        policy = load(folder)
        assert policy.pad_id == policy.eos_id == 1
        ids, mask = policy.encode_targets(["ab", "a"], 8, True)
        assert ids[1].tolist() == [3 - 1, 1, 1] and mask.tolist() == [[True] * 3, [True, True, False]]
        prompts = policy.encode_prompts(["ab", "a"], 8, "left")
        assert prompts[1].tolist() == [[True, True], [False, True]]
        both, alone = policy(*prompts, ids, mask), policy(prompts[0][1:, 1:], prompts[1][1:, 1:], ids[1:], mask[1:])
        torch.testing.assert_close(both.logprobs[1:], alone.logprobs, atol=1e-5, rtol=0)
        assert both.logprobs[1, 1] != 0 and both.logprobs[1, 2] == 0


CONFIG = {
    "vocab_size": 11,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


def save_other(folder: Path, what: str) -> Path:
    """Write a folder that holds something else than a language model."""
    if what == "classifier":
        lm = transformers.GPT2ForSequenceClassification(
            transformers.GPT2Config(vocab_size=11, n_embd=16, n_layer=1, n_head=2, n_positions=16)
        )
    elif what == "encoder":
        lm = transformers.BertForMaskedLM(transformers.BertConfig(**CONFIG))
    else:
        lm = transformers.T5EncoderModel(
            transformers.T5Config(vocab_size=11, d_model=16, d_kv=8, d_ff=16, num_layers=1)
        )
    lm.save_pretrained(folder)
    letter_tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("what", "found"),
    [("classifier", "GPT2ForSequenceClassification"), ("encoder", "BertForMaskedLM"), ("half", "T5EncoderModel")],
)
def test_what_is_no_language_model_is_refused_in_one_line(what: str, found: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"which is a {found}; expected a language model: decoder-only") as caught:
        load(save_other(tmp_path, what))
    assert "\n" not in str(caught.value)


def test_a_checkpoint_without_its_head_is_refused_rather_than_completed_at_random(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    folder = save_checkpoint("gpt_neox", tmp_path)
    tensors = transformers.AutoModelForCausalLM.from_pretrained(folder).base_model
    tensors.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text()) | {"architectures": ["GPTNeoXForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config))
    capfd.readouterr()
    with pytest.raises(UserError, match=r"which lacks 1 weights of a GPTNeoXForCausalLM, first"):
        load(folder)
    assert "MISSING" not in capfd.readouterr().err


def test_a_tokenizer_may_lie_elsewhere(tmp_path: Path) -> None:
    folder = save_checkpoint("llama", tmp_path / "model")
    shutil.move(folder / "tokenizer.json", tmp_path / "tokenizer.json")
    shutil.move(folder / "tokenizer_config.json", tmp_path / "tokenizer_config.json")
    assert load(folder, tmp_path).decode(torch.tensor([[2, 3]]), torch.ones(1, 2, dtype=torch.bool)) == ["ab"]


def test_a_model_without_a_cache_of_keys_is_refused_rather_than_sampled_wrongly(tmp_path: Path) -> None:
    config = transformers.MambaConfig(
        vocab_size=11, hidden_size=16, num_hidden_layers=1, eos_token_id=1, pad_token_id=0
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.MambaForCausalLM(config).save_pretrained(tmp_path)
    letter_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="MambaForCausalLM, which cannot be read token by token") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"architectures": ["Gemma3ForConditionalGeneration"], "text_config": {}}, "which is a Gemma3"),
        ({"architectures": ["XForCausalLM"], "text_config": {}, "model_type": "x"}, "which reads more than text"),
        ({}, "says neither architectures nor model_type"),
    ],
)
def test_a_config_that_says_something_else_is_refused(config: dict, found: str) -> None:
    with pytest.raises(UserError, match=found):
        family_of(config, "folder")


def test_old_and_bare_configs_are_understood() -> None:
    old = {"architectures": ["T5WithLMHeadModel"], "is_encoder_decoder": True, "model_type": "t5"}
    assert family_of(old, "") == "seq2seq" and family_of({"model_type": "gpt2"}, "") == "causal"
