"""What the folder of a language model says of itself: its family, its chat template; needs no torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rftlab.assets import locate
from rftlab.errors import UserError
from rftlab.positions import known_config

AUTO = "auto"
KEYS = "model.policy.source, or model.policy.family"
EXPECTED = "a language model: decoder-only (...ForCausalLM) or encoder-decoder (...ForConditionalGeneration)"
DECODERS, ENCODER_DECODERS = ("ForCausalLM", "LMHeadModel"), ("ForConditionalGeneration", "WithLMHeadModel")
TOKENIZERS = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "spiece.model", "vocab.json", "vocab.txt"
)  # fmt: skip


def family_of(config: Mapping[str, Any], source: str | Path) -> str:
    """Say whether a model reads with an encoder (`seq2seq`) or reads prompt and answer in one row (`causal`).

    Raises:
        UserError: It is a classifier, an encoder, or reads more than text.
    """
    both = bool(config.get("is_encoder_decoder"))
    endings = ENCODER_DECODERS if both else DECODERS
    names = config.get("architectures") or ()
    if not names and not config.get("model_type"):
        raise UserError(f"{source}, whose config.json says neither architectures nor model_type", EXPECTED, KEYS)
    if names and not any(name.endswith(endings) for name in names):
        raise UserError(f"{source}, which is a {', '.join(names)}", EXPECTED, KEYS)
    if not both and "text_config" in config:
        raise UserError(f"{source}, which reads more than text", EXPECTED, KEYS)
    return "seq2seq" if both else "causal"


def known_family(policy: Mapping[str, Any], hub_mirror: str | Path | None) -> str:
    """Return the family that a config names, or that of a folder or a model of the mirror; `auto` if it must be loaded.

    Raises:
        UserError: The folder holds no language model with its tokenizer.
    """
    if policy.get("family") != AUTO:
        return policy["family"]
    config = known_config(policy["source"], hub_mirror)
    where = locate(policy["source"], hub_mirror, "model.policy.source")
    if not isinstance(where, Path):
        return AUTO
    if not config:
        fault = "an empty config.json, or no JSON object," if (where / "config.json").is_file() else "no config.json"
        raise UserError(f"{fault} in {where}", EXPECTED, "model.policy.source")
    family = family_of(config, where)
    if policy["tokenizer"] is None and not any((where / name).is_file() for name in TOKENIZERS):
        found = f"{where}, which has no tokenizer"
        raise UserError(
            found, "the folder or hub id of the tokenizer that it was trained with", "model.policy.tokenizer"
        )
    return family


def lacks_chat_template(policy: Mapping[str, Any], hub_mirror: str | Path | None) -> bool:
    """Say whether the tokenizer is in a folder that has no chat template; False where it must be loaded first."""
    where = locate(policy["tokenizer"] or policy["source"], hub_mirror, "model.policy.tokenizer")
    if not isinstance(where, Path) or any(where.glob("chat_template*")):
        return False
    try:
        said = json.loads((where / "tokenizer_config.json").read_text())
    except (OSError, ValueError):
        return True
    return "chat_template" not in said
