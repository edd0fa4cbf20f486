"""Checkpoints as the hub has them from 2021 to 2023: pickled, with masks and frequencies, trunks under other names."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from families import FAMILIES, letter_tokenizer, save_checkpoint
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel

from rftlab.errors import UserError
from rftlab.models import Policy, load_policy
from rftlab.models.scalar import ScalarModel, read_scalar_model

OLD = ["gpt2", "gpt_neo", "gptj", "gpt_neox", "llama", "t5"]
CAUSAL = [name for name in OLD if FAMILIES[name].family == "causal"]
PREFIX = {"gpt2": "transformer.", "gpt_neo": "transformer.", "gptj": "transformer.", "gpt_neox": "gpt_neox.",
          "llama": "model.", "t5": ""}  # fmt: skip
BLOCK = {"gpt2": "h.{}.attn.", "gpt_neo": "h.{}.attn.attention.", "gptj": "h.{}.attn.",
         "gpt_neox": "layers.{}.attention.", "llama": "layers.{}.self_attn."}  # fmt: skip
IDS = torch.tensor([[2, 3, 4, 5, 1, 0], [5, 2, 1, 0, 0, 0]])
MASK = torch.tensor([[True] * 5 + [False], [True] * 3 + [False] * 3])
PLACES = torch.tensor([4, 1])


def constants(name: str) -> dict[str, Tensor]:
    """Give what transformers stored beside the weights at that time, by its name in the trunk."""
    mask = torch.ones(64, 64, dtype=torch.uint8).tril()[None, None]
    of_attention = {"bias": mask, "masked_bias": torch.tensor(-1e9)}
    of_block = {
        "gpt2": of_attention,
        "gpt_neo": of_attention,
        "gptj": of_attention,
        "gpt_neox": {**of_attention, "rotary_emb.inv_freq": torch.ones(2)},
        "llama": {"rotary_emb.inv_freq": torch.ones(2)},
    }.get(name, {})
    found = {f"{BLOCK[name].format(i)}{word}": tensor for i in range(3) for word, tensor in of_block.items()}
    if name == "t5":
        found["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"] = torch.ones(32, 4)
    return found


def as_before(name: str, folder: Path, *, prefix: str | None = None, zipped: bool = True, parts: int = 1) -> Path:
    """Turn the weights of a folder into pickled ones with what was stored beside them; `prefix` = that of the trunk."""
    weights = load_file(folder / "model.safetensors")
    own = PREFIX[name]
    weights |= {f"{own}{word}": tensor for word, tensor in constants(name).items()}
    if prefix is not None:
        weights = {
            f"{prefix}{word.removeprefix(own)}" if word.startswith(own) else word: t for word, t in weights.items()
        }
    (folder / "model.safetensors").unlink()
    if parts == 1:
        torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
        return folder
    files = {word: f"pytorch_model-{i % parts + 1:05}-of-{parts:05}.bin" for i, word in enumerate(weights)}
    for file in set(files.values()):
        torch.save({word: weights[word] for word in files if files[word] == file}, folder / file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    return folder


def scores(folder: Path) -> Tensor:
    policy: Policy = load_policy(
        source=folder, family="auto", tokenizer=None, init="pretrained", dtype="float32", compute_dtype="float32"
    )
    prompts, targets = policy.encode_prompts(["a fed cab", "bed"], 32, "left"), ["a bad bed", "fad"]
    with torch.no_grad():
        return policy(*prompts, *policy.encode_targets(targets, 16, True)).logprobs


@pytest.mark.parametrize("name", OLD)
def test_a_policy_scores_alike_from_pickled_weights_with_masks_and_frequencies(name: str, tmp_path: Path) -> None:
    folder = save_checkpoint(name, tmp_path)
    expected = scores(folder)
    assert torch.equal(scores(as_before(name, folder)), expected)


@pytest.mark.parametrize(
    ("name", "old"), [("gpt_neox", {"rotary_pct": 0.5, "rotary_emb_base": 10000}), ("llama", {"rope_scaling": None})]
)
def test_a_config_of_that_time_turns_by_the_same_angles(name: str, old: dict[str, Any], tmp_path: Path) -> None:
    """The configs of Pythia and LLaMA have no `rope_parameters`; LLaMA's has no base of its own."""
    folder = save_checkpoint(name, tmp_path)
    expected = scores(folder)
    config = json.loads((folder / "config.json").read_text())
    del config["rope_parameters"]
    (folder / "config.json").write_text(json.dumps(config | old | {"torch_dtype": "float16"}))
    assert torch.equal(scores(as_before(name, folder)), expected)


