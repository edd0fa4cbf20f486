"""Synthetic run folders in the layout of `rftlab.runs`, seeded, with the shapes that real sweeps have."""

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

ITERATIONS = 12
STEPS = 30  # of supervised runs
EVERY = 4  # iterations between two evaluations
PROMPTS = 20
LOW_REWARD = {"narrativeqa": 0.15, "imdb": 0.5}
MODEL = {"narrativeqa": "t5_mini", "imdb": "gpt2_mini"}
START = {("narrativeqa", "none"): 0.05, ("narrativeqa", "partial_sft"): 0.35, ("imdb", "none"): 0.5}
GAIN = {("narrativeqa", "none"): 0.01, ("narrativeqa", "partial_sft"): 0.15, ("imdb", "none"): 0.3}


def config(data: str, algo: str, heuristic: str, seed: int, sweep: str = "default", **changes: object) -> dict:
    """Return the resolved config of a run; `changes` are dotted keys with `__` for the dot."""
    resolved = {
        "name": f"{data}-{algo}-{heuristic}",
        "seed": seed,
        "scale": "mini",
        "init_from": f"{seed:012x}" if heuristic == "partial_sft" else None,
        "parent": {"overrides": ["algo=sft"]} if heuristic == "partial_sft" else None,
        "sweep": {"name": sweep},
        "model": {"name": MODEL[data]},
        "data": {"name": data, "source": "bundled", "low_reward": LOW_REWARD[data], "loader": {"seed": 0}},
        "algo": {"name": algo, "loss": {"lam": 0.1}} | ({"loop": {"steps": STEPS}} if algo == "sft" else {}),
        "optimizer": {"name": "adamw", "lr": 3e-4},
        "heuristic": {"name": heuristic},
        "runtime": {"device": "cpu"},
        "paths": {"outputs": "outputs"},
        "schema_version": 1,
    }
    for dotted, value in changes.items():
        *groups, key = dotted.split("__")
        place = resolved
        for group in groups:
            place = place[group]
        place[key] = value
    return resolved


def run_key(resolved: Mapping) -> str:
    """Return a stable twelve-digit key for a config."""
    kept = {key: value for key, value in resolved.items() if key not in ("paths", "runtime", "sweep", "name")}
    if kept["algo"].get("loop") == {"steps": STEPS}:  # the same for all, and no part of the keys in the golden files
        kept["algo"] = {key: value for key, value in kept["algo"].items() if key != "loop"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


def log_lines(rows: list[tuple[int, dict[str, float]]], attempt: int = 1) -> str:
    """Write metric lines as the run folder holds them; NaN and infinity as words."""

    def plain(value: float) -> float | str:
        words = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
        return words.get(str(float(value)), float(value))

    return "".join(
        json.dumps(
            {"step": step, "time": 1.0 * step, "attempt": attempt, "metrics": {k: plain(v) for k, v in m.items()}}
        )
        + "\n"
        for step, m in rows
    )


def trajectory(resolved: dict, generator: np.random.Generator) -> list[tuple[int, dict[str, float]]]:
    """Invent the metrics of an online run: a reward that rises by GAIN and a KL that APA keeps smaller."""
    place = (resolved["data"]["name"], resolved["heuristic"]["name"])
    start, gain = START.get(place, 0.5), GAIN.get(place, 0.3)
    kl_end = {"ppo": 6.0, "apa": 3.0}.get(resolved["algo"]["name"], 1.0)
    rows = []
    for step in range(ITERATIONS + 1):
        share = step / ITERATIONS
        metrics = {}
        if step > 0:
            metrics = {"reward/mean": start + gain * share + generator.normal(0, 0.01), "policy/kl": kl_end * share**2}
            metrics["policy/kl"] += abs(generator.normal(0, 0.05))
        if step % EVERY == 0:
            metrics |= {
                name: start + gain * share + generator.normal(0, 0.003)
                for name in ("probe/reward_mean", "eval/test/reward")
            }
        rows.append((step, metrics))
    return rows


def prompt_rows(resolved: dict, generator: np.random.Generator) -> pd.DataFrame:
    """Invent per-prompt statistics: a vanishing share of prompts, the others spread."""
    data, heuristic = resolved["data"]["name"], resolved["heuristic"]["name"]
    share = {("narrativeqa", "none"): 0.75, ("narrativeqa", "partial_sft"): 0.2}.get((data, heuristic), 0.05)
    frames = []
    for phase, step, shift in (("before", 0, 0.0), ("after", ITERATIONS, GAIN.get((data, heuristic), 0.3))):
        vanishes = np.arange(PROMPTS) < round(share * PROMPTS)
        std = np.where(vanishes, generator.uniform(0, 0.045, PROMPTS), generator.uniform(0.06, 0.35, PROMPTS))
        mean = np.where(vanishes, generator.uniform(0, 0.1, PROMPTS), generator.uniform(0.2, 0.6, PROMPTS)) + shift
        ids = [f"p{i}" for i in range(PROMPTS)]
        columns = {"phase": phase, "split": "train", "prompt_id": ids, "reward_mean": mean, "reward_std": std}
        frames.append(pd.DataFrame(columns | {"n_samples": 10, "step": step}))
    return pd.concat(frames, ignore_index=True)


def write_run(outputs: Path, resolved: dict, state: str = "done") -> Path:
    """Write a run folder: `done` with everything, `failed` with half of its metrics and no DONE."""
    key = run_key(resolved)
    folder = outputs / resolved["sweep"]["name"] / f"{resolved['name']}-{key}"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(int(key, 16))
    rows = trajectory(copy.deepcopy(resolved), generator)
    (folder / "config.yaml").write_text(yaml.safe_dump(resolved))
    (folder / "status.json").write_text(json.dumps({"state": state, "attempt": 1, "heartbeat": 0.0}))
    (folder / "metrics.jsonl").write_text(log_lines(rows if state == "done" else rows[: ITERATIONS // 2]))
    if state == "done":
        prompt_rows(resolved, generator).to_parquet(folder / "prompts.parquet", index=False)
        (folder / "samples.jsonl").write_text(json.dumps(SAMPLE) + "\n")
        (folder / "DONE").write_text(json.dumps({"final": {"eval/test/reward": rows[-1][1]["eval/test/reward"]}}))
    return folder


SAMPLE = {"step": 0, "split": "test", "prompt_id": "p0", "prompt": "a question", "response": "an answer", "score": 0.5}


def write_sweep(outputs: Path) -> Path:
    """Write 2 datasets x 2 algorithms x 2 heuristics x 3 seeds, one seed missing and one run failed."""
    for data in ("narrativeqa", "imdb"):
        for algo in ("ppo", "apa"):
            for heuristic in ("none", "partial_sft"):
                for seed in range(3):
                    cell = (data, algo, heuristic, seed)
                    if cell == ("narrativeqa", "apa", "none", 2):
                        continue
                    state = "failed" if cell == ("narrativeqa", "ppo", "partial_sft", 1) else "done"
                    write_run(outputs, config(*cell), state)
    return outputs
