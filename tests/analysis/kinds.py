"""Synthetic run folders of controlled experiments and theory, and language runs whose std foretells the change."""

import json
from pathlib import Path

import builder
import numpy as np
import pandas as pd
import yaml

EPOCHS = 40
MODEL = {"mnist": "mlp", "cifar10": "resnet18", "stsb": "bert_mini"}
ROLLOUT = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "max_new_tokens": 32}
REWARD_IN = {"reward_low": 0.0, "reward_high": 1.0}
STDS = [0.0, 0.02, 0.04, 0.05, 0.06, 0.1, 0.2, 0.3, 0.3, 0.4]
MEANS = [0.0, 0.1, 0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]  # of a diagnosis


def controlled(
    data: str, algo: str, seed: int = 0, optimizer: str = "adam", wrong: float = -1.0, **more: object
) -> dict:
    """Return the resolved config of a controlled run."""
    finetunes = algo != "pretrain"
    resolved = builder.config("imdb", algo, "none", seed, sweep="controlled")
    return resolved | {
        "name": f"{data}-{algo}-none",
        "init_from": f"{seed:012x}" if finetunes else None,
        "parent": {"overrides": ["algo=pretrain"]} if finetunes else None,
        "model": {"name": MODEL[data]},
        "data": {
            "name": data,
            "source": "bundled",
            "classes": 10,
            "rewards": {"correct": 1.0, "wrong": -1.0, "wrong_modified": wrong},
        },
        "algo": {"name": algo, "loop": {"epochs": EPOCHS}},
        "optimizer": {"name": optimizer, "lr": 1e-4 if optimizer == "adam" else 1e-2},
        **more,
    }


def controlled_metrics(resolved: dict, generator: np.random.Generator) -> list[tuple[int, dict[str, float]]]:
    """Invent the metrics of a controlled run: only RFT's small-std group stays where it is."""
    algo, wrong = resolved["algo"]["name"], resolved["data"]["rewards"]["wrong_modified"]
    rows = []
    for epoch in range(1, EPOCHS + 1):
        metrics = {"reward/mean": epoch / EPOCHS, "train/accuracy": min(1.0, 0.2 + epoch / EPOCHS), "grad/norm": 1.0}
        for group, scale in (("small_std", 0.004), ("large_std", 0.8)):
            stuck = group == "small_std" and algo != "sft"
            done = 1 - np.exp(-(0.001 if stuck else 0.5 if algo == "sft" else 0.15) * epoch)
            start = wrong if group == "small_std" else -0.6
            std = scale * (1 + epoch / EPOCHS) if stuck else (0.02 + 0.78 * (1 - done)) * (1 if epoch > 2 else scale)
            norm = (std if algo != "sft" else 4 * (1.001 - done)) * np.exp(generator.normal(0, 0.15))
            values = {"reward": start + (1 - start) * done, "reward_std": std, "grad_norm": norm}
            values |= {"grad_norm_relative": norm / 30, "accuracy": done, "objective": done}
            metrics |= {f"{group}/{name}": value + 0.01 * generator.random() * value for name, value in values.items()}
        if epoch % 10 == 0:
            metrics |= {"eval/test/accuracy": 0.5 + 0.4 * epoch / EPOCHS, "eval/test/reward": 0.1}
            metrics |= {"eval/train/accuracy": metrics["train/accuracy"]}
            metrics |= {
                f"eval/{name}": metrics[name]
                for name in metrics
                if name.startswith(("small_std/reward", "large_std/reward"))
            }
        rows.append((epoch, metrics))
    return rows


def theory(algo: str, seed: int = 0, **more: object) -> dict:
    """Return the resolved config of a theory run: no reward threshold, generated data."""
    resolved = builder.config("imdb", algo, "none", seed, sweep="theory")
    return resolved | {
        "name": f"one_token-{algo}-none",
        "model": {"name": "softmax"},
        "data": {"name": "one_token", "source": "generated"},
        "algo": {"name": algo, "loss": None, "n_labels": 6},
        "optimizer": {"name": "none"},
        **more,
    }


