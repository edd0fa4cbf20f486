"""Finished runs without training: policies and reward models on the bundled dialogues, with weights a little off."""

from pathlib import Path

import torch
from config.test_config import plan

from rftlab.models import load_policy, save_pretrained_folder, save_weights
from rftlab.models.reward_model import Reading, reward_model
from rftlab.runs import Run
from rftlab.sweeps.job import Job

SMALL = [
    "data=hh",
    "data.loader.n_train=40",
    "data.loader.n_validation=10",
    "data.loader.n_test=12",
    "data.rollout.max_new_tokens=6",
]
GOOD = {"eval/validation/pair_accuracy": 0.8, "eval/validation/pair_accuracy_low": 0.7}


def policy_run(outputs: Path, *words: str, noise: float = 0.02, algo: str = "ppo") -> str:
    """Leave the folder of a finished run with a policy of its own; returns its key."""
    job = plan(*SMALL, f"algo={algo}", f"paths.outputs={outputs}", *words)
    node = {name: value for name, value in job.config["model"]["policy"].items() if name != "_target_"}
    policy = load_policy(**node)
    generator = torch.Generator().manual_seed(job.config["seed"])
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += noise * torch.randn(parameter.shape, generator=generator)
    run = Run.claim(job.folder, job.config)
    with run:
        save_pretrained_folder(policy, run.folder / "final")
        run.finish({"reward/mean": 0.0})
    return job.key


def reward_run(outputs: Path, *words: str, final: dict[str, float] | None = None) -> str:
    """Leave the folder of a finished reward model with a random head; returns its key."""
    return finish(
        plan(*SMALL, "algo=reward_model", f"paths.outputs={outputs}", *words), GOOD if final is None else final
    )


def reward_of_runs(outputs: Path) -> str:
    """Leave the folder of the reward model that the runs of this file compose as their reward."""
    _, parent = plan(*SMALL, "algo=ppo", f"paths.outputs={outputs}").parents
    return finish(parent, GOOD)


def finish(job: Job, final: dict[str, float]) -> str:
    """Leave the folder of a reward model with a random head, whose final metrics are these."""
    data = job.config["data"]
    node = {name: value for name, value in job.config["model"]["policy"].items() if name != "_target_"}
    reading = Reading(
        max_prompt_tokens=data["prompt"]["max_tokens"], truncation_side="left",
        max_response_tokens=data["rollout"]["max_new_tokens"], prompt_ending=data["prompt"].get("ending"),
    )  # fmt: skip
    model = reward_model(load_policy(**node), reading, torch.Generator().manual_seed(3))
    with torch.no_grad():
        weight = model.head.net[0].weight
        weight += torch.randn(weight.shape, generator=torch.Generator().manual_seed(4))
    run = Run.claim(job.folder, job.config)
    with run:
        save_weights(model, run.folder / "final" / "model.safetensors")
        run.finish(final)
    return job.key
