"""Reading reward models that others have trained: a transformer and one scalar per position.

Two layouts are read: a sequence classifier of transformers with one output, as most are today, and that of trlX's
`GPTRewardModel`, as the reward models of Zhu et al. 2023 have it: weights of a trunk of any family as `transformer.*`,
and of a head without bias as `v_head.weight`, in some as `score.weight`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from zipfile import is_zipfile

import torch
from jaxtyping import Bool, Float, Int
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import cached_file

from rftlab.assets import locate
from rftlab.errors import UserError
from rftlab.models.load import DTYPES, read_pretrained, read_whole

Layout = Literal["classifier", "trlx"]
Dtype = Literal["float32", "bfloat16", "float16"]
TRUNK, HEADS = "transformer.", ("v_head.weight", "score.weight")
FILES = ("model.safetensors", "pytorch_model.bin")
# Masks and rotary frequencies that older versions of transformers stored among the weights.
CONSTANTS = (".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", ".inv_freq")
SOURCE = "reward.source"
MAIN = "main"  # the revision of the hub where none is named


class ScalarModel(nn.Module):
    """A scalar per position of a text; an encoder has one per text, at any position."""

    def __init__(self, trunk: PreTrainedModel, head: nn.Module | None) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head  # no head: the trunk is a whole classifier, which pools by itself

    def forward(
        self, ids: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"], position: Int[Tensor, " b"]
    ) -> Float[Tensor, " b"]:
        """Return the scalar at one position of each row, padded on the right; fp32."""
        if self.head is None:
            return self.trunk(input_ids=ids, attention_mask=mask).logits[:, 0].float()
        states = self.trunk(input_ids=ids, attention_mask=mask).last_hidden_state
        return self.head(states[torch.arange(len(ids), device=ids.device), position])[:, 0].float()


def read_scalar_model(
    source: str,
    *,
    layout: Layout,
    trunk: str | None,
    weights: str | None,
    dtype: Dtype,
    hub_mirror: str | Path | None,
    revision: str | None = None,
) -> ScalarModel:
    """Read a reward model from a folder, the mirror or the hub, with dropout off.

    Args:
        source: Where it lies.
        layout: `classifier` or `trlx`, as above.
        trunk: Of trlX's layout: the model whose config describes the trunk; None = the config beside the weights does.
        weights: Of trlX's layout: the name of the file; None = the usual ones.
        dtype: Of the parameters and of what is computed.
        hub_mirror: A folder laid out as ORG/NAME.
        revision: A branch or commit of the hub; None = main. A folder has none.

    Raises:
        UserError: It cannot be found, is of another layout, or has more than one output.
    """
    kinds = {**DTYPES, "float16": torch.float16}
    where = locate(source, hub_mirror, SOURCE)
    if layout == "classifier":
        asked = {"dtype": kinds[dtype], "revision": revision or MAIN}
        model: Any = read_whole(AutoModelForSequenceClassification, where, SOURCE, **asked)
        if model.config.num_labels != 1:
            found = f"{source}, a classifier of {model.config.num_labels} classes"
            raise UserError(found, "a reward model with one output", f"{SOURCE}, or reward=intent with a label")
        head = getattr(model, "score", None)  # of decoders: on the states of every token
        return ScalarModel(model if head is None else model.base_model, head).eval()
    described = where if trunk is None else locate(trunk, hub_mirror, "reward.trunk")
    config = (
        read_pretrained(AutoConfig, described, SOURCE, revision=revision or MAIN)
        if trunk is None
        else read_pretrained(AutoConfig, described, "reward.trunk")
    )
    stored = _without_constants(_read(where, weights, revision))
    name = next((name for name in HEADS if name in stored), None)
    of_trunk = {word.removeprefix(TRUNK): stored[word] for word in stored if word.startswith(TRUNK)}
    if name is None or not of_trunk:
        found = f"{source} without {TRUNK}* and {' or '.join(HEADS)}"
        raise UserError(found, "a reward model of trlX's layout", f"{SOURCE} or reward.layout")
    if config.is_encoder_decoder:
        found = f"{source}, whose trunk is an encoder-decoder ({config.model_type})"
        raise UserError(found, "a trunk that reads prompt and response in one row", f"{SOURCE} or reward.trunk")
    base: PreTrainedModel = AutoModel.from_config(config, dtype=kinds[dtype])
    head = nn.Linear(stored[name].shape[1], 1, bias=False, dtype=kinds[dtype])
    _fill(base, of_trunk, source)
    _fill(head, {"weight": stored[name]}, source)
    return ScalarModel(base, head).eval()


def _read(where: Path | str, weights: str | None, revision: str | None) -> Mapping[str, Tensor]:
    """Read the tensors of a file; of a pickled one nothing but tensors."""
    asked: dict[str, Any] = {
        "_raise_exceptions_for_missing_entries": False,
        "_raise_exceptions_for_connection_errors": False,
        "revision": revision or MAIN,
    }
    names = FILES if weights is None else (weights,)
    found = next((file for name in names if (file := cached_file(where, name, **asked)) is not None), None)
    if found is None:
        raise UserError(f"no {' or '.join(names)} in {where}", "the weights of a reward model", "reward.weights")
    try:
        if found.endswith(".safetensors"):
            return load_file(found)
        mapped = is_zipfile(found)  # as files are since torch 1.6
        return torch.load(found, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # of many kinds, by what the file is instead
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(f"{found}, which cannot be read ({said})", "tensors by name", "reward.weights") from error


def _without_constants(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in stored.items() if not name.endswith(CONSTANTS)}


def _fill(module: nn.Module, stored: Mapping[str, Tensor], source: str) -> None:
    """Copy all weights; none may be missing, or be of another shape."""
    state = module.state_dict()
    wrong = sorted(state.keys() ^ stored.keys()) or [n for n in state if state[n].shape != stored[n].shape]
    if wrong:
        found = f"{source}, whose trunk differs in {len(wrong)} tensors, first {wrong[0]}"
        raise UserError(found, "the weights of the model that the config describes", f"{SOURCE} or reward.trunk")
    module.load_state_dict(stored)
