"""What a config must satisfy before anything starts; plain dictionaries in, `UserError` out, no torch."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rftlab.config.files import OF_HYDRA
from rftlab.config.heuristic_checks import check_heuristic
from rftlab.config.inheritance import learns_rows
from rftlab.config.messages import unknown_key
from rftlab.config.options import CONF, algorithms_for, kind_of_data, kind_of_loop, kind_of_model, models_for
from rftlab.config.own_function import check_functions
from rftlab.config.path_checks import check_paths
from rftlab.config.policy_checks import check_policy
from rftlab.config.reward_nodes import reward_nodes
from rftlab.config.row_checks import check_rows
from rftlab.config.signatures import method
from rftlab.config.size_checks import (
    check_divides,
    check_rollout_sizes,
    check_whitening,
    check_whitening_of_steps,
    learned_per_prompt,
)
from rftlab.config.targets import check_targets
from rftlab.errors import UserError
from rftlab.ranges import Rule
from rftlab.runs.identity import flatten

SOURCE = "model.policy.source"


def reject_unknown_keys(cfg: DictConfig) -> None:
    """Refuse keys that were added with `+` and that no schema knows: a typo would change nothing, silently."""
    for key in _unknown(cfg, ""):
        raise unknown_key(key)
    for key in _removed(cfg, ""):
        raise UserError(f"no {key} any more", "every key of the config, with a value", key)


def _unknown(node: DictConfig, prefix: str) -> Iterator[str]:
    kind = OmegaConf.get_type(node)
    known = {f.name for f in fields(kind)} if is_dataclass(kind) else set(node)  # no types: nothing is known of it
    for name, child in node.items_ex(resolve=False):
        if name not in known:
            yield f"{prefix}{name}"
        elif isinstance(child, DictConfig) and not child._is_none() and not child._is_interpolation():
            yield from _unknown(child, f"{prefix}{name}.")


def _removed(node: DictConfig, prefix: str) -> Iterator[str]:
    kind = OmegaConf.get_type(node)
    known = {f.name for f in fields(kind)} - set(OF_HYDRA) if is_dataclass(kind) else set()
    yield from (f"{prefix}{name}" for name in sorted(known - set(node)))
    for name, child in node.items_ex(resolve=False):
        if isinstance(child, DictConfig) and not (child._is_none() or child._is_interpolation() or child._is_missing()):
            yield from _removed(child, f"{prefix}{name}.")


def check(config: Mapping[str, Any], ranges: Iterable[tuple[str, Rule]]) -> None:
    """Refuse values out of their `ranges` (key, rule) and combinations that cannot work.

    Raises:
        UserError: What was found, what was expected and which key to change.
    """
    check_heuristic(config)
    check_ranges(config, ranges)
    _check_finite(config)
    check_targets(config)
    _check_combinations(config)
    _check_warmup(config)
    check_paths(config)


def _get(config: Mapping[str, Any], key: str) -> Any:
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, (dict, Mapping, DictConfig)) or part not in node:  # dict first: it is quicker to ask
            return None
        node = node[part]
    return node


def check_hydra(node: Any) -> None:
    """Refuse what Hydra would do to a run behind its back.

    Raises:
        UserError: The working directory would move, and every relative path of the config with it.
    """
    if node.job.chdir:
        expected = "false, as relative paths mean the folder where the command was typed"
        raise UserError("hydra.job.chdir=true", expected, "hydra.job.chdir")


def check_ranges(config: Mapping[str, Any], ranges: Iterable[tuple[str, Rule]]) -> None:
    """Refuse values out of range; null is in most ranges, as the types say where it may stand.

    Raises:
        UserError: What was found, what was expected and which key to change.
    """
    for key, rule in ranges:
        value = _get(config, key)
        if (value is not None or rule.of_null) and not rule.holds(value):
            raise UserError(f"{key}={'null' if value is None else value}", rule.expected, key)


def _check_finite(config: Mapping[str, Any]) -> None:
    for key, value in flatten(config).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{key}={value}", "a finite number", key)


def _check_combinations(config: Mapping[str, Any]) -> None:
    data, algo, loop = config["data"], config["algo"], config["algo"]["loop"]
    kind = check_kind(config)
    check_rows(config)
    if kind != "text" and config["reward"] is not None:
        found = f"a reward with data={data['name']}, which has none for texts"
        raise UserError(found, "no reward=NAME, or a dataset answered with text", "reward or data")
    if config["gold"] is not None and (kind != "text" or config["reward"] is None):
        found = f"gold=... with algo={algo['name']} on data={data['name']}, whose evaluations have no reward"
        raise UserError(found, "gold=none, or a reward beside which it scores", "gold or reward")
    if config["gold"] is not None and not {"iterations", "steps"} & set(loop):
        found = f"gold=... with algo={algo['name']}, which evaluates no policy"
        raise UserError(found, "gold=none, or an algorithm that trains one", "gold or algo")
    if kind == "labels":
        _check_labels(config)
    if "std_high" in loop:
        _check_separation(loop)
    _check_interval(loop)
    for low, high in (("reward_low", "reward_high"), ("tv_low", "tv_high")):
        if loop.get(low) is not None and not loop[low] < loop[high]:
            found, keys = f"algo.loop.{low}={loop[low]}, {high}={loop[high]}", f"algo.loop.{low} or algo.loop.{high}"
            raise UserError(found, f"{low} below {high}", keys)
    if kind != "text":
        return
    for key, node in reward_nodes(config["reward"]):
        _check_reward(data, node, key)
    check_functions(config["reward"])
    check_policy(config)
    # gold texts, or responses that the rows bring with their scores: nobody samples or scores them
    fixed_rows = "steps" in loop and (algo.get("responses") is None or learns_rows(config))
    if not fixed_rows and (data["rollout"] is None or config["reward"] is None):
        found = f"algo={algo['name']} with data={data['name']}, which has no reward"
        raise UserError(found, "a dataset with one, or reward=NAME", "data or reward")
    if "pairs" in loop:
        _check_pairs(config)
    if loop.get("scores") == "reward" and config["reward"] is None:
        raise UserError("algo.loop.scores=reward with no reward", "reward=NAME, or given", "reward or algo.loop.scores")
    if config["reward"] is not None and data["evaluation"] is None:
        raise UserError("data.evaluation=null", "how responses are decoded for the reward", "data.evaluation")
    if "iterations" in loop:
        _check_constant(algo["loss"], data["rollout"]["max_new_tokens"])
        check_rollout_sizes(algo, data)
        check_whitening(algo, data["rollout"]["max_new_tokens"])
    elif "steps" in loop:
        check_divides("algo.loop.batch_size", loop["batch_size"], "algo.loop.microbatch_size", loop["microbatch_size"])
        check_whitening_of_steps(algo)
    if algo["name"] == "pretrain" and data["rollout"] is not None:
        raise UserError(
            f"algo=pretrain with data={data['name']}", "a plain-text corpus, e.g. data=corpus_spans", "data"
        )
    for name in ("rollout", "probe", "evaluation"):
        decoding = data[name]
        if decoding and decoding["min_new_tokens"] > decoding["max_new_tokens"]:
            least, most = decoding["min_new_tokens"], decoding["max_new_tokens"]
            key = f"data.{name}.min_new_tokens"
            raise UserError(f"{key}={least} above max_new_tokens={most}", f"at most {most}", key)


def _check_constant(loss: Mapping[str, Any], most: int) -> None:
    """Let an average over a constant say which."""
    if loss.get("average") == "constant" and loss["constant_length"] is None:
        found = "algo.loss.average=constant with algo.loss.constant_length=null"
        raise UserError(found, f"tokens: a response has at most {most} here", "algo.loss.constant_length")


def _check_pairs(config: Mapping[str, Any]) -> None:
    """Let label smoothing be of an objective that has it."""
    algo = config["algo"]
    smoothing = algo["loss"].get("label_smoothing")
    if algo["loss"].get("objective") == "ipo" and smoothing:
        found = f"algo.loss.label_smoothing={smoothing} with algo.loss.objective=ipo, which has none"
        raise UserError(found, "0, or objective=sigmoid", "algo.loss.label_smoothing or algo.loss.objective")


def missing_values(cfg: DictConfig, choices: Mapping[str, str]) -> UserError:
    """Name all values that the chosen files leave open, and where they can be written down."""
    keys = sorted(OmegaConf.missing_keys(cfg))
    if of_reward := [key for key in keys if key.startswith("reward.")]:
        return _open_reward(of_reward, choices.get("reward"))
    if SOURCE in keys:
        expected = "model.policy.source=FOLDER (config.json, weights, tokenizer), or a hub id (ORG/NAME)"
        return UserError(f"no model: model={choices.get('model')} leaves model.policy.source open", expected, SOURCE)
    data, algo, scale = (choices[group] for group in ("data", "algo", "scale"))
    found = f"no value for {', '.join(keys)} with data={data}, algo={algo} and scale={scale}"
    entries = [f"{algo}: ..."] * (keys != ["model"]) + ["model: NAME"] * ("model" in keys)
    places = f"conf/data/{data}.yaml ({', '.join(entries)}) or conf/algo/{algo}.yaml"
    return UserError(found, f"values under scales: {scale}: in {places}, or on the command line", ", ".join(keys))


def _open_reward(keys: Sequence[str], reward: str | None) -> UserError:
    """Say what the keys are for that a reward leaves to its user, in the words of its file."""
    file = CONF / "reward" / f"{reward}.yaml"
    text = file.read_text() if file.is_file() else ""
    lines = [(key, re.search(rf"^{key.rpartition('.')[2]}: *\?\?\? *# *(.+)$", text, re.MULTILINE)) for key in keys]
    expected = ", ".join(f"{key}=VALUE" + (f" ({line.group(1)})" if line else "") for key, line in lines)
    return UserError(f"reward={reward} without {', '.join(keys)}", expected, ", ".join(keys))


def check_kind(config: Mapping[str, Any]) -> str:
    """Refuse groups that do not go together: text, labels and computed cases; return which of these it is.

    Raises:
        UserError: What was found, what was expected and which key to change.
    """
    data, algo, heuristic = (config[group] for group in ("data", "algo", "heuristic"))
    model = config.get("model", {})  # missing where the data has no default at this scale
    kind = kind_of_data(data)
    if model and kind != kind_of_model(model):
        raise UserError(f"model={model['name']} with data={data['name']}", models_for(kind), "model or data")
    loop = _get(config, "algo.loop._target_")
    if loop is None or kind_of_loop(loop) not in (kind, None):
        raise UserError(f"algo={algo['name']} with data={data['name']}", algorithms_for(kind), "algo or data")
    needs_loss = len(method(loop, "run")) > 2  # beside itself and the lab
    if needs_loss != (algo["loss"] is not None) and kind_of_loop(loop) is not None:
        expected = "a loss, as this loop trains" if needs_loss else "null, as this loop trains nothing"
        raise UserError(f"algo.loss={'null' if needs_loss else '...'}", expected, "algo.loss or algo.loop")
    optimizer = config["optimizer"]
    if optimizer["build"] is None and algo["loss"] is not None:
        raise UserError("no optimizer", "one, as this run trains: adamw, adam or sgd", "optimizer")
    if "lr" in optimizer and optimizer["lr"] is None and algo["loss"] is not None:
        raise UserError("optimizer.lr=null", "a number above 0, as this run trains", "optimizer.lr")
    if kind != "text" and heuristic["name"] == "partial_sft":
        found = f"heuristic=partial_sft with data={data['name']}, which knows no SFT before RFT"
        raise UserError(found, "none or learning_rate" if kind == "labels" else "none", "heuristic")
    if kind == "documents" and (config.get("init_from") or config.get("parent")):
        found = f"init_from or start=sft with algo={algo['name']}, which starts from no weights"
        raise UserError(found, "init_from=null and start=base", "init_from or start")
    return kind


def _check_separation(loop: Mapping[str, Any]) -> None:
    """Let the correct label start below all others: at probability 1 / K the std of a reward of +-1 is the limit."""
    labels, high, low = loop["n_labels"], loop["std_high"], loop["std_low"]
    limit = 2 * (labels - 1) ** 0.5 / labels
    if not 0 < low < high < limit:
        expected = f"0 < std_low < std_high < {limit:.3f}, so that the correct label does not lead at the start"
        raise UserError(f"algo.loop.std_low={low}, std_high={high}", expected, "algo.loop.std_low or std_high")
    if not 0 < loop["n_pretraining_labels"] < labels:
        found = f"algo.loop.n_pretraining_labels={loop['n_pretraining_labels']} of n_labels={labels}"
        raise UserError(found, f"1 to {labels - 1}", "algo.loop.n_pretraining_labels")


def _check_interval(loop: Mapping[str, Any]) -> None:
    """Let the reward of a diagnosis have an interval, or none at all; the bounds need one."""
    ends = [loop.get("reward_low"), loop.get("reward_high")]
    found = f"algo.loop.reward_low={_word(ends[0])}, reward_high={_word(ends[1])}"
    keys = "algo.loop.reward_low or algo.loop.reward_high"
    if ends.count(None) == 1:
        raise UserError(found, "both ends of an interval, or neither", keys)
    if ends[0] is None and loop.get("bound_prompts"):
        found = f"{found}, bound_prompts={loop['bound_prompts']}"
        raise UserError(found, "an interval of the reward, which the bounds stand on", f"{keys}, or bound_prompts=0")


def _word(value: float | None) -> str:
    return "null" if value is None else f"{value:g}"


def _check_labels(config: Mapping[str, Any]) -> None:
    data, model = config["data"], config["model"]
    if model["inputs"] != data["inputs"]:
        found = f"model={model['name']}, which reads {model['inputs']}, with data={data['name']} of {data['inputs']}"
        raise UserError(found, f"a model that reads {data['inputs']}", "model or data")
    if data["labels_per_input"] >= data["classes"]:
        found = f"data.labels_per_input={data['labels_per_input']} of data.classes={data['classes']}"
        raise UserError(found, "fewer labels than classes, so that one is left outside", "data.labels_per_input")
    if "inputs_per_group" in config["algo"]["loop"] and not 0 < data["modified_share"] < 1:
        found = f"data.modified_share={data['modified_share']}, which leaves one group empty"
        raise UserError(found, "a share between 0 and 1", "data.modified_share")
    for name in ("n_train", "n_test"):
        if (n := data["loader"][name]) is not None and n < data["classes"]:
            key = f"data.loader.{name}"
            raise UserError(f"{key}={n} with {data['classes']} classes", f"{data['classes']} or more", key)
    if (heads := model["network"].get("heads")) and model["network"]["hidden_size"] % heads:
        check_divides("model.network.hidden_size", model["network"]["hidden_size"], "model.network.heads", heads)


def _check_reward(data: Mapping[str, Any], reward: Mapping[str, Any], key: str) -> None:
    """Refuse the embedded classifier on real reviews: it was made for the generated ones, and is at chance there."""
    embedded = str(reward.get("source")).startswith("asset:")
    if data["source"] == "hub" and embedded and not reward.get("at_chance"):
        raise UserError(
            f"data.source=hub with {key}.source={reward['source']}, which is at chance on real reviews (0.515)",
            "a classifier of real reviews, e.g. lvwerra/distilbert-imdb",
            f"{key}.source (with {key}.tokenizer), or {key}.at_chance=true to use it all the same",
        )


def _check_warmup(config: Mapping[str, Any]) -> None:
    """Let the warm-up end before the run, where the number of optimiser steps is known."""
    warmup, total = config["optimizer"]["warmup_steps"], optimizer_steps(config)
    if total is not None and 0 < total <= warmup:
        found = f"optimizer.warmup_steps={warmup} of {total} optimiser steps"
        raise UserError(found, f"fewer than {total}, so that the learning rate is reached", "optimizer.warmup_steps")


def optimizer_steps(config: Mapping[str, Any]) -> int | None:
    """Say how many optimiser steps a run takes; None where that depends on the data, or nothing is trained."""
    loop = config["algo"]["loop"]
    if "steps" in loop:
        return max(1, round(loop["steps"] * loop.get("step_fraction", 1.0)))
    if "update_epochs" in loop:
        return _online_steps(loop)
    if "epochs" in loop and (n := config["data"]["loader"]["n_train"]) is not None:
        full, rest = divmod(n, loop["batch_size"])
        return loop["epochs"] * (full + (rest > 1 or (rest == 1 and not full)))
    return None


def _online_steps(loop: Mapping[str, Any]) -> int | None:
    whole, part = loop["tokens_per_iteration"], loop["minibatch_tokens"]
    if loop["prompts_per_iteration"] is not None:
        whole, part = loop["prompts_per_iteration"] * learned_per_prompt(loop), loop["minibatch_size"]
    return None if whole is None or part is None else loop["iterations"] * loop["update_epochs"] * (whole // part)
