"""What a config must satisfy before anything starts; plain dictionaries in, `UserError` out, no torch."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rftlab.config.messages import unknown_key
from rftlab.errors import UserError
from rftlab.tracking.store import absolute_uri

GENERATORS = ("seq2seq", "causal")
LOOPS = {  # what each loop works on
    "text": ("online", "supervised", "diagnose"),
    "labels": ("epochs", "bounds"),
    "cases": ("theory",),
}
UNTRAINED = ("diagnose", "bounds", "theory")
ANSWERS = {  # what goes together, for the words of a refusal
    "text": ("a seq2seq or causal model", "ppo, apa, sft or diagnose"),
    "labels": ("mlp, resnet18 or bert_mini", "sft, expected_reinforce, reinforce, pretrain or gradient_bound"),
    "cases": ("softmax", "time_separation, ppo_gradient or gradient_bound"),
}
CHOICES = {
    "data.source": ("bundled", "hub"),
    "data.prompt.truncation_side": ("left", "right"),
    "model.policy.family": ("seq2seq", "causal", "classifier"),
    "model.policy.init": ("pretrained", "random"),
    "model.policy.dtype": ("float32", "bfloat16"),
    "model.value.kind": ("separate", "head"),
    "model.value.head": ("mlp", "linear"),
    "model.inputs": ("images", "pairs"),
    "data.inputs": ("images", "pairs"),
    "optimizer.schedule": ("constant", "cosine"),
    "runtime.progress": ("auto", "always", "never"),
    "algo.loop.score_scaling": ("none", "running"),
    "algo.loss.whiten_advantages": ("rollout", "minibatch", "none"),
}
LOOP_SIZES = (
    *("iterations", "prompts_per_iteration", "samples_per_prompt", "update_epochs", "minibatch_size", "epochs"),
    *("measure_every", "n_prompts", "inputs_per_group", "bound_prefixes", "power_iterations"),
    *("cases", "tv_low", "tv_high", "descent_step", "descent_budget"),
)
EVAL_SIZES = (
    "every",
    "batch_size",
    "n_train",
    "n_validation",
    "n_test",
    "probe_prompts",
    "probe_every",
    "probe_prompts_during",
)
POSITIVE = (
    *(f"algo.loop.{name}" for name in (*LOOP_SIZES, "microbatch_size", "steps", "batch_size", "score_clip")),
    *(f"algo.loss.{name}" for name in ("clip_range", "value_clip_range", "lam", "kl.target")),
    *(f"optimizer.{name}" for name in ("lr", "lr_factor", "max_grad_norm", "build.eps")),
    *(f"data.{name}" for name in ("prompt.max_tokens", "target.max_tokens", "rollout.temperature", "labels_per_input")),
    *(f"data.{name}" for name in ("rollout.max_new_tokens", "evaluation.max_new_tokens", "evaluation.num_beams")),
    *(f"data.loader.{name}" for name in ("n_train", "n_validation", "n_test")),
    *(f"eval.{name}" for name in EVAL_SIZES),
    *(f"tracking.{name}" for name in ("send_every_s", "close_timeout_s")),
    *("runtime.threads", "runtime.checkpoint_every", "model.unfrozen_blocks"),
    *(f"model.network.{name}" for name in ("width", "hidden_size", "layers", "heads", "max_tokens")),
    *(f"resources.{name}" for name in ("cpus_per_task", "mem_gb", "timeout_min")),
)
NON_NEGATIVE = (
    *(f"data.{name}" for name in ("loader.seed", "rollout.top_k", "rollout.min_new_tokens")),
    *(f"algo.loss.{name}" for name in ("kl.initial", "kl.rate", "entropy_coef", "value_coef")),
    *(
        "seed",
        "data.evaluation.min_new_tokens",
        "optimizer.warmup_steps",
        "optimizer.build.weight_decay",
        "eval.n_logged",
        "algo.loop.bound_prompts",
    ),
)
FRACTIONS = ("algo.loop.step_fraction", "algo.loop.sample_fraction", "data.rollout.top_p")  # in (0, 1]
UNIT = ("algo.loss.gamma", "algo.loss.gae_lambda", "data.modified_share", "optimizer.build.momentum")  # in [0, 1]
PAIRS = ("algo.loop.bound_samples",)  # an estimate with an error
RULES: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
    (POSITIVE, lambda x: x > 0, "a number above 0"),
    (NON_NEGATIVE, lambda x: x >= 0, "0 or more"),
    (FRACTIONS, lambda x: 0 < x <= 1, "a fraction in (0, 1]"),
    (UNIT, lambda x: 0 <= x <= 1, "a number in [0, 1]"),
    (PAIRS, lambda x: x >= 2, "2 or more, for a standard error"),
    (("algo.loop.points",), lambda x: x >= 3, "3 or more, for the interval of a slope"),
    (("algo.loop.tv_high",), lambda x: x < 1, "a number below 1, the distance of policies that share no output"),
)


def reject_unknown_keys(cfg: DictConfig) -> None:
    """Refuse keys that were added with `+` and that no schema knows: a typo would change nothing, silently."""
    for key in _unknown(cfg, ""):
        raise unknown_key(key)


def _unknown(node: DictConfig, prefix: str) -> Iterator[str]:
    kind = OmegaConf.get_type(node)
    known = {f.name for f in fields(kind)} if is_dataclass(kind) else set()
    for name, child in node.items_ex(resolve=False):
        if name not in known:
            yield f"{prefix}{name}"
        elif isinstance(child, DictConfig) and not child._is_none() and not child._is_interpolation():
            yield from _unknown(child, f"{prefix}{name}.")


def check(config: Mapping[str, Any]) -> None:
    """Refuse values out of range and combinations that cannot work.

    Raises:
        UserError: What was found, what was expected and which key to change.
    """
    _check_ranges(config)
    _check_combinations(config)
    _check_paths(config)


def _get(config: Mapping[str, Any], key: str) -> Any:
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, Mapping | DictConfig) or part not in node:
            return None
        node = node[part]
    return node


def _check_ranges(config: Mapping[str, Any]) -> None:
    for key, options in CHOICES.items():
        value = _get(config, key)
        if value is not None and value not in options:
            raise UserError(f"{key}={value}", " or ".join(options), key)
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device := config["runtime"]["device"]):
        raise UserError(f"runtime.device={device}", "auto, cpu, cuda or cuda:N", "runtime.device")
    for keys, holds, expected in RULES:
        for key in keys:
            value = _get(config, key)
            if value is not None and not holds(value):
                raise UserError(f"{key}={value}", expected, key)
    samples = "algo.loop.samples_per_prompt" if "n_prompts" in config["algo"]["loop"] else "eval.probe_samples"
    if (found := _get(config, samples)) < 2:
        raise UserError(f"{samples}={found}", "2 or more, for a standard deviation", samples)


def _check_combinations(config: Mapping[str, Any]) -> None:
    data, algo, loop = config["data"], config["algo"], config["algo"]["loop"]
    kind = check_kind(config)
    if kind == "labels":
        _check_labels(config)
    if kind == "cases" and min(sizes := _sizes(loop)) < 2:
        raise UserError(f"algo.loop.n_labels={sizes}", "2 or more labels", "algo.loop.n_labels")
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
    for name in ("rollout", "evaluation"):
        decoding = data[name]
        if decoding and decoding["min_new_tokens"] > decoding["max_new_tokens"]:
            least, most = decoding["min_new_tokens"], decoding["max_new_tokens"]
            key = f"data.{name}.min_new_tokens"
            raise UserError(f"{key}={least} above max_new_tokens={most}", f"at most {most}", key)


def _sizes(loop: Mapping[str, Any]) -> list[int]:
    """Return the numbers of labels of computed cases, one or several."""
    return [loop["n_labels"]] if isinstance(loop["n_labels"], int) else list(loop["n_labels"])


def check_kind(config: Mapping[str, Any]) -> str:
    """Refuse groups that do not go together: text, labels and computed cases; return which of these it is.

    Raises:
        UserError: What was found, what was expected and which key to change.
    """
    data, model, algo, heuristic = (config[group] for group in ("data", "model", "algo", "heuristic"))
    kind = "labels" if "classes" in data else "text" if "loader" in data else "cases"
    models, algorithms = ANSWERS[kind]
    if kind != ("labels" if "network" in model else "text" if "policy" in model else "cases"):
        raise UserError(f"model={model['name']} with data={data['name']}", models, "model or data")
    loop = _get(config, "algo.loop._target_")
    loop = loop and loop.split(".")[-2]
    if loop not in LOOPS[kind]:
        raise UserError(f"algo={algo['name']} with data={data['name']}", algorithms, "algo or data")
    if config["optimizer"]["lr"] is None and loop not in UNTRAINED:
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
    if data["rollout"] is not None and family not in GENERATORS:
        found = f"model={model['name']}, a {family} that cannot generate, with data={data['name']}"
        raise UserError(found, "a seq2seq or causal model", "model")
    if (data["name"] == "review_labels") != (family == "classifier"):
        found = f"model={model['name']}, a {family}, with data={data['name']}"
        raise UserError(found, "a classifier for data=review_labels, and for nothing else", "model or data")


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
