"""States that a pass keeps, as they are counted, against those that torch keeps of models of every family."""

from typing import Any

import pytest
import torch
import transformers
from models.families import FAMILIES, LETTER_SIZE, letter_tokenizer, loader_of

from rftlab.memory.networks import OTHER_TARGETS, TARGETS, Network
from rftlab.memory.passes import Rows, activations
from rftlab.memory.shapes import shape_of
from rftlab.models import LoRA, Policy, adapt, freeze_below, fuse

ROWS = Rows(rows=4, prompts=4, prompt_tokens=40, response_tokens=20)
LEAST, MOST = 0.75, 1.15  # of what torch keeps; norms of queries and keys, and second norms, are not counted in full


def policy_of(name: str) -> Policy:
    """Make a model of a family that is wide enough for its states to be most of what a pass keeps."""
    kind = FAMILIES[name]
    sizes = {"n_embd": 64, "d_model": 64, "hidden_size": 64, "intermediate_size": 160, "d_ff": 160, "n_head": 4,
             "head_dim": 16, "d_kv": 16, "n_positions": 128, "max_position_embeddings": 128}  # fmt: skip
    values = kind.values | {key: value for key, value in sizes.items() if key in kind.values}
    values |= {"pad_token_id": 0, "bos_token_id": None, "eos_token_id": 1, "vocab_size": LETTER_SIZE}
    config: Any = getattr(transformers, kind.config)(**values)
    for key, value in config.to_dict().items():
        if "drop" in key and isinstance(value, float):
            setattr(config, key, 0.0)
    policy = Policy(loader_of(kind.family).from_config(config), letter_tokenizer(), kind.family)
    fuse(policy.lm)
    return policy


def kept(policy: Policy) -> int:
    """Count the bytes of what torch keeps of a pass for its backward pass, beside parameters and masks."""
    own = {tensor.untyped_storage().data_ptr() for tensor in [*policy.parameters(), *policy.buffers()]}
    found: dict[int, tuple[int, torch.Tensor]] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if tensor.is_floating_point() and storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes(), tensor  # which keeps it from being another one's place
        return tensor

    prompts, responses = (torch.full((ROWS.rows, n), 3) for n in (ROWS.prompt_tokens, ROWS.response_tokens))
    row = (prompts, torch.ones_like(prompts).bool(), responses, torch.ones_like(responses).bool())
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        policy.hidden(*row, torch.arange(ROWS.rows))
    return sum(size for size, _ in found.values())


def network_of(policy: Policy, **values: Any) -> Network:
    shape = shape_of(policy.lm.config.to_dict())
    assert shape is not None
    targets = TARGETS.get(shape.model_type, OTHER_TARGETS)
    plain = {"unfrozen_blocks": None, "rank": None, "targets": targets}
    return Network(shape=shape, dtype="float32", compute_dtype="float32", **{**plain, **values})


@pytest.mark.parametrize("name", FAMILIES)
def test_a_pass_of_a_model_that_trains_whole(name: str) -> None:
    policy = policy_of(name)
    found = activations(network_of(policy), ROWS, checkpointing=False, gpu=False)
    assert LEAST < found / kept(policy) < MOST


@pytest.mark.parametrize("name", FAMILIES)
def test_a_pass_of_a_model_with_an_adapter(name: str) -> None:
    policy = policy_of(name)
    adapt(policy, LoRA(rank=2, alpha=4.0, targets=None), torch.Generator().manual_seed(0))
    found = activations(network_of(policy, rank=2), ROWS, checkpointing=False, gpu=False)
    assert LEAST < found / kept(policy) < MOST


@pytest.mark.parametrize("name", FAMILIES)
def test_a_pass_of_a_model_whose_top_block_trains(name: str) -> None:
    policy = policy_of(name)
    freeze_below(policy, 1)
    found = activations(network_of(policy, unfrozen_blocks=1), ROWS, checkpointing=False, gpu=False)
    assert LEAST < found / kept(policy) < MOST


@pytest.mark.parametrize("name", [name for name, kind in FAMILIES.items() if kind.family == "causal"])
def test_a_pass_whose_blocks_are_computed_again_keeps_what_they_read(name: str) -> None:
    policy = policy_of(name)
    network = network_of(policy)
    whole, again = (activations(network, ROWS, checkpointing=word, gpu=False) for word in (False, True))
    policy.recompute = True
    read = again - whole // network.shape.layers  # but for the block that is computed again, once at a time
    assert (
        0.55 < read / kept(policy) < MOST
    )  # the norm behind the blocks counts as much as one of the three blocks here
