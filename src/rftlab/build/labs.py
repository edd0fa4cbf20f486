"""The objects of one run, made from what the config names: data, networks, optimiser."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from rftlab import runs
from rftlab.build.limits import KEYS, within_limits
from rftlab.build.responses import responses_of_rows, scored_responses
from rftlab.build.rewards import build_gold, build_reward
from rftlab.config.make import make
from rftlab.config.options import kind_of_data
from rftlab.config.policy_checks import check_family, check_positions
from rftlab.config.signatures import signature
from rftlab.data.parts.fingerprint import fingerprint
from rftlab.data.parts.label_sets import assign, reward_table
from rftlab.errors import UserError
from rftlab.loops.document_lab import DocumentLab
from rftlab.loops.first_looks import FOLDER, FirstLooks
from rftlab.loops.lab import Evaluation, Lab, OptimizerSpec, Task
from rftlab.loops.label_lab import LabelLab, LabelTask
from rftlab.loops.session import Session
from rftlab.models import LoRA, Policy, adapt, chat_of, freeze_below, fuse, load_policy_weights, load_weights
from rftlab.models.networks import LabelNetwork
from rftlab.rewards import wordnet
from rftlab.streams import stream
from rftlab.types import LabelSplits, Reward, Splits


def build(
    config: Mapping[str, Any], session: Session, device: torch.device, start: Path | None
) -> Lab | LabelLab | DocumentLab | Session:
    """Make the objects of one run; `start` is a file of weights, or None for the model's own.

    Computed cases need no more than the session.

    Raises:
        UserError: Data or model cannot be had.
    """
    match kind_of_data(config["data"]):
        case "text":
            return build_text(config, session, device, start)
        case "labels":
            return build_labels(config, session, device, start)
        case "documents":
            return build_documents(config, session)
        case _:
            return session


def rows_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Read the rows that a config names, and give the fingerprint of each split.

    Raises:
        UserError: They cannot be had.
    """
    return fingerprint(splits_of(config))


def _noted_rows(config: Mapping[str, Any], session: Session) -> Any:
    """Read the rows of a run, and keep in its folder which they are.

    Raises:
        UserError: They cannot be had, or an earlier attempt at the run saw others.
    """
    splits = splits_of(config)
    runs.note_rows(session.run.folder, config, fingerprint(splits))
    return splits


def splits_of(config: Mapping[str, Any]) -> Any:
    """Read the rows that a config names: `Splits`, or `LabelSplits` of data with labels.

    Raises:
        UserError: They cannot be had.
    """
    data = config["data"]
    return make(_with_later_keys(data["loader"]), source=data["source"], hub_mirror=_mirror(config))


def _with_later_keys(loader: Mapping[str, Any]) -> dict[str, Any]:
    """Add the keys that are younger than a stored config, if the loader takes them: they say what was done before."""
    taken = signature(loader["_target_"]) or {}
    return {key: value for key, value in runs.later_keys("data.loader").items() if key in taken} | dict(loader)


def _mirror(config: Mapping[str, Any]) -> Path | None:
    return config["paths"]["hub_mirror"] and Path(config["paths"]["hub_mirror"])


def architecture(lab: Lab | LabelLab | DocumentLab | Session) -> str | None:
    """Name the architecture of a policy that was loaded, as transformers does (`llama`); None where none was."""
    return lab.policy.lm.config.model_type if isinstance(lab, Lab) else None


def _optimizer(node: Mapping[str, Any]) -> OptimizerSpec:
    return OptimizerSpec(
        build=make(node["build"], _convert_="all"),
        lr=0.0 if node["lr"] is None else node["lr"] * node["lr_factor"],  # None where nothing is trained
        schedule=node["schedule"],
        warmup_steps=node["warmup_steps"],
        max_grad_norm=node["max_grad_norm"],
    )


# --- text ---------------------------------------------------------------------------------------------------------


def build_text(config: Mapping[str, Any], session: Session, device: torch.device, start: Path | None) -> Lab:
    """Make the objects of a run on text: data first, as its errors are the cheapest to find."""
    evaluation = config["eval"]
    splits = _noted_rows(config, session)
    task = _task(config, splits, device, session.run.folder)
    responses = scored_responses(config, session.run.folder)
    policy = _policy(config, device, start)
    dropped = [what for what, key in KEYS.items() if config["data"][key].get("drop_long", False)]  # a later key
    task = within_limits(task, policy, dropped)
    if responses is None:
        responses = responses_of_rows(config, task.splits, policy)
    task = replace(task, responses=responses)
    return Lab(
        task=task,
        policy=policy,
        value_kind=config["model"]["value"]["kind"],
        value_head=config["model"]["value"]["head"],
        optimizer=_optimizer(config["optimizer"]),
        evaluation=Evaluation(
            sizes={split: evaluation[f"n_{split}"] for split in ("train", "validation", "test")},
            **{
                name: evaluation[name]
                for name in (
                    "every",
                    "batch_size",
                    "probe_prompts",
                    "probe_samples",
                    "probe_every",
                    "probe_null",
                    "probe_prompts_during",
                    "std_below",
                    "n_logged",
                )
            },
            kl_to_start=evaluation.get("kl_to_start", False),  # a stored config may be older than the key
        ),
        session=session,
        choice=make(config["heuristic"].get("prompts")),
        head_chunk=config["runtime"].get("head_chunk"),  # a stored config may be older than the key
        share_trunk=config["runtime"].get("share_trunk", True),
        first_looks=FirstLooks(Path(config["paths"]["outputs"]) / FOLDER),
    )


