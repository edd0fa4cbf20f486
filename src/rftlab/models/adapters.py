"""Low-rank adapters (LoRA, Hu et al. 2021): the network stays as it was loaded, and small matrices beside it train.

A layer with weight W (out, in) computes W x + alpha / rank * B A x. A is random and B is zero, so that a new adapter
changes nothing. The layers are those of peft; they take the places of the model's own, and everything that reads the
model (sampling, scoring, value functions) reads them without knowing.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from rftlab.errors import UserError
from rftlab.models.policy import Policy

KEY = "model.lora.targets"
NAME = "default"  # peft's name of the only adapter
TARGETS = {  # projections of queries and values (Hu et al. 2021, section 4.2); GPT-2 and GPT-NeoX have one with keys
    "t5": ("q", "v"),
    "mt5": ("q", "v"),
    "gpt2": ("c_attn",),
    "gpt_neox": ("query_key_value",),
    **dict.fromkeys(
        ("gpt_neo", "gptj", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text"),
        ("q_proj", "v_proj"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class LoRA:
    """An adapter of every layer that `targets` name."""

    rank: int
    alpha: float
    targets: Sequence[str] | None  # last words of the names of layers; None = the family's


def adapt(policy: Policy, lora: LoRA, generator: torch.Generator) -> None:
    """Put an adapter on a policy, in place; from then on nothing but the adapter trains.

    Raises:
        UserError: A target is no linear layer of the model, or is tied to the embedding.
    """
    import torch.distributed.tensor  # peft takes it to be there, and imports it not
    from peft import LoraConfig, inject_adapter_in_model

    layers = dict(_adaptable(policy))
    targets = _targets(policy.lm, lora.targets, layers)
    conv = any(isinstance(layers[name], Conv1D) for name in layers if _matches(name, targets))
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # ty: ignore[invalid-argument-type]  # peft scales by any number
        target_modules=list(targets),
        lora_dropout=0.0,
        bias="none",
        fan_in_fan_out=conv,
        task_type={"seq2seq": "SEQ_2_SEQ_LM", "causal": "CAUSAL_LM", "classifier": "SEQ_CLS"}[policy.family],
    )
    policy.lm.requires_grad_(False)
    seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
    with torch.random.fork_rng():  # peft draws from the global stream
        torch.manual_seed(seed)
        inject_adapter_in_model(config, policy.lm, adapter_name=NAME)
    policy.eval()  # peft leaves its layers in training mode, whatever the model was in


def adapted(lm: nn.Module) -> bool:
    """Tell whether a model has an adapter."""
    return next(_adapters(lm), None) is not None


def switch_off(lm: nn.Module) -> None:
    """Let a model compute as if it had no adapter, bit for bit; its own layers are called and nothing is added."""
    for _, layer in _adapters(lm):
        layer.enable_adapters(False)


def copy_sharing(lm: PreTrainedModel, *, frozen: bool = True, trained: bool = False) -> PreTrainedModel:
    """Copy the modules of a model; the parameters that are frozen, or trained, stay one with the original's if asked.

    A copy that shares takes no memory for what it shares, and sees every change of it.
    """
    shared = {id(p): p for p in lm.parameters() if (trained if p.requires_grad else frozen)}
    return copy.deepcopy(lm, dict(shared))


@torch.no_grad()
def merged(policy: Policy) -> Policy:
    """Give the policy with W + alpha / rank * B A in the place of W and B A; equal but for rounding.

    Weights without an adapter are shared with `policy`, which stays as it is.
    """
    if not adapted(policy.lm):
        return policy
    lm = copy_sharing(policy.lm, trained=True)
    for name, layer in list(_adapters(lm)):
        plain = layer.get_base_layer()
        plain.weight = nn.Parameter(plain.weight + layer.get_delta_weight(NAME), requires_grad=False)
        lm.set_submodule(name, plain)
    if hasattr(lm, "peft_config"):
        del lm.peft_config
    return policy.with_lm(lm)


def adapter_state(lm: nn.Module) -> dict[str, Tensor]:
    """Give the tensors of the adapter, named as peft names them in its files."""
    names = {id(parameter) for _, layer in _adapters(lm) for parameter in _own(layer)}
    state = lm.state_dict(keep_vars=True).items()
    return {
        f"base_model.model.{name.replace(f'.{NAME}.', '.')}": tensor.detach()
        for name, tensor in state
        if id(tensor) in names
    }


def save_adapter(lm: Any, folder: Path) -> None:
    """Write the adapter alone, for `PeftModel.from_pretrained` on the model that the run started from."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    lm.peft_config[NAME].save_pretrained(folder)
    tensors = {name: tensor.cpu().contiguous() for name, tensor in adapter_state(lm).items()}
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def own_layer(layer: Any) -> nn.Module:
    """Give the model's own layer, below its adapter if it has one."""
    return layer.get_base_layer() if hasattr(layer, "get_base_layer") else layer


def whole_weight(layer: Any) -> Tensor:
    """Give the weight of a layer, with what its adapter adds unless that is switched off."""
    own: Any = own_layer(layer)
    return own.weight if own is layer or layer.disable_adapters else own.weight + layer.get_delta_weight(NAME)


def _adapters(lm: nn.Module) -> Iterator[tuple[str, Any]]:
    """List the layers of peft in a model, with their names."""
    if not hasattr(lm, "peft_config"):
        return
    from peft.tuners.lora import LoraLayer

    yield from ((name, module) for name, module in lm.named_modules() if isinstance(module, LoraLayer))


def _own(layer: Any) -> Iterator[nn.Parameter]:
    for part in layer.adapter_layer_names:
        yield from getattr(layer, part).parameters()


def _adaptable(policy: Policy) -> Iterator[tuple[str, nn.Module]]:
    """List the linear layers of a model that may have an adapter.

    A head that is tied to the embedding may not: merging would change the embedding as well, and with it the model.
    """
    tied = _tied_head(policy)
    for name, module in policy.lm.named_modules():
        if isinstance(module, (nn.Linear, Conv1D)) and module is not tied:
            yield name, module


def _tied_head(policy: Policy) -> nn.Module | None:
    head: Any = policy.lm.get_output_embeddings() if policy.family != "classifier" else None
    embedding: Any = policy.lm.get_input_embeddings()
    return head if head is not None and head.weight is embedding.weight else None


def _targets(lm: PreTrainedModel, given: Sequence[str] | None, layers: dict[str, nn.Module]) -> Sequence[str]:
    names = ", ".join(sorted({name.rpartition(".")[2] for name in layers}))
    targets = TARGETS.get(lm.config.model_type) if given is None else given
    if not targets:
        found = f"model.lora with {KEY}={'null' if given is None else '[]'} and a model of type {lm.config.model_type}"
        raise UserError(found, f"some of {names}", KEY)
    for target in targets:
        if any(_matches(name, [target]) for name in layers):
            continue
        if any(_matches(name, [target]) for name, _ in lm.named_modules()):
            found = f"{target} in {KEY}, which is no linear layer of its own (a tied head is the embedding)"
        else:
            found = f"{target} in {KEY}, which the model does not have"
        raise UserError(found, f"some of {names}", KEY)
    return targets


def _matches(name: str, targets: Sequence[str]) -> bool:
    """Compare as peft does: the whole name or its last words."""
    return any(name == target or name.endswith(f".{target}") for target in targets)
