"""Time an iteration of PPO with float32 and with bfloat16 computation, in turns.

    python bench/compute_dtype.py [--repeats 5] [KEY=VALUE ...]    # the same keys as src/train.py

Printed are seconds of the three parts of an iteration (sampling and scoring, the columns under policy, reference and
value network, the updates), medians over the repeats, and the ratio float32 / bfloat16: above 1, bfloat16 is faster.
For memory: `python bench/memory.py ppo model.policy.compute_dtype=bfloat16`.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from hydra import compose, initialize_config_dir

from rftlab.build.labs import build
from rftlab.build.training import session
from rftlab.config.make import make
from rftlab.config.options import CONF
from rftlab.launch import single
from rftlab.loops.collect import Place
from rftlab.loops.experience import credit, start, update
from rftlab.runs import Run
from rftlab.stop import StopFlag

PARTS = ("sample", "columns", "update", "iteration")
DTYPES = ("float32", "bfloat16")


class Arm:
    """An iteration of one compute dtype, on networks of its own."""

    def __init__(self, overrides: Sequence[str], dtype: str, folder: Path) -> None:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            words = [*overrides, f"model.policy.compute_dtype={dtype}", "runtime.progress=never"]
            cfg = compose("train", words, return_hydra_config=True)
            config = single.prepare(cfg, cfg.hydra.runtime.choices).config
        self.lab: Any = build(config, session(config, Run.claim(folder, config), StopFlag()), torch.device("cpu"), None)
        with mock.patch("rftlab.loops.online.train", lambda *parts: parts):
            _, self.algorithm, self.collector, self.schedule = make(config["algo"]["loop"]).run(
                self.lab, make(config["algo"]["loss"])
            )
        self.state = start(self.lab, self.algorithm, self.schedule)
        self.iteration = 0

    def run(self) -> dict[str, float]:
        """Do one iteration; seconds of each part."""
        self.iteration += 1
        moments = [time.perf_counter()]
        collected = self.collector.collect(self.lab, Place(iteration=self.iteration, position=self.state.position))
        moments.append(time.perf_counter())
        experience = self.state.networks.annotate(collected.experience)
        moments.append(time.perf_counter())
        experience = credit(self.lab, self.algorithm, self.schedule, self.state, experience)
        update(self.lab, self.algorithm, self.schedule, self.state, experience, self.iteration)
        moments.append(time.perf_counter())
        self.state.position += collected.prompts
        seconds = [later - earlier for earlier, later in itertools.pairwise(moments)]
        return dict(zip(PARTS, [*seconds, sum(seconds)], strict=True))


def main() -> None:
    """Print a line per part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("overrides", nargs="*", default=["data=imdb", "algo=ppo"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        arms = {dtype: Arm(asked.overrides, dtype, Path(folder) / dtype) for dtype in DTYPES}
        for arm in arms.values():
            arm.run()  # warms up
        rounds = [{dtype: arm.run() for dtype, arm in arms.items()} for _ in range(asked.repeats)]
    for part in PARTS:
        exact, half = (statistics.median(each[dtype][part] for each in rounds) for dtype in DTYPES)
        ratio = statistics.median(each["float32"][part] / each["bfloat16"][part] for each in rounds)
        print(f"{part:10} float32 {exact:8.3f} s   bfloat16 {half:8.3f} s   ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
