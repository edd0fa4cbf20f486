"""Synthetic folders of diagnoses, seeded: a share of stuck prompts, a share of solved ones, the others spread."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from rftlab.diagnostics import prompt_statistics

KEY = "0123456789ab"
L_OUT = 24
LOOP = {"n_prompts": 60, "samples_per_prompt": 10, "bound_samples": 32, "reward_low": 0.0, "reward_high": 1.0}


def config(**changes: object) -> dict:
    """Return the resolved config of a diagnosis; `changes` are dotted keys with `__` for the dot."""
    resolved = {
        "name": "narrativeqa-diagnose-none",
        "seed": 0,
        "scale": "mini",
        "init_from": None,
        "parent": None,
        "sweep": {"name": "default"},
        "overrides": [],
        "model": {"name": "t5_mini"},
        "data": {
            "name": "narrativeqa",
            "source": "bundled",
            "low_reward": 0.15,
            "rollout": {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "max_new_tokens": L_OUT},
        },
        "algo": {"name": "diagnose", "loop": dict(LOOP)},
        "optimizer": {"name": "adamw"},
        "heuristic": {"name": "none"},
        "eval": {"std_below": 0.05},
        "paths": {"outputs": "outputs"},
    }
    for dotted, value in changes.items():
        *groups, key = dotted.split("__")
        place = resolved
        for group in groups:
            place = place[group]
        place[key] = value
    return resolved


def scores_of(n: int, n_samples: int, stuck: float, solved: float, seed: int = 0) -> np.ndarray:
    """Invent scores: constant and low, constant and high, or spread over [0, 1]."""
    generator = np.random.default_rng(seed)
    scores = generator.beta(1.2, 2.0, (n, n_samples)).round(3)
    first, second = round(stuck * n), round(solved * n)
    scores[:first] = generator.uniform(0, 0.1, (first, 1)).round(3) * generator.integers(0, 2, (first, 1))
    scores[first : first + second] = generator.uniform(0.85, 1.0, (second, 1)).round(3)
    return scores


def cases_of(scores: np.ndarray, every: int = 8) -> pd.DataFrame:
    """Invent gradients under the bounds on every eighth prompt."""
    rows = np.arange(0, len(scores), every)
    std, generator = prompt_statistics(scores[rows]).std, np.random.default_rng(1)
    jacobian = generator.uniform(2.0, 4.0, len(rows))
    norm = std * jacobian * generator.uniform(0.1, 0.6, len(rows))
    return pd.DataFrame(
        {
            "input_id": [f"train-{i}" for i in rows],
            "reward_mean": scores[rows].mean(axis=1),
            "reward_std": std,
            "grad_norm": norm,
            "grad_error": norm * 0.3,
            "grad_norm_squared": norm**2 * (1 - 0.3**2),
            "jacobian_norm": jacobian,
            "bound_std": 2**0.5 * L_OUT * jacobian * std,
            "bound_two_thirds": 6 * L_OUT * jacobian * np.cbrt(0.5 * std**2),
        }
    )


def write(
    folder: Path,
    scores: np.ndarray,
    *,
    cases: pd.DataFrame | None = None,
    prompt: str = "who opened the box? \\n a story about {i} boxes and the people who open them.",
    response: str = "the answer {i} {j}",
    n_train: int = 4000,
    done: bool = True,
    **changes: object,
) -> Path:
    """Write the folder of a diagnosis with the given scores, one row per prompt."""
    resolved = config(**changes)
    run = folder / f"{resolved['name']}-{KEY}"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump(resolved))
    (run / "status.json").write_text(json.dumps({"state": "done" if done else "failed", "heartbeat": 0.0}))
    common = {"phase": "before", "split": "train"}
    ids = [f"train-{i}" for i in range(len(scores))]
    with np.errstate(invalid="ignore"):  # a row may hold NaN or infinity
        found = prompt_statistics(scores)
    moments = {"reward_mean": found.mean, "reward_std": found.std, "n_samples": scores.shape[1]}
    pd.DataFrame(common | {"prompt_id": ids} | moments).to_parquet(run / "prompts.parquet", index=False)
    lines = [
        common
        | {"prompt_id": ids[i], "prompt": prompt.replace("{i}", str(i))}
        | {"response": response.replace("{i}", str(i)).replace("{j}", str(j)), "score": float(score)}
        for (i, j), score in np.ndenumerate(scores)
    ]
    (run / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if cases is not None:
        cases.to_parquet(run / "cases.parquet", index=False)
    if done:
        final = {"preflight/n_train": float(n_train), "preflight/samples_per_s": 231.4, "preflight/has_targets": 1.0}
        (run / "DONE").write_text(json.dumps({"final": final}))
    return run
