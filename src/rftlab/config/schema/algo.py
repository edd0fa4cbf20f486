"""Fields of `conf/algo`."""

from dataclasses import dataclass
from typing import Literal

from rftlab.ranges import Built


@dataclass
class Algo:
    name: str
    loss: Built | None
    loop: Built
    labels: Literal["pretraining", "finetuning"] | None = None