def test_a_policy_is_read_from_several_files_and_from_a_trunk_without_its_prefix(tmp_path: Path) -> None:
    """GPT-2 on the hub has `h.0...` for `transformer.h.0...`; checkpoints above 10 GB are in parts."""
    one, two = (save_checkpoint("gpt2", tmp_path / where) for where in ("one", "two"))
    expected = scores(one)
    assert torch.equal(scores(as_before("gpt2", one, prefix="")), expected)
    assert torch.equal(scores(as_before("gpt2", two, parts=2)), expected)


def trunk_of(folder: Path) -> PreTrainedModel:
    return AutoModel.from_pretrained(folder, dtype=torch.float32).eval()


def read(folder: Path, **keys: Any) -> ScalarModel:
    asked = {"layout": "trlx", "trunk": None, "weights": None, "dtype": "float32", "hub_mirror": None}
    return read_scalar_model(str(folder), **asked | keys)


@torch.no_grad()
def scalars(trunk: PreTrainedModel, head: Tensor) -> Tensor:
    """Read each row alone, without padding or mask."""
    rows = [trunk(input_ids=ids[keep][None]).last_hidden_state[0] for ids, keep in zip(IDS, MASK, strict=True)]
    return torch.stack([row[place] @ head[0] for row, place in zip(rows, PLACES, strict=True)])


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("head", ["v_head.weight", "score.weight"])
@torch.no_grad()
def test_a_reward_model_of_trlx_has_any_trunk_under_one_prefix(name: str, head: str, tmp_path: Path) -> None:
    folder = save_checkpoint(name, tmp_path)
    trunk, weight = trunk_of(folder), torch.linspace(-1, 1, 16)[None]
    stored = {**trunk.state_dict(), **constants(name)}
    torch.save({f"transformer.{word}": t for word, t in stored.items()} | {head: weight}, folder / "hf_ckpt.pt",
               _use_new_zipfile_serialization=head == "v_head.weight")  # fmt: skip
    found = read(folder, weights="hf_ckpt.pt")(IDS, MASK, PLACES)
    torch.testing.assert_close(found, scalars(trunk, weight), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", CAUSAL)
@torch.no_grad()
def test_a_classifier_with_one_output_is_read_from_pickled_weights(name: str, tmp_path: Path) -> None:
    folder, weight = save_checkpoint(name, tmp_path), torch.linspace(-1, 1, 16)[None]
    expected = scalars(trunk_of(folder), weight)
    as_before(name, folder)
    stored = torch.load(folder / "pytorch_model.bin", weights_only=True)
    torch.save(stored | {"score.weight": weight}, folder / "pytorch_model.bin")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_labels": 1}))
    found = read(folder, layout="classifier")(IDS, MASK, PLACES)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_language_model_without_a_head_for_scores_is_no_reward(tmp_path: Path) -> None:
    folder = save_checkpoint("gptj", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_labels": 1}))
    with pytest.raises(UserError, match=r"lacks 1 weights of a GPTJForSequenceClassification.*reward\.source"):
        read(folder, layout="classifier")


def test_an_encoder_decoder_is_no_trunk_of_a_reward_model_of_trlx(tmp_path: Path) -> None:
    folder = save_checkpoint("t5", tmp_path)
    torch.save(
        {"v_head.weight": torch.ones(1, 16), "transformer.shared.weight": torch.ones(11, 16)}, folder / "hf_ckpt.pt"
    )
    with pytest.raises(UserError, match=r"encoder-decoder \(t5\).*reward\.source or reward\.trunk") as error:
        read(folder, weights="hf_ckpt.pt")
    assert "\n" not in str(error.value)


@torch.no_grad()
def test_an_encoder_decoder_with_one_output_reads_its_eos(tmp_path: Path) -> None:
    values = {**FAMILIES["t5"].values, "num_labels": 1, "pad_token_id": 0, "eos_token_id": 1}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        whole = transformers.T5ForSequenceClassification(transformers.T5Config(vocab_size=11, **values)).eval()
    whole.save_pretrained(tmp_path)
    letter_tokenizer().save_pretrained(tmp_path)
    expected = [whole(input_ids=ids[keep][None]).logits[0, 0] for ids, keep in zip(IDS, MASK, strict=True)]
    torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    model = read(tmp_path, layout="classifier")
    assert model.head is None and isinstance(model.trunk, nn.Module)
    torch.testing.assert_close(model(IDS, MASK, PLACES), torch.stack(expected), atol=1e-5, rtol=0)