def separation_cases(generator: np.random.Generator) -> pd.DataFrame:
    """Invent times that follow the laws: 1.55 / std^2 for RFT, 1.6 ln(1/std) for SFT, with a little noise."""
    rows = []
    for eps in 10.0 ** -np.arange(1, 5, 0.5):
        std = 2 * np.sqrt(eps * (1 - eps))
        for method, noise in (("ode", 0.0), ("descent", 0.02)):
            factor = np.exp(generator.normal(0, noise)) if noise else 1.0
            case = {"method": method, "eps": eps, "std": std}
            rows += [{"objective": "rft", "time": 1.55 / std**2 * factor} | case]
            rows += [{"objective": "sft", "time": (1.6 * np.log(1 / std) + 2) * factor} | case]
    return pd.DataFrame(rows)


def bound_cases(generator: np.random.Generator, n: int = 300, sampled: bool = False) -> pd.DataFrame:
    """Invent gradient norms under sqrt(2) STD and 6 STD^(2/3), the last input one of zero std."""
    std = np.append(10 ** generator.uniform(-4, 0, n - 1), 0.0)
    jacobian = np.exp(generator.normal(0, 0.4, n))
    frame = pd.DataFrame(
        {"reward_mean": generator.uniform(-1, 1, n), "reward_std": std, "jacobian_norm": jacobian}
        | {"grad_norm": 0.7 * std * jacobian * generator.beta(3, 1.5, n)}
        | {"bound_std": np.sqrt(2) * jacobian * std, "bound_two_thirds": 6 * jacobian * std ** (2 / 3)}
    )
    if sampled:
        return frame.assign(input_id=[f"p{i}" for i in range(n)], grad_error=frame["grad_norm"] * 0.2)
    groups = np.where(std < 0.02, "small_std", "large_std")
    return frame.assign(input_id=[f"p{i}" for i in range(n)], group=groups, n_labels=6)


def ppo_cases(generator: np.random.Generator, n: int = 150) -> pd.DataFrame:
    """Invent distances of PPO's gradient under 8 TV / clip range."""
    clip_range = np.repeat([0.1, 0.2, 0.4], n)
    tv = 10 ** generator.uniform(-3, 0, 3 * n)
    bound = 8 / clip_range * tv
    distance = bound * 0.4 * generator.beta(1.2, 3, 3 * n)
    case = {"tv": tv, "distance": distance, "gradient_norm": generator.uniform(0, 0.5, 3 * n), "bound": bound}
    return pd.DataFrame(case | {"clip_range": clip_range, "n_labels": 6})


def write(outputs: Path, resolved: dict, *, metrics: list | None = None, cases: pd.DataFrame | None = None) -> Path:
    """Write the folder of a finished run with these metrics and cases."""
    folder = outputs / resolved["sweep"]["name"] / f"{resolved['name']}-{builder.run_key(resolved)}"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(resolved))
    (folder / "status.json").write_text(json.dumps({"state": "done", "attempt": 1, "heartbeat": 0.0}))
    (folder / "metrics.jsonl").write_text(builder.log_lines(metrics or []))
    if cases is not None:
        cases.to_parquet(folder / "cases.parquet", index=False)
    (folder / "DONE").write_text(json.dumps({"final": {}}))
    return folder


def write_controlled(outputs: Path, data: str, algo: str, seed: int = 0, **changes: object) -> Path:
    """Write a controlled run with invented metrics."""
    resolved = controlled(data, algo, seed, **changes)
    generator = np.random.default_rng(int(builder.run_key(resolved), 16))
    return write(outputs, resolved, metrics=controlled_metrics(resolved, generator))


