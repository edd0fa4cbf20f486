"""What a config must satisfy before anything starts; plain dictionaries in, `UserError` out, no torch."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rftlab.config.messages import unknown_key
from rftlab.config.options import algorithms_for, kind_of_data, kind_of_loop, kind_of_model, models_for
from rftlab.errors import UserError
from rftlab.ranges import Rule
from rftlab.tracking.store import absolute_uri


def reject_unknown_keys(cfg: DictConfig) -> None:
    """Refuse keys that were added with `+` and that no schema knows: a typo would change nothing, silently."""
    for key in _unknown(cfg, ""):
        raise unknown_key(key)


def _unknown(node: DictConfig, prefix: str) -> Iterator[str]:
    kind = OmegaConf.get_type(node)
    known = {f.name for f in fields(kind)} if is_dataclass(kind) else set(node)  # no types: nothing is known of it
    for name, child in node.items_ex(resolve=False):
        if name not in known:
            yield f"{prefix}{name}"
        elif isinstance(child, DictConfig) and not child._is_none() and not child._is_interpolation():
            yield from _unknown(child, f"{prefix}{name}.")


def check(config: Mapping[str, Any], ranges: Iterable[tuple[str, Rule]]) -> None:
    """Refuse values out of their `ranges` (key, rule) and combinations that cannot work.

    Raises:
        UserError: What was found, what was expected and which key to change.
    """
    check_ranges(config, ranges)
    _check_combinations(config)
    _check_paths(config)


def _get(config: Mapping[str, Any], key: str) -> Any:
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, Mapping | DictConfig) or part not in node:
            return None
        node = node[part]
    return node


def check_ranges(config: Mapping[str, Any], ranges: Iterable[tuple[str, Rule]]) -> None:
    """Refuse values out of range; null is in every range, as the types say where it may stand.

    Raises:
        UserError: What was found, what was expected and which key to change.
    """
    for key, rule in ranges:
        value = _get(config, key)
        if value is not None and not rule.holds(value):
            raise UserError(f"{key}={value}", rule.expected, key)


def _check_combinations(config: Mapping[str, Any]) -> None:
    data, algo, loop = config["data"], config["algo"], config["algo"]["loop"]
    kind = check_kind(config)
    if kind == "labels":
        _check_labels(config)
    if "std_high" in loop:
        _check_separation(loop)
    for low, high in (("reward_low", "reward_high"), ("tv_low", "tv_high")):
        if low in loop and not loop[low] < loop[high]:
            found, keys = f"algo.loop.{low}={loop[low]}, {high}={loop[high]}", f"algo.loop.{low} or algo.loop.{high}"
            raise UserError(found, f"{low} below {high}", keys)
    if kind != "text":
        return
    _check_model(config["model"], data)
    if "steps" not in loop and (data["rollout"] is None or data["reward"] is None):
        found = f"algo={algo['name']} with data={data['name']}, which has no reward"
        raise UserError(found, "a dataset with one", "data")
    if "iterations" in loop:
        _check_rollout_sizes(loop, data["loader"]["n_train"])
    elif "steps" in loop:
        _check_divides("algo.loop.batch_size", loop["batch_size"], "algo.loop.microbatch_size", loop["microbatch_size"])
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


def missing_values(cfg: DictConfig, choices: Mapping[str, str]) -> UserError:
    """Name all values that the chosen files leave open, and where they can be written down."""
    keys = sorted(OmegaConf.missing_keys(cfg))
    data, algo, scale = (choices[group] for group in ("data", "algo", "scale"))
    found = f"no value for {', '.join(keys)} with data={data}, algo={algo} and scale={scale}"
    entries = [f"{algo}: ..."] * (keys != ["model"]) + ["model: NAME"] * ("model" in keys)
    places = f"conf/data/{data}.yaml ({', '.join(entries)}) or conf/algo/{algo}.yaml"
    return UserError(found, f"values under scales: {scale}: in {places}, or on the command line", ", ".join(keys))


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
    optimizer = config["optimizer"]
    if "lr" in optimizer and optimizer["lr"] is None and algo["loss"] is not None:
        raise UserError("optimizer.lr=null", "a number above 0, as this run trains", "optimizer.lr")
    if kind != "text" and heuristic["name"] == "partial_sft":
        found = f"heuristic=partial_sft with data={data['name']}, which knows no SFT before RFT"
        raise UserError(found, "none or learning_rate", "heuristic")
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
        _check_divides("model.network.hidden_size", model["network"]["hidden_size"], "model.network.heads", heads)


def _check_model(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    family = model["policy"]["family"]
    if data["rollout"] is not None and family == "classifier":
        found = f"model={model['name']}, a {family} that cannot generate, with data={data['name']}"
        raise UserError(found, models_for("text"), "model")
    if _has_labels(data) != (family == "classifier"):
        found = f"model={model['name']}, a {family}, with data={data['name']}"
        raise UserError(found, "a classifier for targets that are labels, and for nothing else", "model or data")


def _has_labels(data: Mapping[str, Any]) -> bool:
    """Say whether the targets are labels: nothing is sampled, and a target is one token without an end."""
    return data["rollout"] is None and data["target"]["max_tokens"] == 1 and not data["target"]["append_eos"]


def _check_rollout_sizes(loop: Mapping[str, Any], n_train: int | None) -> None:
    prompts = loop["prompts_per_iteration"]
    rows = prompts * loop["samples_per_prompt"]
    name = "algo.loop.prompts_per_iteration x samples_per_prompt"
    _check_divides(name, rows, "algo.loop.minibatch_size", loop["minibatch_size"])
    _check_divides(
        "algo.loop.minibatch_size", loop["minibatch_size"], "algo.loop.microbatch_size", loop["microbatch_size"]
    )
    if n_train is not None and prompts > n_train:
        found = f"algo.loop.prompts_per_iteration={prompts} above data.loader.n_train={n_train}"
        raise UserError(found, f"at most {n_train}", "algo.loop.prompts_per_iteration or data.loader.n_train")


def _check_divides(name: str, whole: int, key: str, part: int) -> None:
    if whole % part:
        raise UserError(f"{name}={whole} is not a multiple of {key}={part}", f"a divisor of {whole}", key)


def _check_paths(config: Mapping[str, Any]) -> None:
    if (uri := config["tracking"]["uri"]) is not None:
        absolute_uri(uri)
    mirror, data = config["paths"]["hub_mirror"], config["data"]
    if mirror is None:
        return
    if not Path(mirror).is_dir():
        raise UserError(f"no folder {mirror}", "a folder laid out as <org>/<name>", "paths.hub_mirror")
    if data["source"] == "hub" and not (folder := Path(mirror) / data["loader"]["hub_id"]).is_dir():
        change = "paths.hub_mirror or data.loader.hub_id"
        raise UserError(f"no folder {folder}", "the dataset in the mirror, laid out as <org>/<name>", change)
