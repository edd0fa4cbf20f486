"""Storing weights: always safetensors, always written aside, synced and renamed.

A finished run on text leaves a folder of transformers (`final/`), whose `model.safetensors` starts other runs, and
beside it the adapter of a run that trained one.
"""

import copy
import os
import shutil
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel

from rftlab.errors import UserError
from rftlab.files import disk_errors, usual_mode
from rftlab.light import absent
from rftlab.models.adapters import adapted, copy_sharing, merged, save_adapter
from rftlab.models.policy import Policy

START = "init_from or model.policy.source"  # the keys that name the weights of the start


def save_weights(module: nn.Module, path: Path, dtype: torch.dtype | None = None) -> None:
    """Store every parameter and buffer once, tied ones under their first name; `dtype` casts the floating ones.

    Raises:
        UserError: The disk did not take it; what was there before still is.
    """
    tensors = {name: _cast(tensor, dtype) for name, tensor in _unshared(module).items()}
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with _disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, aside)
            aside.chmod(usual_mode(path.parent))  # safetensors creates files that only their owner can read
            _sync([aside])
            os.replace(aside, path)
            _sync([path.parent])
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def _disk_errors(path: Path) -> Generator[None]:
    """Word a failed write; a full disk comes out of safetensors as an error of its own."""
    with disk_errors(path):
        try:
            yield
        except SafetensorError as error:
            raise OSError(str(error)) from error


def load_weights(module: nn.Module, path: Path, key: str = START) -> None:
    """Read what `save_weights` stored into a module of the same shape, converting to the module's dtypes.

    Raises:
        UserError: The file, which `key` names, cannot be read, or is of another architecture.
    """
    _fill(module, _read(path, key), path, key)


def load_policy_weights(policy: Policy, path: Path) -> None:
    """Read the weights of a folder of transformers, or what `save_weights` stored of a policy.

    Raises:
        UserError: The file cannot be read, or is of another architecture.
    """
    stored = _read(path, START)
    _fill(policy if all(name.startswith("lm.") for name in stored) else policy.lm, stored, path, START)


def _read(path: Path, key: str) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: {error}", "a readable safetensors file", key) from error


def _fill(module: nn.Module, stored: Mapping[str, Tensor], path: Path, key: str) -> None:
    """Copy stored tensors into a module; of tied ones, any name counts."""
    state = module.state_dict(keep_vars=True)
    reached = {id(state[name]) for name in stored if name in state}
    unknown = {name for name in stored if name not in state}
    lacking = {name for name, tensor in _unshared(module).items() if id(state[name]) not in reached}
    expected = {name: state[name].detach() for name in stored if name in state}
    different = sorted(unknown | lacking) or sorted(
        name for name, tensor in expected.items() if tensor.shape != stored[name].shape
    )
    if different:
        found = f"{path} differs from the model in {len(different)} tensors, first {different[0]}"
        raise UserError(found, "the weights of the same architecture", key)
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(stored[name])


def save_pretrained_folder(
    policy: Policy, folder: Path, dtype: torch.dtype | None = None, *, tokenizer: bool = True
) -> None:
    """Write a folder that `transformers` and `load_policy` can load; a folder of that name is replaced.

    An adapter is merged into the weights, and lies in `adapter/` by itself as well.

    Raises:
        UserError: The disk did not take it.
    """
    lm = _stored(policy, dtype)
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    with _disk_errors(folder):
        try:
            aside.mkdir(parents=True)
            # one file, with the names that the modules have: `load_policy_weights` reads it
            with absent("torch.distributed.tensor"):  # of which no tensor here is; its import takes half a second
                lm.save_pretrained(aside, max_shard_size="1000TB", save_original_format=False)
            if tokenizer:
                policy.tokenizer.save_pretrained(aside)
            if adapted(policy.lm):
                save_adapter(policy.lm, aside / "adapter")
            files = list(aside.rglob("*"))
            mode = usual_mode(folder.parent)
            for file in files:
                if file.is_file():
                    file.chmod(mode)
            _sync([*files, aside])
            if folder.exists():
                os.replace(folder, old)
            os.replace(aside, folder)
            _sync([folder.parent])
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _stored(policy: Policy, dtype: torch.dtype | None) -> PreTrainedModel:
    """Give the model as it is stored: a shell of its own, around the policy's weights where nothing is cast.

    Its generation config says which tokens are special, and nothing of how to sample: a run reads none, and what some
    checkpoints say there is refused when it is stored.
    """
    lm = copy_sharing(merged(policy).lm, trained=True)
    if lm.can_generate():
        lm.generation_config = GenerationConfig.from_model_config(lm.config)
    if dtype is None:
        return lm
    return copy.deepcopy(lm).to(dtype)


def _unshared(module: nn.Module) -> dict[str, Tensor]:
    """Map the first name of every stored tensor to it, in the module's own order."""
    state = module.state_dict(keep_vars=True)
    first: dict[int, str] = {}
    for name, tensor in state.items():
        first.setdefault(id(tensor), name)
    return {name: state[name].detach() for name in first.values()}


def _cast(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    if dtype is not None and tensor.is_floating_point():
        tensor = tensor.to(dtype)
    return tensor.cpu().contiguous()


def _sync(paths: Iterable[Path]) -> None:
    """Force files and folder entries to disk, so that a rename never uncovers an empty file."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
