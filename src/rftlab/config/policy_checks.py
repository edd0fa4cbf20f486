"""What a language model must satisfy in its run: the dtypes that can train, and the positions that rows need."""

from collections.abc import Iterator, Mapping
from typing import Any

from rftlab.config.reward_nodes import reward_nodes
from rftlab.errors import UserError
from rftlab.positions import known_config, positions_of, refuse_beyond


def check_policy(config: Mapping[str, Any]) -> None:
    """Refuse dtypes that cannot train, and rows longer than a model that can be read already.

    Raises:
        UserError: What was found, what was expected and which key to change.
    """
    policy, reward, mirror = config["model"]["policy"], config["reward"], config["paths"]["hub_mirror"]
    _check_dtypes(policy, config["algo"])
    _check_adapter(config["model"])
    if config["runtime"]["gradient_checkpointing"] and policy["family"] == "classifier":
        found = f"runtime.gradient_checkpointing=true with model={config['model']['name']}, a classifier"
        raise UserError(found, "false, as classifiers keep what they compute", "runtime.gradient_checkpointing")
    if "source" in policy:
        check_positions(config, known_config(policy["source"], mirror))
    for key, node in reward_nodes(reward):
        if "source" in node and "max_tokens" in node:
            limit = positions_of(known_config(node["source"], mirror))
            refuse_beyond(limit, node["source"], {f"{key}.max_tokens": node["max_tokens"]})


def check_positions(config: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Refuse a run whose rows can be longer than its policy reads; `known` is the config of the model.

    Raises:
        UserError: The lengths, the limit and the keys to change.
    """
    policy = config["model"]["policy"]
    for lengths in _rows(config, policy["family"]):
        refuse_beyond(positions_of(known), policy["source"], lengths)


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
