"""The score of a reward model that a finished run has trained."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from rftlab.models import LoRA, adapt, chat_of, load_policy, load_weights
from rftlab.models.reward_model import Reading, RewardModel, reward_model
from rftlab.ranges import Given, Positive, RunKey
from rftlab.rewards.finished import PLACE, accuracy_to_exceed, finished, refuse_chance
from rftlab.runs import RunRecord

LOOP = "RewardModelling"  # what the loop of such a run is called
ACCURACY = "eval/validation/pair_accuracy"
LONGER = "eval/validation/longer_accuracy"
log = logging.getLogger("rftlab")


@dataclass(frozen=True, kw_only=True)
class Learned:
    """Score prompt and response as the reward model reads them; targets are not used. Any float, higher is better."""

    model: RewardModel
    batch_size: int  # texts per forward pass; the score of a text does not depend on it

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response after its prompt."""
        return self.model.score(prompts, responses, self.batch_size)


def load(
    *,
    run: RunKey | None,
    batch_size: Positive[int],
    at_chance: bool,
    outputs: Given[Path],
    data: Given[str],
    hub_mirror: Given[Path | None],
    parent: Any = None,
    device: Given[str | torch.device] = "cpu",
    place: Given[str] = PLACE,
) -> Learned:
    """Load the reward model of a finished run, which lies below `outputs`; `parent` says how such a run is made.

    `data` names the dataset whose responses it scores; the log says so where it was trained on another. `place` is the
    key of the config that holds these.

    `at_chance` allows a model whose accuracy on held-out pairs may be chance, or no higher than that of preferring the
    longer reply: without it that is refused, with it the log says so.

    Raises:
        UserError: There is no such run, it is not finished, trains no reward model, or may be no better than that.
    """
    key, record = f"{place}.run", finished_reward_model(run, outputs, place)
    least, rule = _to_exceed(record)
    refuse_chance(record, "a reward model", ACCURACY, "held-out pairs", least, at_chance, place, rule=rule)
    if (trained_on := record.config["data"]["name"]) != data:
        log.warning(
            "%s=%s was trained on responses to data=%s, and scores those to data=%s", key, run, trained_on, data
        )
    if place == PLACE:
        log.info(
            "%s=%s: scores have no fixed scale, and eval.std_below and data.low_reward are in their units", key, run
        )
    node = {name: value for name, value in record.config["model"]["policy"].items() if name != "_target_"}
    node["init"] = "random"  # all weights are those of the run
    policy = load_policy(**node, hub_mirror=hub_mirror, generator=torch.Generator().manual_seed(0))
    policy.talk(chat_of(record.config["data"]["prompt"]))
    if (rank := (record.config["model"].get("lora") or {}).get("rank")) is not None:
        lora = record.config["model"]["lora"]
        adapter = LoRA(rank=rank, alpha=lora["alpha"], targets=lora["targets"])
        adapt(policy, adapter, torch.Generator().manual_seed(0))
    model = reward_model(policy, _reading(record.config), torch.Generator().manual_seed(0))
    load_weights(model, record.folder / "final" / "model.safetensors", key)
    model.requires_grad_(False)
    return Learned(model=model.to(device), batch_size=batch_size)


def finished_reward_model(run: str | None, outputs: Path, place: str) -> RunRecord:
    """Find the finished run of a reward model; `place` is the key of the config that holds its key.

    Raises:
        UserError: There is no such run, it is not finished, or trains no reward model.
    """
    return finished(run, outputs, LOOP, "reward_model", "reward model", place)


def trains_reward_model(config: Mapping[str, Any]) -> bool:
    """Say whether a stored config is that of a reward model."""
    return config["algo"]["loop"]["_target_"].rpartition(".")[2] == LOOP


def above_chance(record: RunRecord) -> bool:
    """Say whether a finished reward model tells good from bad on held-out pairs, and better than length does."""
    return (record.final or {}).get(f"{ACCURACY}_low", float("nan")) > _to_exceed(record)[0]


def _to_exceed(record: RunRecord) -> tuple[float, str]:
    return accuracy_to_exceed((record.final or {}).get(LONGER, float("nan")))


def _reading(config: Mapping[str, Any]) -> Reading:
    """Say what was read in training."""
    data, most = config["data"], config["algo"]["loop"]["max_response_tokens"]
    return Reading(
        max_prompt_tokens=data["prompt"]["max_tokens"],
        truncation_side=data["prompt"]["truncation_side"],
        prompt_ending=data["prompt"].get("ending"),
        max_response_tokens=data["rollout"]["max_new_tokens"] if most is None else most,
    )