def _task(config: Mapping[str, Any], splits: Splits, device: torch.device, folder: Path) -> Task:
    data = config["data"]
    task = task_of(config, splits, build_reward(config, [example.targets for example in splits.train], device))
    task = replace(task, gold=build_gold(config, device))
    if runs.asks_for_synonyms({name: config.get(name) for name in ("reward", "gold")}):
        runs.note_synonyms(folder, wordnet.source())
    if data["needs_targets"] and any(not example.targets for example in splits.train):
        raise UserError(
            f"prompts without gold texts in data={data['name']}",
            "at least one each, as the reward compares with them",
            "data",
        )
    return task


def task_of(config: Mapping[str, Any], splits: Splits, reward: Reward | None) -> Task:
    """Say how the texts of a config are formatted, decoded and rewarded."""
    data = config["data"]
    return Task(
        name=data["name"],
        splits=splits,
        max_prompt_tokens=data["prompt"]["max_tokens"],
        truncation_side=data["prompt"]["truncation_side"],
        prompt_ending=data["prompt"].get("ending"),
        max_target_tokens=data["target"]["max_tokens"],
        append_eos=data["target"]["append_eos"],
        rollout=make(data["rollout"]),
        probe=make(data["probe"]),
        evaluation=make(data["evaluation"]),
        reward=reward,
        low_reward=data["low_reward"],
        stop=tuple(data.get("stop") or ()),  # a stored config may be older than the key
    )


def _policy(config: Mapping[str, Any], device: torch.device, start: Path | None) -> Policy:
    model = config["model"]
    generator = stream(config["seed"], "initialisation")
    policy = make(model["policy"], hub_mirror=config["paths"]["hub_mirror"], generator=generator)
    policy.talk(chat_of(config["data"]["prompt"]))
    policy.marked = config["data"]["prompt"].get("format") == "marked"
    if start is not None:
        load_policy_weights(policy, start)
    check_family(config, policy.family)  # of a model of the hub it is known only now, and so are the positions
    check_positions(config, policy.lm.config.to_dict(), policy.family)
    policy.recompute = config["runtime"].get("gradient_checkpointing", False)
    policy.plain = config["algo"]["name"] == "pretrain"  # the embedded models are made again bit for bit
    if not policy.plain:
        fuse(policy.lm)
    freeze_below(policy, model["unfrozen_blocks"])
    lora = model.get("lora")  # a stored config may be older than the key
    if lora is not None and lora["rank"] is not None:
        adapter = LoRA(rank=lora["rank"], alpha=lora["alpha"], targets=lora["targets"])
        adapt(policy, adapter, stream(config["seed"], "adapter"))
    return policy.to(device)


# --- labelled texts -----------------------------------------------------------------------------------------------


def build_documents(config: Mapping[str, Any], session: Session) -> DocumentLab:
    """Make the objects of a run on labelled texts; no network is loaded."""
    splits = _noted_rows(config, session)
    model = make(config["model"]["classifier"])
    return DocumentLab(name=config["data"]["name"], splits=splits, model=model, session=session)


# --- labels -------------------------------------------------------------------------------------------------------


def build_labels(config: Mapping[str, Any], session: Session, device: torch.device, start: Path | None) -> LabelLab:
    """Make the objects of a run on labels; all inputs go to the device at once."""
    data = config["data"]
    splits = _noted_rows(config, session)
    generator = stream(config["seed"], "initialisation")
    given = {"example": splits.train} if data["inputs"] == "images" else {"hub_mirror": _mirror(config)}
    new_network = make(config["model"]["network"], _partial_=True, _convert_="all")
    network = new_network(classes=data["classes"], generator=generator, **given)
    if start is not None:
        load_weights(network, start)
    network.to(device)
    return LabelLab(
        task=_label_task(data, config["algo"]["labels"], splits, network, device),
        network=network,
        optimizer=_optimizer(config["optimizer"]),
        evaluate_every=config["eval"]["every"],
        session=session,
    )


def _label_task(
    data: Mapping[str, Any], phase: str, splits: LabelSplits, network: LabelNetwork, device: torch.device
) -> LabelTask:
    labels, rewards = splits.train.labels, data["rewards"]
    sets = assign(labels, data["classes"], data["labels_per_input"], data["modified_share"], data["label_seed"])
    table = reward_table(sets.finetuning, sets.modified, data["classes"], **rewards)
    unmodified = torch.zeros_like(splits.test.labels, dtype=torch.bool)
    test_table = reward_table(splits.test.labels, unmodified, data["classes"], **rewards)
    targets = sets.pretraining if phase == "pretraining" else sets.finetuning.unsqueeze(-1)
    groups = {} if phase == "pretraining" else {"small_std": sets.modified, "large_std": ~sets.modified}
    return LabelTask(
        name=data["name"],
        inputs=network.encode(splits.train).to(device),
        targets=targets.to(device),
        rewards=table.to(device),
        groups={name: mask.to(device) for name, mask in groups.items()},
        reward_range=(min(rewards.values()), max(rewards.values())),
        test_inputs=network.encode(splits.test).to(device),
        test_targets=splits.test.labels.unsqueeze(-1).to(device),
        test_rewards=test_table.to(device),
    )
