"""What a language model must satisfy in its run: the dtypes that can train, and the positions that rows need."""

from collections.abc import Iterator, Mapping
from typing import Any

from rftlab.config.options import models_for
from rftlab.config.reward_nodes import reward_nodes
from rftlab.errors import UserError
from rftlab.families import AUTO, known_family, lacks_chat_template
from rftlab.positions import known_config, positions_of, refuse_beyond


def check_policy(config: Mapping[str, Any]) -> None:
    """Refuse dtypes that cannot train, and rows longer than a model that can be read already.

    Raises:
        UserError: What was found, what was expected and which key to change.
    """
    policy, reward, mirror = config["model"]["policy"], config["reward"], config["paths"]["hub_mirror"]
    _check_dtypes(policy, config["algo"])
    _check_adapter(config["model"])
    family = known_family(policy, mirror)
    check_family(config, family)
    if config["data"]["prompt"].get("format") == "chat":
        _check_chat(config, family)
    elif config["data"]["prompt"].get("system") is not None:
        found = "data.prompt.system with data.prompt.format=plain, which knows no system message"
        raise UserError(found, "data.prompt.format=chat, or null", "data.prompt.format or data.prompt.system")
    if (stop := config["data"].get("stop")) is not None and (not stop or "" in stop):
        found = f"data.stop={list(stop)}"
        raise UserError(found, "texts of a character or more, or null where nothing is cut", "data.stop")
    if config["runtime"]["gradient_checkpointing"] and family == "classifier":
        found = f"runtime.gradient_checkpointing=true with model={config['model']['name']}, a classifier"
        raise UserError(found, "false, as classifiers keep what they compute", "runtime.gradient_checkpointing")
    if "source" in policy:
        check_positions(config, known_config(policy["source"], mirror), family)
    for key, node in reward_nodes(reward):
        if "source" in node and "max_tokens" in node:
            limit = positions_of(known_config(node["source"], mirror))
            refuse_beyond(limit, node["source"], {f"{key}.max_tokens": node["max_tokens"]})


def check_family(config: Mapping[str, Any], family: str) -> None:
    """Refuse a model of a family that this run cannot train or sample from; one that is not known yet passes.

    Raises:
        UserError: What was found, what was expected and which key to change.
    """
    data, model, loop = config["data"], config["model"], config["algo"]["loop"]
    if data["rollout"] is not None and family == "classifier":
        found = f"model={model['name']}, a {family} that cannot generate, with data={data['name']}"
        raise UserError(found, models_for("text"), "model")
    if _has_labels(data) != (family == "classifier"):
        found = (
            f"model={model['name']}, {'no classifier' if family == AUTO else f'a {family}'}, with data={data['name']}"
        )
        raise UserError(found, "a classifier for targets that are labels, and for nothing else", "model or data")
    if loop.get("whole_text") is not None and family not in ("causal", AUTO):
        found = f"algo.loop.whole_text={loop['whole_text']} with model={model['name']}"
        expected = "a causal model, which reads prompt and answer in one row"
        raise UserError(found, expected, "algo.loop.whole_text or model")


def _check_chat(config: Mapping[str, Any], family: str) -> None:
    """Let a chat be with a model whose tokenizer knows how, of a prompt that is apart from its answer."""
    policy, mirror = config["model"]["policy"], config["paths"]["hub_mirror"]
    if family not in ("causal", AUTO):
        found = f"data.prompt.format=chat with model={config['model']['name']}, a {family} model"
        raise UserError(found, "plain, or a causal model with a chat template", "data.prompt.format or model")
    if config["algo"]["loop"].get("whole_text") is not None:
        found = f"data.prompt.format=chat with algo.loop.whole_text={config['algo']['loop']['whole_text']}"
        raise UserError(
            found, "plain, or null: a whole text has no answer", "data.prompt.format or algo.loop.whole_text"
        )
    if config["data"]["prompt"].get("ending") is not None:
        found = f"data.prompt.format=chat with data.prompt.ending={config['data']['prompt']['ending']!r}"
        raise UserError(
            found, "null for the ending, as a chat ends by itself", "data.prompt.format or data.prompt.ending"
        )
    if lacks_chat_template(policy, mirror):
        found = f"data.prompt.format=chat with {policy['tokenizer'] or policy['source']}, which has no chat template"
        raise UserError(found, "plain, or a model with a template", "data.prompt.format or model")


