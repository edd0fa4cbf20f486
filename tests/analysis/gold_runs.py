"""Synthetic runs with a gold reward: rewards, gold and KL by formula, so that who over-optimises is known."""

from collections.abc import Callable
from pathlib import Path

import apa_runs

Path_ = tuple[float, Callable[[float], float]]  # KL at the end; gold gained at a share of the run
WORDS = [apa_runs.LIKE, "gold=reward_model"]
# the proxy gains the root of the share of the run in all of them
PATHS: dict[str, Path_] = {
    "ppo": (16.0, lambda share: 2 * share - 2.4 * share**2),  # highest at 0.4167 of the run: of 5 looks, at the third
    "apa": (4.0, lambda share: 0.5 * share),
    "awr": (1.0, lambda share: 0.0),
}


def rows_of(kl: float, gold: Callable[[float], float], seed: int) -> list[tuple[int, dict[str, float]]]:
    """Invent a run; validation prompts say gold as test prompts do, but for a constant."""
    rows = []
    for step in apa_runs.STEPS:
        share = step / apa_runs.STEPS[-1]
        factor = 1 + 0.1 * (seed - 1)
        found = 3.0 + factor * gold(share)
        rows.append(
            (
                step,
                {
                    "policy/kl": kl * share,
                    "eval/test/reward": -0.5 + factor * share**0.5,
                    "eval/test/gold": found,
                    "eval/validation/gold": found - 7.0,
                },
            )
        )
    return rows


def config(algo: str, seed: int, sweep: str = "apa_tldr") -> dict:
    """Return the resolved config of a run with a gold reward."""
    return apa_runs.config(sweep, "tldr", algo, seed, WORDS) | {"gold": {"run": "9" * 12, "at_chance": False}}


def write_gold(outputs: Path, paths: dict[str, Path_] | None = None) -> None:
    """Write three seeds of each algorithm."""
    for algo, path in (paths or PATHS).items():
        for seed in apa_runs.SEEDS:
            apa_runs.write(outputs, config(algo, seed), rows_of(*path, seed))
