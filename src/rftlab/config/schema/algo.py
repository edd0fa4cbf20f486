"""Fields of `conf/algo`."""

from dataclasses import dataclass
from typing import Literal

from rftlab.config.schema.run import Parent
from rftlab.ranges import Built, RunKey


@dataclass
class FromRun:
    run: RunKey | None
    parent: Parent | None


@dataclass
class Algo:
    name: str
    loss: Built | None
    loop: Built
    labels: Literal["pretraining", "finetuning"] | None = None
    responses: FromRun | None = None  # where scored responses come from
