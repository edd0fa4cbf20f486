"""Fields of `conf/algo`."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass
class Algo:
    name: str
    loss: Any
    loop: Any
    labels: Literal["pretraining", "finetuning"] | None = None
