"""What a run takes of memory, from its config: which networks its algorithm asks for, and how long its rows may be.

Reading what an algorithm asks for imports torch; everything else does not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rftlab import runs
from rftlab.assets import locate
from rftlab.config.reward_nodes import reward_nodes
from rftlab.errors import UserError
from rftlab.memory import passes
from rftlab.memory.estimate import ALWAYS, SAMPLING, SCORING, STEP, UPDATE, Component, Estimate
from rftlab.memory.known import known_shape
from rftlab.memory.networks import BYTES, Network, action_heads, moments_of, value_head
from rftlab.memory.passes import FLOAT, Rows

Others = Mapping[str, Mapping[str, Any]]  # run key -> the config of a run whose reward model scores


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What an algorithm asks for, of `types.Needs`, in words that need no torch."""

    reference: bool = False
    value: bool = False
    lagged: bool = False
    action_values: bool = False
    trained_entropy: bool = False


EVERYTHING = Asked(reference=True, value=True, lagged=True, action_values=True, trained_entropy=True)


def asked_of(config: Mapping[str, Any]) -> Asked:
    """Ask the algorithm of a config what it needs; imports torch where there is one."""
    loss = config["algo"].get("loss")
    if loss is None:
        return Asked()
    from rftlab.config.make import make

    needs = getattr(make(runs.completed(loss)), "needs", None)  # a reward model needs none
    if needs is None:
        return Asked()
    return Asked(
        reference=needs.reference, value=needs.value, lagged=needs.lagged_every is not None,
        action_values=needs.action_values is not None, trained_entropy=needs.entropy == "trained",
    )  # fmt: skip


def estimate_of(config: Mapping[str, Any], asked: Asked, others: Others, *, gpu: bool) -> Estimate | None:
    """Estimate what a run takes; None where it trains and asks no language model.

    Args:
        config: A composed or stored config.
        asked: What its algorithm needs.
        others: Configs of the runs that its rewards name.
        gpu: Whether it computes on one.
    """
    if "policy" not in config.get("model", {}):
        return None
    source = config["model"]["policy"].get("source")
    shape = None if source is None else known_shape(str(source), _mirror(config))
    if shape is None:
        return Estimate(components=(), unknown=(f"the model, as the shape of {source} is not known here",))
    network = Network.of(config["model"], shape)
    scored, unknown = _rewards(config, others)
    if "centre" in config["algo"]["loop"]:  # a reward model
        parts = [*_reward_model(config, network, gpu=gpu), *scored]
    else:
        parts = [*_held(config, network, asked), *scored, *_sampling(config, network)]
        if config["algo"].get("loss") is not None:
            parts += _update(config, network, asked, gpu=gpu)
        elif config["algo"]["loop"].get("bound_prompts"):
            size, how = network.trained * BYTES[network.dtype], "of the prompts whose gradient is measured"
            parts.append(Component(name="gradients", size=size, how=how, when=[STEP]))
    if moments_of(config["optimizer"]) is None:
        unknown.append(f"what {config['optimizer']['build']['_target_']} keeps of each parameter")
    return Estimate(components=[part for part in parts if part.size], unknown=unknown)


def _mirror(config: Mapping[str, Any]) -> str | None:
    mirror = config["paths"]["hub_mirror"]
    return None if mirror is None else str(mirror)


# --- networks -----------------------------------------------------------------------------------------------------


def _policy(network: Network) -> Component:
    how = f"{network.parameters:,} parameters in {network.dtype}"
    return Component(name="policy", size=network.size, how=how, when=[ALWAYS])


def _held(config: Mapping[str, Any], network: Network, asked: Asked) -> Iterator[Component]:
    """Give what is in memory from the start to the end, but for the moments of the optimiser."""
    yield _policy(network)
    size, how = _value(config, network, asked)
    yield Component(name="value network", size=size, how=how, when=[ALWAYS])
    share = config["runtime"].get("share_trunk", True)  # a stored config may be older than the key
    shared = f"a copy of {'what trains, as the rest is shared' if share else 'all'}"
    if asked.reference:
        yield Component(name="reference", size=network.copy_size(share=share), how=shared, when=[ALWAYS])
    elif _tells_drift(config):
        how = "a copy of what trains, which evaluations tell the KL to"
        yield Component(name="start", size=network.copy_size(share=True), how=how, when=[ALWAYS])
    if asked.lagged:
        yield Component(name="lagged copy", size=network.copy_size(share=share), how=shared, when=[ALWAYS])
    if asked.action_values:
        heads, copies = action_heads(network.shape.width, network.shape.vocabulary)
        how = "two Q heads over the vocabulary, their copies, a V head; float32"
        yield Component(name="Q and V heads", size=(heads + copies) * FLOAT, how=how, when=[ALWAYS])