def write_theory(outputs: Path) -> None:
    """Write one run of each theory experiment, and one that samples the gradients of a language model."""
    generator = np.random.default_rng(0)
    write(outputs, theory("time_separation"), cases=separation_cases(generator))
    write(outputs, theory("gradient_bound"), cases=bound_cases(generator))
    write(outputs, theory("ppo_gradient"), cases=ppo_cases(generator))
    looked_at = {"data__rollout": {"temperature": 1.0}, "algo__loss": None}
    diagnosed = builder.config("narrativeqa", "diagnose", "none", 0, sweep="theory", **looked_at)
    write(outputs, diagnosed, cases=bound_cases(generator, 80, sampled=True))


def write_language(
    outputs: Path,
    data: str,
    algo: str,
    seed: int,
    vanishing: float,
    reward: float,
    during: bool = False,
    **more: object,
) -> Path:
    """Write a language run whose prompts move in proportion to their pretrain std under RFT, and not under SFT."""
    resolved = builder.config(data, algo, "none", seed, **more)
    folder = builder.write_run(outputs, resolved)
    prompts = np.random.default_rng(len(data))  # every run of a dataset has the same prompts
    generator = np.random.default_rng(int(builder.run_key(resolved), 16))
    n = 200
    std = np.where(prompts.random(n) < vanishing, prompts.uniform(0, 0.045, n), prompts.uniform(0.06, 0.4, n))
    mean = np.where(std < 0.05, 0.08, prompts.uniform(0.2, 0.5, n))
    gain = std * generator.uniform(0.2, 1.2, n) if algo != "sft" else generator.uniform(0.0, 0.5, n)
    ids = [f"p{i}" for i in range(n)]
    less = 0.4 if algo == "ppo" else 0.7
    again = np.random.default_rng(seed + 7)
    twice = (np.abs(std + again.normal(0, 0.02, n)), mean + std * again.normal(0, 0.3, n))
    phases = [
        ("before", 0, std, mean),
        ("again", 0, *twice),
        ("after", builder.ITERATIONS, std * (1 - less), mean + gain),
    ]
    if during:
        phases += [("during", step, std * (1 - less * step / 12), mean + gain * step / 12) for step in (3, 6, 9)]
    frames = [
        pd.DataFrame(
            {"phase": phase, "split": "train", "prompt_id": ids, "reward_mean": m, "reward_std": s, "n_samples": 10}
            | {"step": step}
        )
        for phase, step, s, m in phases
    ]
    pd.concat(frames, ignore_index=True).to_parquet(folder / "prompts.parquet", index=False)
    final = {"eval/test/reward": reward, "probe/reward_mean": reward + 0.01 * seed}
    (folder / "DONE").write_text(json.dumps({"final": final}))
    return folder


def write_diagnosis(
    outputs: Path,
    data: str = "narrativeqa",
    stds: list[float] = STDS,
    n_train: int = 4000,
    seed: int = 0,
    **changes: object,
) -> Path:
    """Write a diagnosis whose prompts have these stds, and MEANS."""
    shape = {
        "name": f"{data}-diagnose-none", "data__rollout": ROLLOUT, "algo__loss": None, "algo__loop": REWARD_IN,
        "reward": {"_target_": "rftlab.rewards.meteor.load"}, "eval": {"std_below": 0.05},
    }  # fmt: skip
    resolved = builder.config(data, "diagnose", "none", seed, sweep="spectrum", **{**shape, **changes})
    folder = builder.write_run(outputs, resolved)
    rows = {"phase": "before", "step": 0, "split": "train", "decoding": "own", "n_samples": 10}
    ids = [f"p{i}" for i in range(len(stds))]
    moments = {"prompt_id": ids, "reward_mean": MEANS[: len(stds)], "reward_std": stds}
    pd.DataFrame({**rows, **moments}).to_parquet(folder / "prompts.parquet", index=False)
    (folder / "DONE").write_text(f'{{"final": {{"preflight/n_train": {n_train}}}}}')
    return folder
