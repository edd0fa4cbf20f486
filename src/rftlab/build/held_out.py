"""Which reward model may judge, or be gold: one that was trained on other pairs than the reward of a run."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rftlab import runs
from rftlab.build.labs import splits_of
from rftlab.config.inheritance import learns_rows
from rftlab.config.reward_nodes import reward_nodes
from rftlab.errors import UserError
from rftlab.rewards.learned import above_chance, finished_reward_model, trains_reward_model
from rftlab.runs import RunRecord

PLACE = "judge"  # in the config
KEY = f"{PLACE}.run"
SHARED = 0.01  # of its texts; a gold reward that shares more measures partly what was optimised
Texts = set[tuple[str, str]]  # prompt and response
NEAR_CHANCE = "may be at chance, or no better than length"
log = logging.getLogger("rftlab")


def with_held_out(node: Mapping[str, Any], judged: Sequence[RunRecord], outputs: Path) -> dict[str, Any]:
    """Complete the config of a reward-model judge: find its run where none is named, and refuse one not held out.

    Raises:
        UserError: No run fits, several do, or the named one was the reward or learned its pairs.
    """
    rewards = {key for record in judged for key in reward_runs(record)}
    if node["run"] is None:
        return dict(node) | {"run": _only(node, judged, rewards, outputs).key}
    judge = finished_reward_model(node["run"], outputs, PLACE)
    if judge.key in rewards:
        raise UserError(f"{KEY}={judge.key}, the reward of a judged run", "a reward model trained on other pairs", KEY)
    share, other = _most_shared(judge, rewards, outputs)
    if share > node["shared"]:
        found = f"{KEY}={judge.key}, of whose training texts a share of {share:.3f} also trained the reward {other}"
        raise UserError(found, f"at most judge.shared={node['shared']:g}", f"{KEY} or judge.shared")
    return dict(node)


def tell_gold(config: Mapping[str, Any]) -> None:
    """Say in the log which share of the texts of a gold reward model the reward of a run learned as well.

    Raises:
        UserError: The two are one, or a run of theirs is not there.
    """
    gold = config.get("gold")  # a stored config may be older than the key
    rewards = set(_learned_rewards(config))
    if gold is None or not rewards or "run" not in gold:
        return
    if gold["run"] in rewards:
        found = f"gold.run={gold['run']}, which is the reward as well"
        raise UserError(found, "a reward model trained on other pairs", "gold.run or gold.parent.overrides")
    outputs = Path(config["paths"]["outputs"])
    share, other = _most_shared(finished_reward_model(gold["run"], outputs, "gold"), rewards, outputs)
    said = f"gold.run={gold['run']}: a share of {share:.3f} of the texts it learned also trained the reward"
    log.log(logging.WARNING if share > SHARED else logging.INFO, f"{said} {other}" if other else said)


def reward_runs(record: RunRecord) -> list[str]:
    """Return the keys of the reward models that a run was rewarded with."""
    return _learned_rewards(record.config)


def _learned_rewards(config: Mapping[str, Any]) -> list[str]:
    return [node["run"] for _, node in reward_nodes(config.get("reward")) if node.get("run") is not None]


def learned_texts(record: RunRecord, outputs: Path) -> Texts:
    """Return the prompts with responses that a reward model was trained on.

    Raises:
        UserError: The rows, or the run that sampled the responses, cannot be had.
    """
    config = record.config
    if learns_rows(config):
        rows = splits_of(config).responses["train"]
        return {(row.example.prompt, row.response) for row in rows}
    source = config["algo"]["responses"]["run"]
    done = [found for found in runs.find_key(outputs, source) if found.done] if source else []
    frame = runs.read_responses(done[0].folder) if done else None
    if frame is None:
        found = f"{record.key}, whose training responses (run {source}) are not in {outputs}"
        raise UserError(found, "that run, to tell on what the model was trained", f"{KEY} or paths.outputs")
    train = frame[frame["split"] == "train"]
    return set(zip(train["prompt"], train["response"], strict=True))


def _most_shared(judge: RunRecord, rewards: set[str], outputs: Path) -> tuple[float, str | None]:
    """Return the largest share of a judge's texts that a reward learned, and which reward."""
    own, found = None, (0.0, None)
    for key in sorted(rewards):
        if not (records := [record for record in runs.find_key(outputs, key) if record.done]):
            log.warning("reward %s is not in %s: nobody can tell which pairs trained it", key, outputs)
            continue
        own = learned_texts(judge, outputs) if own is None else own
        share = len(own & learned_texts(records[0], outputs)) / max(1, len(own))
        found = max(found, (share, key), key=lambda pair: pair[0])
    return found


def _only(node: Mapping[str, Any], judged: Sequence[RunRecord], rewards: set[str], outputs: Path) -> RunRecord:
    """Find the one reward model in `outputs` that fits; of several, the one that is gold for judged runs."""
    data = judged[0].config["data"]
    known = {
        record.key: record
        for record in runs.find_runs(outputs)
        if record.done and trains_reward_model(record.config) and record.config["data"]["name"] == data["name"]
    }
    against = {key: _against(node, record, rewards, outputs) for key, record in known.items()}
    fitting = [key for key, reason in against.items() if reason is None]
    if len(fitting) == 1:
        log.info("%s=%s: the only held-out reward model for data=%s in %s", KEY, fitting[0], data["name"], outputs)
        return known[fitting[0]]
    golds = {(record.config.get("gold") or {}).get("run") for record in judged}
    if len(gold := [key for key in fitting if key in golds]) == 1:
        log.info("%s=%s: of %d that fit, the gold reward of the judged runs", KEY, gold[0], len(fitting))
        return known[gold[0]]
    if fitting:
        found = f"{KEY}=null, and {len(fitting)} reward models that fit"
        raise UserError(found, f"one of {', '.join(fitting)}", KEY)
    others = "".join(f"; {key} {reason}" for key, reason in against.items())
    seed = (data.get("loader") or {}).get("seed", 0) + 1
    command = f"python src/train.py data={data['name']} algo=reward_model data.loader.seed={seed}"
    change = f"{KEY}, or judge.at_chance=true" if NEAR_CHANCE in against.values() else KEY
    found = f"{KEY}=null, and no held-out reward model for data={data['name']} in {outputs}{others}"
    raise UserError(found, f"one that was trained on other pairs (`{command}`), or judge=local or openai", change)


def _against(node: Mapping[str, Any], record: RunRecord, rewards: set[str], outputs: Path) -> str | None:
    """Say why a reward model may not judge; None where it may."""
    if record.key in rewards:
        return "is the reward"
    if not (node["at_chance"] or above_chance(record)):
        return NEAR_CHANCE
    share, other = _most_shared(record, rewards, outputs)
    return f"shares {share:.4f} of its texts with {other}" if share > node["shared"] else None
