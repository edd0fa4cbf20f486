"""Answers of policies that nothing has trained yet, drawn once for all runs that would draw the same.

The runs of a sweep begin from the same weights, and those of one seed look at the same prompts with the same noise.
What they would draw is known by a hash of all that it is a function of: whatever differs in it gives another file.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from rftlab.files import disk_errors, read_json, write_atomic
from rftlab.models import Policy
from rftlab.types import BeamSearch, Sampling

FOLDER = ".looks"  # in the outputs
CODE = ("models", "sampling", "loops/evaluation.py", "loops/first_looks.py", "streams.py")  # what draws
LIBRARIES = ("torch", "transformers", "tokenizers")


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What answers are a function of, beside the policy."""

    seed: int
    purpose: tuple[str | int, ...]
    places: Sequence[str]
    samples: int
    decoding: Sampling | BeamSearch
    stop: tuple[str, ...]
    prompts_at_once: int  # matters to rounding


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Texts as they are scored, and their lengths in tokens, EOS included; those to one prompt are adjacent."""

    texts: list[str]
    lengths: list[int]


@dataclass(frozen=True)
class FirstLooks:
    """A folder of answers, each file named by what they are a function of; any of them may be removed at any time."""

    folder: Path
    _hashes: dict[tuple[tuple[int, int], ...], str] = field(default_factory=dict, repr=False, compare=False)

    def weights_of(self, policy: Policy) -> str:
        """Hash the weights of a policy, once for all looks at it: gigabytes take seconds."""
        named = policy.state_dict()
        marks = tuple((tensor.data_ptr(), tensor._version) for tensor in named.values())
        if marks not in self._hashes:
            self._hashes.clear()
            self._hashes[marks] = _hash_of(named)
        return self._hashes[marks]

    def find(self, key: str, rows: int) -> Drawn | None:
        """Return the answers that some run has drawn; None where there are none, or others than it has written."""
        kept = read_json(self.folder / f"{key}.json") or {}
        mark = kept.pop("hash", None)
        if mark != _hash(key, kept) or len(kept["texts"]) != rows:
            return None
        return Drawn(**kept)

    def keep(self, key: str, drawn: Drawn) -> None:
        """Write answers for the runs to come, with a hash by which a file that is not whole is known."""
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        kept = asdict(drawn)
        write_atomic(self.folder / f"{key}.json", json.dumps({**kept, "hash": _hash(key, kept)}), durable=False)


def _hash(key: str, kept: Mapping[str, object]) -> str:
    return hashlib.blake2b(json.dumps([key, kept]).encode(), digest_size=10).hexdigest()


def key_of(policy: Policy, weights: str, ids: Int[Tensor, "n p"], mask: Bool[Tensor, "n p"], draw: Draw) -> str:
    """Hash all that answers depend on: `weights`, prompts, noise, decoding, numerics, libraries, code that draws."""
    words = {
        "draw": asdict(draw),
        "weights": weights,
        "prompts": _hash_of({"ids": ids, "mask": mask}),
        "policy": [policy.family, str(policy.compute_dtype), policy.plain, policy.eos_id, policy.pad_id],
        "config": policy.lm.config.to_dict(),
        "tokenizer": policy.tokenizer.backend_tokenizer.to_str(),
        "numerics": _numerics(policy.device),
        "libraries": {name: version(name) for name in LIBRARIES},
        "code": _code(),
    }
    text = json.dumps(words, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()


def _hash_of(named: Mapping[str, Tensor]) -> str:
    found = hashlib.blake2b(digest_size=10)
    for name, tensor in named.items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()


def _numerics(device: torch.device) -> Mapping[str, object]:
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else torch.backends.cpu.get_cpu_capability(),
        "threads": None if on_gpu else torch.get_num_threads(),
        "precision": torch.get_float32_matmul_precision(),
    }


@cache
def _code() -> str:
    root = Path(__file__).parents[1]
    places = [root / part for part in CODE]
    text = hashlib.sha256()
    for path in (path for place in places for path in ([place] if place.is_file() else sorted(place.rglob("*.py")))):
        text.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return text.hexdigest()
