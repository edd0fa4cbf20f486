"""What a config must satisfy before anything starts; plain dictionaries in, `UserError` out, no torch."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rftlab.entry.messages import unknown_key
from rftlab.errors import UserError

GENERATORS = ("seq2seq", "causal")
CHOICES = {
    "data.source": ("bundled", "hub"),
    "data.prompt.truncation_side": ("left", "right"),
    "model.policy.family": ("seq2seq", "causal", "classifier"),
    "model.policy.init": ("pretrained", "random"),
    "model.policy.dtype": ("float32", "bfloat16"),
    "model.value.kind": ("separate", "head"),
    "model.value.head": ("mlp", "linear"),
    "optimizer.schedule": ("constant", "cosine"),
    "runtime.progress": ("auto", "always", "never"),
    "algo.loop.score_scaling": ("none", "running"),
    "algo.loss.whiten_advantages": ("rollout", "minibatch", "none"),
}
POSITIVE = (
    "algo.loop.iterations", "algo.loop.prompts_per_iteration", "algo.loop.samples_per_prompt", "algo.loop.update_epochs",
    "algo.loop.minibatch_size", "algo.loop.microbatch_size", "algo.loop.steps", "algo.loop.batch_size", "algo.loop.score_clip",
    "algo.loss.clip_range", "algo.loss.value_clip_range", "algo.loss.lam", "algo.loss.kl.target", "optimizer.lr",
    "optimizer.lr_factor", "optimizer.max_grad_norm", "optimizer.build.eps", "data.prompt.max_tokens", "data.target.max_tokens",
    "data.rollout.temperature", "data.rollout.max_new_tokens", "data.evaluation.max_new_tokens", "data.evaluation.num_beams",
    "data.loader.n_train", "data.loader.n_validation", "data.loader.n_test", "eval.every", "eval.batch_size", "eval.n_train",
    "eval.n_validation", "eval.n_test", "eval.probe_prompts", "runtime.threads", "runtime.checkpoint_every",
    "model.unfrozen_blocks", "tracking.send_every_s", "tracking.close_timeout_s",
)  # fmt: skip
NON_NEGATIVE = (
    "seed", "data.loader.seed", "data.rollout.top_k", "data.rollout.min_new_tokens", "data.evaluation.min_new_tokens",
    "algo.loss.kl.initial", "algo.loss.kl.rate", "algo.loss.entropy_coef", "algo.loss.value_coef", "optimizer.warmup_steps",
    "optimizer.build.weight_decay", "eval.n_logged",
)  # fmt: skip
FRACTIONS = ("algo.loop.step_fraction", "algo.loop.sample_fraction", "data.rollout.top_p")  # in (0, 1]
UNIT = ("algo.loss.gamma", "algo.loss.gae_lambda")  # in [0, 1]


def reject_unknown_keys(cfg: DictConfig) -> None:
    """Refuse keys that were added with `+` and that no schema knows; a typo would otherwise change nothing, silently."""
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
        if not isinstance(node, Mapping) or part not in node:
            return None
        node = node[part]
    return node


def _check_ranges(config: Mapping[str, Any]) -> None:
    for key, options in CHOICES.items():
        value = _get(config, key)
        if value is not None and value not in options:
            raise UserError(f"{key}={value}", " or ".join(options), key)
    rules = ((POSITIVE, lambda x: x > 0, "a number above 0"), (NON_NEGATIVE, lambda x: x >= 0, "0 or more"),
             (FRACTIONS, lambda x: 0 < x <= 1, "a fraction in (0, 1]"), (UNIT, lambda x: 0 <= x <= 1, "a number in [0, 1]"))  # fmt: skip
    for keys, holds, expected in rules:
        for key in keys:
            value = _get(config, key)
            if value is not None and not holds(value):
                raise UserError(f"{key}={value}", expected, key)
    if (samples := config["eval"]["probe_samples"]) < 2:
        raise UserError(
            f"eval.probe_samples={samples}", "at least 2, as a standard deviation needs them", "eval.probe_samples"
        )


def _check_combinations(config: Mapping[str, Any]) -> None:
    model, data, algo = config["model"], config["data"], config["algo"]
    loop, family = algo["loop"], config["model"]["policy"]["family"]
    online = "iterations" in loop
    generates = data["rollout"] is not None
    if generates and family not in GENERATORS:
        raise UserError(f"model={model['name']}, a {family} that cannot generate, with data={data['name']}",
                        "a seq2seq or causal model", "model")  # fmt: skip
    if online and (not generates or data["reward"] is None):
        raise UserError(
            f"algo={algo['name']} with data={data['name']}, which has no reward",
            "a dataset with a reward",
            "data or algo",
        )
    if algo["name"] == "pretrain" and generates:
        raise UserError(
            f"algo=pretrain with data={data['name']}", "a plain-text corpus, e.g. data=corpus_spans", "data"
        )
    if data["name"] == "review_labels" and family != "classifier":
        raise UserError(
            f"model={model['name']} with data=review_labels", "a classifier, e.g. model=distilbert_mini", "model"
        )
    if data["name"] != "review_labels" and family == "classifier":
        raise UserError(
            f"model={model['name']} with data={data['name']}", "data=review_labels for a classifier", "data or model"
        )
    if online:
        _check_rollout_sizes(config, loop)
    elif loop["batch_size"] % loop["microbatch_size"]:
        raise UserError(f"algo.loop.batch_size={loop['batch_size']} is not a multiple of algo.loop.microbatch_size={loop['microbatch_size']}",
                        f"a divisor of {loop['batch_size']}", "algo.loop.microbatch_size")  # fmt: skip
    for name in ("rollout", "evaluation"):
        decoding = data[name]
        if decoding and decoding["min_new_tokens"] > decoding["max_new_tokens"]:
            raise UserError(f"data.{name}.min_new_tokens={decoding['min_new_tokens']} above max_new_tokens={decoding['max_new_tokens']}",
                            "at most max_new_tokens", f"data.{name}.min_new_tokens")  # fmt: skip


def _check_rollout_sizes(config: Mapping[str, Any], loop: Mapping[str, Any]) -> None:
    rows = loop["prompts_per_iteration"] * loop["samples_per_prompt"]
    if rows % loop["minibatch_size"]:
        raise UserError(f"{rows} rows per iteration (prompts_per_iteration x samples_per_prompt) are not a multiple of "
                        f"algo.loop.minibatch_size={loop['minibatch_size']}", f"a divisor of {rows}", "algo.loop.minibatch_size")  # fmt: skip
    if loop["minibatch_size"] % loop["microbatch_size"]:
        raise UserError(f"algo.loop.minibatch_size={loop['minibatch_size']} is not a multiple of algo.loop.microbatch_size="
                        f"{loop['microbatch_size']}", f"a divisor of {loop['minibatch_size']}", "algo.loop.microbatch_size")  # fmt: skip
    n_train = config["data"]["loader"]["n_train"]
    if n_train is not None and loop["prompts_per_iteration"] > n_train:
        raise UserError(f"algo.loop.prompts_per_iteration={loop['prompts_per_iteration']} above data.loader.n_train={n_train}",
                        f"at most {n_train}", "algo.loop.prompts_per_iteration or data.loader.n_train")  # fmt: skip


def _check_paths(config: Mapping[str, Any]) -> None:
    mirror, data = config["paths"]["hub_mirror"], config["data"]
    if mirror is None:
        return
    if not Path(mirror).is_dir():
        raise UserError(
            f"paths.hub_mirror={mirror}, which is no folder", "a folder laid out as <org>/<name>", "paths.hub_mirror"
        )
    if data["source"] == "hub" and not (folder := Path(mirror) / data["loader"]["hub_id"]).is_dir():
        raise UserError(
            f"no folder {folder}",
            "the dataset in the mirror, laid out as <org>/<name>",
            "paths.hub_mirror or data.loader.hub_id",
        )