def _tells_drift(config: Mapping[str, Any]) -> bool:
    loop = config["algo"]["loop"]
    offline = "standardise_scores" in loop or "pairs" in loop
    return config["algo"].get("loss") is not None and (offline or config["eval"].get("kl_to_start", False))


def _value(config: Mapping[str, Any], network: Network, asked: Asked) -> tuple[int, str]:
    """Give the bytes of the value function, and how they are counted."""
    if not asked.value:
        return 0, "none is asked for"
    node = config["model"]["value"]
    head = value_head(network.shape.width, node["head"]) * FLOAT
    if node["kind"] == "head":
        return head, "a head on the states of the policy, float32"
    apart = network.of_values()
    if network.rank is not None:
        return apart.adapter * FLOAT + head, "an adapter of its own on the base of the policy, and a head"
    return apart.size + head, f"{apart.parameters:,} parameters in {apart.dtype}, and a head"


def _trained(config: Mapping[str, Any], network: Network, asked: Asked) -> dict[str, int]:
    """Count the parameters that train, by network."""
    width, found = network.shape.width, {"policy": network.trained}
    if asked.value:
        node = config["model"]["value"]
        apart = network.of_values().trained if node["kind"] == "separate" else 0
        found["value"] = apart + value_head(width, node["head"])
    if asked.action_values:
        found["heads"] = action_heads(width, network.shape.vocabulary)[0]
    return found


def _learned(
    config: Mapping[str, Any], network: Network, trained: Mapping[str, int], *, beside: bool, gpu: bool
) -> Iterator[Component]:
    """Give gradients, moments, and what an optimiser step holds.

    `beside` says whether gradients are there beside the states of a pass: where a step adds up several passes, and
    where blocks are computed again and so keep little. Else states go as gradients come.
    """
    count, each = sum(trained.values()), BYTES[network.dtype]
    whose = " + ".join(f"{number:,} of {name}" for name, number in trained.items())
    how = f"{whose}, in {network.dtype}"
    yield Component(name="gradients", size=count * each, how=how, when=[STEP, UPDATE] if beside else [STEP])
    kept = moments_of(config["optimizer"]) or 0
    how = f"{kept} numbers of each of {count:,} parameters that train"
    yield Component(name="moments", size=kept * count * each, how=how, when=[ALWAYS])
    if gpu and kept == 2:
        how = "square roots of the second moments, of all parameters at once on a GPU"
        yield Component(name="optimiser step", size=count * each, how=how, when=[STEP])


# --- passes -------------------------------------------------------------------------------------------------------


def _lengths(config: Mapping[str, Any]) -> tuple[int, int]:
    """Give the most tokens of a prompt and of what is learned behind it."""
    data, loop = config["data"], config["algo"]["loop"]
    if (whole := loop.get("whole_text")) is not None:
        return 0, whole
    answer = data["target"]["max_tokens"] if "whole_text" in loop else (data["rollout"] or {}).get("max_new_tokens", 1)
    if loop.get("max_response_tokens") is not None:
        answer = loop["max_response_tokens"]
    return data["prompt"]["max_tokens"], answer


