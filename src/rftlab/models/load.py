"""Finding and loading models: embedded assets, local folders, a mirror of the hub, the hub."""

from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn import init
from torch.overrides import TorchFunctionMode
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DynamicCache,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging

from rftlab.assets import locate
from rftlab.errors import UserError
from rftlab.families import AUTO, family_of
from rftlab.hub import hub_answers
from rftlab.models.policy import Policy, position_ids
from rftlab.models.text import Tokenizer
from rftlab.models.tokenizer import AsFiled
from rftlab.ranges import Given

SOURCE, TOKENIZER = "model.policy.source", "model.policy.tokenizer"  # the keys that name them
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_LOADERS = {
    "seq2seq": AutoModelForSeq2SeqLM,
    "causal": AutoModelForCausalLM,
    "classifier": AutoModelForSequenceClassification,
}
_ARCHITECTURES = {
    "seq2seq": MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    "causal": MODEL_FOR_CAUSAL_LM_MAPPING,
    "classifier": MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
}


def load_policy(
    *,
    source: str | Path,
    family: Literal["auto", "seq2seq", "causal", "classifier"],
    tokenizer: str | Path | None,
    init: Literal["pretrained", "random"],
    dtype: Literal["float32", "bfloat16"],
    compute_dtype: Literal["float32", "bfloat16"],
    hub_mirror: Given[str | Path | None] = None,
    generator: Given[torch.Generator | None] = None,
) -> Policy:
    """Load a policy from an embedded asset (`asset:NAME`), a local folder or a hub id.

    A hub id is looked up as `hub_mirror/ORG/NAME` first. `tokenizer` is resolved the same way; None means the model's
    own. `family="auto"` is that of its config: encoder-decoder or decoder-only. `init="random"` takes the config alone
    and draws the weights from `generator`. Dropout is set to 0 always. `dtype` is that of the parameters,
    `compute_dtype` that of the matrix products of every pass.

    Raises:
        UserError: missing folder or weights, unreachable hub, or a model that cannot play the family.
    """
    where = locate(source, hub_mirror, SOURCE)
    config = _without_dropout(read_pretrained(AutoConfig, where, SOURCE))
    kind = family_of(config.to_dict(), source) if family == AUTO else family
    if type(config) not in _ARCHITECTURES[kind]:
        raise _wrong_family(config, kind)
    if init == "random":
        lm = _random(config, kind, DTYPES[dtype], generator)
    else:
        _check_weights(where)
        lm = read_whole(_LOADERS[kind], where, SOURCE, config=config, dtype=DTYPES[dtype])
    words: Tokenizer = read_pretrained(
        AutoTokenizer if kind == "classifier" else AsFiled,
        where if tokenizer is None else locate(tokenizer, hub_mirror, TOKENIZER),
        TOKENIZER,
    )
    _check(lm, words, kind)
    return Policy(lm, words, kind, DTYPES[compute_dtype])


class _Empty(TorchFunctionMode):
    """Draw no first values for tensors that hold none: torch would do so in Python, and import sympy for it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function, but for one of `torch.nn.init` on a tensor of the meta device."""
        tensor = args[0] if args else (kwargs or {}).get("tensor")
        if getattr(func, "__module__", None) == init.__name__ and isinstance(tensor, Tensor) and tensor.is_meta:
            return tensor
        return func(*args, **(kwargs or {}))


def read_pretrained(loader: Any, where: Path | str, key: str, **kwargs: Any) -> Any:
    """Call `from_pretrained` on a folder, on the hub's local cache or, if it answers quickly, on the hub.

    Raises:
        UserError: whatever cannot be loaded; `key` is the config key that named it.
    """
    try:
        with _Empty():
            if isinstance(where, Path):
                return loader.from_pretrained(where, local_files_only=True, **kwargs)
            return loader.from_pretrained(where, local_files_only=not hub_answers(), **kwargs)
    except (OSError, ValueError, KeyError) as error:
        what = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{where} cannot be loaded ({what})",
            "a folder in the layout of transformers, or a hub id that the mirror, the cache or a reachable hub has",
            f"{key} or paths.hub_mirror",
        ) from error


def read_whole(loader: Any, where: Path | str, key: str, **asked: Any) -> PreTrainedModel:
    """Load a model with all its weights; transformers draws those that a checkpoint lacks.

    What a checkpoint has beyond them, as masks and rotary frequencies in old ones, is not read.

    Raises:
        UserError: It cannot be loaded, or lacks weights; `key` is the config key that named it.
    """
    before = logging.get_verbosity()
    logging.set_verbosity_error()  # a table of what is missing; here it is one line
    try:
        lm, info = read_pretrained(loader, where, key, output_loading_info=True, **asked)
    finally:
        logging.set_verbosity(before)
    if missing := sorted(info["missing_keys"]):
        lacking = f"{len(missing)} weights of a {type(lm).__name__}, first {missing[0]}"
        found = f"{where}, of model type {lm.config.model_type}, which lacks {lacking}"
        raise UserError(found, "a checkpoint of the whole model, with its head", key)
    return lm


