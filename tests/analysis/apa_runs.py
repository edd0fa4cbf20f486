"""Synthetic run folders in the shape of the sweeps of docs/apa.md, with rewards and KL that are made up by formula."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import builder
import kinds

from rftlab.runs import note_elsewhere
from rftlab.runs.comparisons import find_comparisons, open_comparison, store_report

SEEDS = (0, 1, 2)
STEPS = (0, 5, 10, 15, 20)  # of evaluations
LIKE = "experiment=apa/like_for_like"
PPO = {"kl": {"initial": 0.05, "target": 6.0, "unit": "response"}}
# reward gained at the end, KL at the end, and the share of the gain that is lost again after three quarters
PATHS = {"ppo": (0.8, 12.0, 0.0), "apa": (1.0, 6.0, 0.0), "awr": (0.3, 3.0, 0.0)}


def config(sweep: str, data: str, algo: str, seed: int, words: Sequence[str] = (), **loss: object) -> dict:
    """Return the resolved config of a run of a sweep."""
    resolved = builder.config("imdb", algo, "none", seed, sweep=sweep)
    known = {"name": data, "source": "bundled", "low_reward": None, "loader": {"seed": 0}}
    loop = {"steps": 100} if algo in ("sft", "ilql", "offline_awr", "offline_apa") else {"iterations": STEPS[-1]}
    losses = {"ppo": PPO, "apa": {"lam": 0.1}, "awr": {"lam": 1.0}}
    return resolved | {
        "name": f"{data}-{algo}-none",
        "data": known,
        "init_from": None if algo == "sft" else f"{seed:012x}",
        "parent": None if algo == "sft" else {"overrides": ["algo=sft", "reward=none"]},
        "reward": None if algo == "sft" else {"run": f"{seed:012x}", "parent": {"overrides": ["algo=reward_model"]}},
        "algo": {"name": algo, "loss": {**losses.get(algo, {"scale": 1.0}), **loss}, "loop": loop},
        "overrides": [f"data={data}", f"algo={algo}", *words],
    }


def path_of(gain: float, kl: float, lost: float, seed: int) -> list[tuple[int, dict[str, float]]]:
    """Invent a run: KL grows with the step, reward with its root; `lost` of the gain is gone at the end."""
    start, rows = -0.5 + 0.02 * seed, []
    for step in STEPS:
        share = step / STEPS[-1]
        height = gain * (1 + 0.1 * (seed - 1)) * share**0.5
        height *= 1 - lost if share == 1 else 1
        rows.append(
            (step, {"policy/kl": kl * share, "reward/mean": start + height, "eval/test/reward": start + height})
        )
    return rows


def write(outputs: Path, resolved: dict, rows: list[tuple[int, dict[str, float]]]) -> Path:
    """Write a finished run."""
    folder = kinds.write(outputs, resolved, metrics=rows)
    (folder / "DONE").write_text(json.dumps({"final": rows[-1][1]}))
    return folder


def write_online(outputs: Path, sweep: str, data: str, paths: Mapping[str, tuple] = PATHS) -> dict[str, Path]:
    """Write PPO, APA and AWR on a dataset, three seeds each; returns the folders by algorithm and seed."""
    found = {}
    for algo, path in paths.items():
        for seed in SEEDS:
            words = [LIKE, "eval.probe_prompts=50", *(["eval.kl_to_start=true"] if algo == "awr" else [])]
            resolved = config(sweep, data, algo, seed, words)
            found[f"{algo}{seed}"] = write(outputs, resolved, path_of(*path, seed))
    return found


def write_lambda(outputs: Path, others: Mapping[str, Path]) -> None:
    """Write the sweep of lambda; 0.1 is that of `others`, the runs of apa_hh."""
    for lam, gain, kl in ((0.03, 1.1, 14.0), (0.3, 0.6, 3.0), (1.0, 0.2, 0.8)):
        for seed in SEEDS:
            words = [f"algo.loss.lam={lam}", LIKE, "eval.probe_prompts=50"]
            write(outputs, config("apa_lambda", "hh", "apa", seed, words, lam=lam), path_of(gain, kl, 0.0, seed))
    note_elsewhere(outputs, "apa_lambda", {str(seed): others[f"apa{seed}"] for seed in SEEDS})


def write_kl_control(outputs: Path, others: Mapping[str, Path]) -> None:
    """Write PPO with constant beta and without; the adaptive one is that of `others`."""
    for initial, path in ((0.05, (0.9, 20.0, 0.0)), (0.0, (1.2, 60.0, 0.8))):
        words = [LIKE, "eval.probe_prompts=50", "algo.loss.kl.target=null"]
        words += ["algo.loss.kl.initial=0.0"] if initial == 0 else []
        for seed in SEEDS:
            kl = {"initial": initial, "target": None, "unit": "response"}
            write(outputs, config("ppo_kl_control", "hh", "ppo", seed, words, kl=kl), path_of(*path, seed))
    note_elsewhere(outputs, "ppo_kl_control", {str(seed): others[f"ppo{seed}"] for seed in SEEDS})


def write_offline(outputs: Path) -> None:
    """Write the offline algorithms; ILQL is evaluated with b = 1 and b = 4 as well."""
    for algo, path in {"ilql": (0.1, 2.0, 0.0), "offline_awr": (0.2, 1.0, 0.0), "offline_apa": (0.4, 3.0, 0.0)}.items():
        for seed in SEEDS:
            rows = path_of(*path, seed)
            if algo == "ilql":
                more = [{f"eval/test/reward_b{b}": m["eval/test/reward"] + 0.05 * b for b in (1, 4)} for _, m in rows]
                rows = [(step, metrics | extra) for (step, metrics), extra in zip(rows, more, strict=True)]
            words = ["eval.kl_to_start=true", "eval.probe_prompts=50"]
            write(outputs, config("apa_offline", "hh", algo, seed, words), rows)


def write_comparison(outputs: Path, a: Path, b: Path, won: int, tied: int, orders: int = 2, left_out: int = 0) -> None:
    """Write a finished comparison of two runs on 200 prompts, from the side of the lower key as `src/judge.py` does."""
    keys = [folder.name.rpartition("-")[2] for folder in (a, b)]
    lost = 200 - left_out - won - tied
    if keys[1] < keys[0]:
        keys, won, lost = keys[::-1], lost, won
    rate = (won + tied / 2) / (200 - left_out)
    judges = {"_target_": "rftlab.judges.local.load", "run": None, "source": "/models/some-chat-model/"}
    held_out = {"_target_": "rftlab.judges.reward_model.load", "run": "97d995916612"}
    none = dict.fromkeys(("value", "low", "high"))
    about = {"runs": keys, "judge": judges if orders == 2 else held_out, "split": "test"}
    open_comparison(outputs, about, [])
    (comparison,) = [found for found in find_comparisons(outputs) if found.about == about]
    store_report(
        comparison,
        {"run": keys[0], "other": keys[1], "prompts": 200, "won": won, "tied": tied, "lost": lost}
        | {"left_out": left_out, "identical": 0, "orders": orders}
        | {"rate": {"value": rate, "low": rate - 0.06, "high": rate + 0.07}}
        | {"bias": {"value": 0.6, "low": 0.55, "high": 0.65} if orders == 2 else none},
    )


def write_judged(outputs: Path, others: Mapping[str, Path]) -> None:
    """Write SFT beside the runs of apa_stack, and who answers better."""
    sft = write(outputs, config("judge", "stack_exchange", "sft", 0, ["reward=none"]), [(0, {"sft/loss": 1.0})])
    write_comparison(outputs, others["ppo0"], sft, won=120, tied=20)
    write_comparison(outputs, others["apa0"], sft, won=130, tied=20, left_out=10)
    write_comparison(outputs, others["ppo0"], others["apa0"], won=80, tied=30)
    write_comparison(outputs, others["ppo1"], others["apa1"], won=90, tied=0, orders=1)


def write_all(outputs: Path) -> dict[str, Path]:
    """Write the sweeps on HH, one on Stack Exchange and what a judge said of it; returns the runs of apa_hh."""
    others = write_online(outputs, "apa_hh", "hh")
    write_lambda(outputs, others)
    write_kl_control(outputs, others)
    write_offline(outputs)
    stack = write_online(outputs, "apa_stack", "stack_exchange")
    write_judged(outputs, stack)
    return others