def _microbatch(config: Mapping[str, Any]) -> tuple[Rows, bool]:
    """Give the rows of a pass with gradients, and whether an optimiser step has several."""
    loop = config["algo"]["loop"]
    per = 2 if "pairs" in loop else 1
    rows = per * loop["microbatch_size"]
    step = loop.get("minibatch_size") or loop.get("batch_size")
    prompts, answer = _lengths(config)
    different = max(1, rows // per)
    if loop.get("minibatch_of") == "prompts":
        different = max(1, rows // loop["samples_per_prompt"])
    if loop.get("prompts_per_iteration"):
        different = min(different, loop["prompts_per_iteration"])
    several = (step is not None and per * step > rows) or (loop.get("minibatch_tokens") or 0) > rows * answer
    return Rows(rows=rows, prompts=different, prompt_tokens=prompts, response_tokens=answer), several


def _told(rows: Rows) -> str:
    return f"{rows.rows} rows of up to {rows.prompt_tokens} + {rows.response_tokens} tokens"


def _update(config: Mapping[str, Any], network: Network, asked: Asked, *, gpu: bool) -> Iterator[Component]:
    """Give what an update holds."""
    runtime, loop = config["runtime"], config["algo"]["loop"]
    if "microbatch_size" not in loop:
        return
    rows, several = _microbatch(config)
    twice = runtime.get("gradient_checkpointing", False)
    yield from _learned(config, network, _trained(config, network, asked), beside=several or twice, gpu=gpu)
    again = ", blocks computed again" if twice else ""
    size = passes.activations(network, rows, checkpointing=twice, gpu=gpu)
    how = f"{_told(rows)}, {network.trained_blocks} blocks{again}"
    yield Component(name="states of the policy", size=size, how=how, when=[UPDATE], by_rows=True)
    if asked.value and config["model"]["value"]["kind"] == "separate":
        apart = network.of_values()
        size = passes.activations(apart, rows, checkpointing=twice, gpu=gpu)
        how = f"the same rows, {apart.trained_blocks} blocks{again}"
        yield Component(name="states of the value network", size=size, how=how, when=[UPDATE], by_rows=True)
    tokens, chunk = rows.answered, runtime.get("head_chunk")
    tokens = tokens if chunk is None else min(tokens, chunk)
    size = passes.logits(network, tokens, trained_entropy=asked.trained_entropy, gpu=gpu)
    how = f"{tokens:,} tokens x {network.shape.vocabulary:,}, with their gradient"
    yield Component(name="logits", size=size, how=how, when=[UPDATE], by_rows=True)
    if asked.action_values:
        size = 4 * rows.answered * network.shape.vocabulary * FLOAT
        yield Component(name="action values", size=size, how="two tables as the logits", when=[UPDATE], by_rows=True)
    how = f"matrices in {network.compute_dtype}, for the backward pass"
    yield Component(name="converted weights", size=passes.weights_in_compute_dtype(network), how=how, when=[UPDATE])
    if runtime.get("share_trunk", True) and (rollout := _rollout(config)) is not None:
        size = passes.trunk_states(network, rollout)
        how = f"what the frozen blocks say of {_told(rollout)}"
        yield Component(name="states of the trunk", size=size, how=how, when=[UPDATE], by_rows=True)


def _rollout(config: Mapping[str, Any]) -> Rows | None:
    """Give the rows of a rollout; None where its size is counted in tokens, or nothing is sampled."""
    loop = config["algo"]["loop"]
    if (count := loop.get("prompts_per_iteration")) is None:
        return None
    prompts, answer = _lengths(config)
    rows = count * loop.get("samples_per_prompt", 1)
    return Rows(rows=rows, prompts=count, prompt_tokens=prompts, response_tokens=answer)


def _sampling(config: Mapping[str, Any], network: Network) -> Iterator[Component]:
    """Give what decoding holds: in rollouts, looks and evaluations as many rows as `eval.batch_size` allows."""
    data, sizes = config["data"], config["eval"]
    found = [node for name in ("rollout", "probe", "evaluation") if (node := data.get(name)) is not None]
    if not found:
        return
    answer = max(node["max_new_tokens"] for node in found)
    probes = sizes["probe_prompts"] * sizes["probe_samples"]
    most = max(probes, *(sizes[f"n_{split}"] for split in ("train", "validation", "test")))
    rows = min(sizes["batch_size"], most)
    batch = Rows(rows=rows, prompts=rows, prompt_tokens=data["prompt"]["max_tokens"], response_tokens=answer)
    size = passes.decoding_copies(network, batch.prompt_tokens + answer)
    how = f"weights as the decoder reads them, in {network.compute_dtype}"
    yield Component(name="weights of the decoder", size=size, how=how, when=[SAMPLING])
    size = passes.keys_and_values(network, batch)
    yield Component(name="keys and values", size=size, how=_told(batch), when=[SAMPLING], by_rows=True)
    size = max(passes.reading(network, rows, batch.prompt_tokens), passes.choosing(network, rows))
    how = f"{rows} prompts in a block, or the choice of {rows} tokens"
    yield Component(name="one step of the decoder", size=size, how=how, when=[SAMPLING], by_rows=True)


# --- reward models ------------------------------------------------------------------------------------------------


def _reward_model(config: Mapping[str, Any], network: Network, *, gpu: bool) -> Iterator[Component]:
    """Give what training a reward model holds: a network without a head over the vocabulary, and one of its own."""
    bare = replace(network, has_head=False)
    yield _policy(bare)
    trained = {"policy": bare.trained, "head": value_head(network.shape.width, "linear")}
    rows, several = _microbatch(config)
    twice = config["runtime"].get("gradient_checkpointing", False)
    yield from _learned(config, bare, trained, beside=several or twice, gpu=gpu)
    size = passes.activations(bare, rows, checkpointing=twice, gpu=gpu)
    again = ", computed again" if twice else ""
    how = f"{_told(rows)}, {bare.trained_blocks} blocks{again}"
    yield Component(name="states of the policy", size=size, how=how, when=[UPDATE], by_rows=True)
    size = passes.reading(bare, config["eval"]["batch_size"], rows.prompt_tokens + rows.response_tokens)
    how = f"{config['eval']['batch_size']} texts in a block"
    yield Component(name="scoring", size=size, how=how, when=[SCORING], by_rows=True)


def _rewards(config: Mapping[str, Any], others: Others) -> tuple[list[Component], list[str]]:
    """Give the networks that score, and which of them are not known."""
    parts: list[Component] = []
    unknown: list[str] = []
    for place in ("reward", "gold"):
        for key, node in reward_nodes(config.get(place), place):
            if "run" in node and runs.of_ours(node["_target_"]):
                found = _of_run(config, node, others)
            elif "source" in node:
                found = _of_source(config, key, node)
            else:
                continue
            if found is None:
                unknown.append(f"{key}, as its model is not known here")
            parts += [replace(part, name=f"{key}: {part.name}") for part in found or ()]
    return parts, unknown


def _of_run(config: Mapping[str, Any], node: Mapping[str, Any], others: Others) -> list[Component] | None:
    """Give the reward model of another run; nothing of one without a network."""
    other = others.get(node["run"])
    if other is None:
        return None
    if "policy" not in other["model"]:
        return []
    shape = known_shape(str(other["model"]["policy"]["source"]), _mirror(config))
    if shape is None:
        return None
    network = replace(Network.of(other["model"], shape), has_head=False)
    data = config["data"]
    tokens = data["prompt"]["max_tokens"] + (data["rollout"] or {}).get("max_new_tokens", 0)
    return _scoring(network, node.get("batch_size", 1), tokens)


def _of_source(config: Mapping[str, Any], key: str, node: Mapping[str, Any]) -> list[Component] | None:
    """Give a reward model that others have trained: by its shape, else by the files of its folder."""
    shape = known_shape(str(node.get("trunk") or node["source"]), _mirror(config))
    if shape is not None and "max_tokens" in node:
        dtype = node.get("dtype", "float32")
        network = Network(
            shape=shape, dtype=dtype, compute_dtype=dtype, unfrozen_blocks=None, rank=None, targets=(), has_head=False
        )
        return _scoring(network, node["batch_size"], node["max_tokens"])
    try:
        where = locate(node["source"], _mirror(config), f"{key}.source")
    except UserError:  # loading it says so
        return None
    files = sorted(where.glob("*.safetensors")) if isinstance(where, Path) else []
    size = sum(file.stat().st_size for file in files)
    return [Component(name="model", size=size, how="as large as its files", when=[ALWAYS])] if files else None


def _scoring(network: Network, texts: int, tokens: int) -> list[Component]:
    how = f"{network.parameters:,} parameters in {network.dtype}"
    held = Component(name="model", size=network.size, how=how, when=[ALWAYS])
    size, how = passes.reading(network, texts, tokens), f"{texts} texts of up to {tokens} tokens in a block"
    return [held, Component(name="texts", size=size, how=how, when=[SCORING], by_rows=True)]