def _has_labels(data: Mapping[str, Any]) -> bool:
    """Say whether the targets are labels: nothing is sampled, and a target is one token without an end."""
    return data["rollout"] is None and data["target"]["max_tokens"] == 1 and not data["target"]["append_eos"]


def check_positions(config: Mapping[str, Any], known: Mapping[str, Any], family: str) -> None:
    """Refuse a run whose rows can be longer than its policy reads; `known` is the config of the model.

    Raises:
        UserError: The lengths, the limit and the keys to change.
    """
    for lengths in _rows(config, family):
        refuse_beyond(positions_of(known), config["model"]["policy"]["source"], lengths)


def _rows(config: Mapping[str, Any], family: str) -> Iterator[dict[str, int]]:
    """Give what the policy reads in one row, longest case: prompts with responses, or with gold texts."""
    data, algo = config["data"], config["algo"]
    prompt = {"data.prompt.max_tokens": data["prompt"]["max_tokens"]}
    answers = {}
    if family != "classifier":
        if "whole_text" in algo["loop"]:
            answers["data.target.max_tokens"] = data["target"]["max_tokens"]
        if (longest := algo["loop"].get("max_response_tokens")) is not None:
            answers["algo.loop.max_response_tokens"] = longest
        if "centre" in algo["loop"] and data["rollout"] is not None:  # a reward model reads EOS behind every response
            longest = data["rollout"]["max_new_tokens"] if longest is None else longest
            answers["a response and EOS (algo.loop.max_response_tokens)"] = longest + 1
        for name in ("rollout", "evaluation") if algo["loss"] is not None else ("rollout",):
            if data[name] is not None:
                answers[f"data.{name}.max_new_tokens"] = data[name]["max_new_tokens"]
    if (whole := algo["loop"].get("whole_text")) is not None:  # prompt and gold text as one text
        answers.pop("data.target.max_tokens")
        yield {"algo.loop.whole_text": whole}
    if family == "causal":
        yield from ({**prompt, key: tokens} for key, tokens in answers.items())
    else:  # an encoder reads the prompt, a decoder the answer
        yield from (prompt, *({key: tokens} for key, tokens in answers.items()))


def _check_adapter(model: Mapping[str, Any]) -> None:
    """Let either an adapter train or the top blocks: what both would mean, no paper says."""
    rank = (model.get("lora") or {}).get("rank")
    if rank is not None and model["unfrozen_blocks"] is not None:
        found = f"model.lora.rank={rank} with model.unfrozen_blocks={model['unfrozen_blocks']}"
        raise UserError(found, "null for one of them", "model.lora.rank or model.unfrozen_blocks")


def _check_dtypes(policy: Mapping[str, Any], algo: Mapping[str, Any]) -> None:
    if policy.get("dtype") != "bfloat16":
        return
    if algo["loss"] is not None:
        raise UserError(
            f"model.policy.dtype=bfloat16 with algo={algo['name']}, which trains: most updates would be rounded away",
            "float32 parameters, with model.policy.compute_dtype=bfloat16 for speed",
            "model.policy.dtype",
        )
    if policy.get("compute_dtype") != "bfloat16":
        raise UserError(
            "model.policy.compute_dtype=float32 with model.policy.dtype=bfloat16",
            "bfloat16, as parameters in bfloat16 compute in it",
            "model.policy.compute_dtype",
        )