def _check_weights(where: Path | str) -> None:
    """Refuse a folder without weights before transformers reports it in its own many lines."""
    patterns = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin*")
    if isinstance(where, Path) and not any(any(where.glob(pattern)) for pattern in patterns):
        change = "model.policy.source, or model.policy.init=random"
        raise UserError(f"no weights in {where}", "model.safetensors", change)


def _without_dropout(config: PreTrainedConfig) -> PreTrainedConfig:
    """Set every dropout probability of a config to 0, whatever the architecture calls it."""
    for name, value in config.to_dict().items():
        if "drop" in name and isinstance(value, float | int) and not isinstance(value, bool):
            setattr(config, name, type(value)(0))
    return config


def _random(
    config: PreTrainedConfig, family: str, dtype: torch.dtype, generator: torch.Generator | None
) -> PreTrainedModel:
    """Build a model with fresh weights; transformers draws from the global stream, so seed and restore it around."""
    if generator is None:
        raise ValueError("init='random' needs a generator")
    seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _LOADERS[family].from_config(config, dtype=dtype)


def _wrong_family(config: PreTrainedConfig, family: str) -> UserError:
    found = f"model type {config.model_type} as model.policy.family={family}"
    return UserError(found, "an architecture of that family", "model.policy.source or model.policy.family")


def _check(lm: PreTrainedModel, tokenizer: Tokenizer, family: str) -> None:
    """Refuse what would fail, or silently differ from the architecture, at the first forward pass."""
    if family == "classifier":
        return
    if tokenizer.eos_token_id is None:
        raise UserError("a tokenizer without an EOS token", "one that has it", "model.policy.tokenizer")
    embeddings: Any = lm.get_input_embeddings()
    size = embeddings.num_embeddings
    if len(tokenizer) > size:
        found = f"a tokenizer with {len(tokenizer)} tokens for a model with {size}"
        raise UserError(found, "at most as many tokens as the model has embeddings", "model.policy.tokenizer")
    if family == "seq2seq" and lm.config.decoder_start_token_id is None:
        raise UserError("no decoder_start_token_id in the model's config", "a token id", "model.policy.source")
    policy = Policy(lm, tokenizer, family)
    if family == "causal":
        if _looks_ahead(policy):
            raise _wrong_family(lm.config, family)
        _check_steps(policy)
    _check_head(policy)


@torch.no_grad()
def _looks_ahead(policy: Policy) -> bool:
    """Tell whether the first token's state depends on the second, as in encoders with a language-model head."""
    ids = torch.tensor([[policy.eos_id, policy.eos_id], [policy.eos_id, (policy.eos_id + 1) % 2]], device=policy.device)
    states = policy.lm.base_model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    return not torch.allclose(states[0, 0], states[1, 0], rtol=1e-3, atol=1e-5)


@torch.no_grad()
def _check_steps(policy: Policy) -> None:
    """Compare a row that is padded and read in two steps, as samples are, with the same row read at once."""
    row = torch.tensor([[policy.eos_id, 0, 1, policy.eos_id]], device=policy.device)
    mask = torch.tensor([[False, True, True, True]], device=policy.device)
    cache, positions, read = DynamicCache(config=policy.lm.config), position_ids(mask), policy.lm.base_model
    try:
        whole = read(input_ids=row[:, 1:], attention_mask=mask[:, 1:]).last_hidden_state[:, -1]
        for part in (slice(0, 3), slice(3, 4)):
            step = read(
                input_ids=row[:, part], attention_mask=mask[:, : part.stop], position_ids=positions[:, part],
                past_key_values=cache, use_cache=True,
            ).last_hidden_state[:, -1]  # fmt: skip
    except (TypeError, ValueError) as error:
        raise _no_cache(policy, str(error).splitlines()[0]) from error
    rounding = 5e-2 if whole.dtype == torch.bfloat16 else 1e-3
    if (step - whole).norm() > rounding * whole.norm():
        raise _no_cache(policy, "its states differ")


def _no_cache(policy: Policy, why: str) -> UserError:
    found = f"{type(policy.lm).__name__}, which cannot be read token by token behind padding ({why})"
    return UserError(found, "a transformer with a cache of keys and values", SOURCE)


@torch.no_grad()
def _check_head(policy: Policy) -> None:
    """Compare `Policy.logits` with the model's own on one token: some architectures scale or squash them further."""
    one: Int[Tensor, "1 1"] = torch.full((1, 1), policy.eos_id, device=policy.device)
    mask = torch.ones_like(one, dtype=torch.bool)
    hidden = policy.hidden(one, mask, one, mask)
    if policy.family == "seq2seq":
        start = torch.full_like(one, policy.lm.config.decoder_start_token_id)
        own = policy.lm(input_ids=one, attention_mask=mask, decoder_input_ids=start).logits
    else:
        own = policy.lm(input_ids=one, attention_mask=mask).logits
    difference = nn.functional.l1_loss(policy.logits(hidden), own.float())
    rounding = 1e-2 if own.dtype == torch.bfloat16 else 1e-3  # a cap is applied to bfloat16 there, to float32 here
    if difference > rounding * own.float().abs().mean() + 1e-6:
        raise UserError(
            f"{type(policy.lm).__name__}, whose logits are not its head applied to its hidden states",
            "an architecture without a rule of its own between the two",
            "model.policy.source",
        )
