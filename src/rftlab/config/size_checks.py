"""How much an iteration and an optimiser step take: rows or tokens that divide each other, whole groups, whitening."""

from collections.abc import Mapping
from typing import Any

from rftlab.config.signatures import constant
from rftlab.errors import UserError

IN_ROWS, IN_TOKENS = ("prompts_per_iteration", "minibatch_size"), ("tokens_per_iteration", "minibatch_tokens")


def check_rollout_sizes(algo: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """Let rollouts and minibatches be counted in rows or in tokens, and fit into each other."""
    loop = algo["loop"]
    given = {key for key in (*IN_ROWS, *IN_TOKENS) if loop[key] is not None}
    if given not in (set(IN_ROWS), set(IN_TOKENS)):
        values = {key: "null" if loop[key] is None else loop[key] for key in (*IN_ROWS, *IN_TOKENS)}
        found = ", ".join(f"{key}={value}" for key, value in values.items())
        expected = f"either {' and '.join(IN_ROWS)}, or {' and '.join(IN_TOKENS)}, and null for the other two"
        raise UserError(f"algo.loop: {found}", expected, f"algo.loop.{', '.join(values)}")
    grouped = constant(algo["loss"]["_target_"], "unit") == "group"
    if grouped and loop["samples_per_prompt"] < 2:
        found = f"algo.loop.samples_per_prompt={loop['samples_per_prompt']} with algo={algo['name']}"
        raise UserError(found, "2 or more: the other responses are the baseline", "algo.loop.samples_per_prompt")
    if loop.get("best"):
        _check_best(loop)
    if given == set(IN_ROWS):
        _check_sizes_in_rows(loop, data["loader"]["n_train"], grouped or _by_prompt(loop))
    else:
        _check_sizes_in_tokens(algo, data["rollout"]["max_new_tokens"])


def _by_prompt(loop: Mapping[str, Any]) -> bool:
    """Tell whether a pass shuffles prompts with all their rows; a stored config may be older than the key."""
    return loop.get("minibatch_of") == "prompts"


def _check_sizes_in_rows(loop: Mapping[str, Any], n_train: int | None, grouped: bool) -> None:
    prompts, group = loop["prompts_per_iteration"], learned_per_prompt(loop)
    rows, of_group = prompts * group, "best.keep" if loop.get("best") else "samples_per_prompt"
    name = f"algo.loop.prompts_per_iteration x {of_group}"
    if grouped and loop["minibatch_size"] % group:
        found = f"algo.loop.minibatch_size={loop['minibatch_size']}, which parts groups of algo.loop.{of_group}={group}"
        raise UserError(found, f"a multiple of {group}", f"algo.loop.minibatch_size or algo.loop.{of_group}")
    check_divides(name, rows, "algo.loop.minibatch_size", loop["minibatch_size"])
    check_divides(
        "algo.loop.minibatch_size", loop["minibatch_size"], "algo.loop.microbatch_size", loop["microbatch_size"]
    )
    if n_train is not None and prompts > n_train:
        found = f"algo.loop.prompts_per_iteration={prompts} above data.loader.n_train={n_train}"
        raise UserError(found, f"at most {n_train}", "algo.loop.prompts_per_iteration or data.loader.n_train")


def learned_per_prompt(loop: Mapping[str, Any]) -> int:
    """Say how many responses to a prompt are learned at most."""
    best = loop.get("best")
    return loop["samples_per_prompt"] if best is None else best["keep"]


def _check_best(loop: Mapping[str, Any]) -> None:
    """Let the best be among those that are sampled, and the budget be in rows."""
    keep, samples = loop["best"]["keep"], loop["samples_per_prompt"]
    if keep > samples:
        found = f"algo.loop.best.keep={keep} above algo.loop.samples_per_prompt={samples}"
        raise UserError(found, f"at most {samples}", "algo.loop.best.keep or algo.loop.samples_per_prompt")
    if loop["tokens_per_iteration"] is not None:
        found = f"algo.loop.tokens_per_iteration={loop['tokens_per_iteration']} with algo.loop.best"
        change = "algo.loop.prompts_per_iteration and minibatch_size"
        raise UserError(found, "a rollout counted in prompts, as what is kept has no fixed number of tokens", change)


def _check_sizes_in_tokens(algo: Mapping[str, Any], longest: int) -> None:
    """Let a minibatch hold the longest unit, so that no pass has fewer units than minibatches."""
    loop = algo["loop"]
    whole, part = loop["tokens_per_iteration"], loop["minibatch_tokens"]
    if part > whole:
        found = f"algo.loop.minibatch_tokens={part} above tokens_per_iteration={whole}"
        raise UserError(found, f"at most {whole}", "algo.loop.minibatch_tokens or algo.loop.tokens_per_iteration")
    words = f"data.rollout.max_new_tokens={longest}"
    if constant(algo["loss"]["_target_"], "unit") == "group" or _by_prompt(loop):
        longest *= loop["samples_per_prompt"]
        words += f" x algo.loop.samples_per_prompt={loop['samples_per_prompt']}"
    if part < longest:
        found = f"algo.loop.minibatch_tokens={part} below {words}"
        change = "algo.loop.minibatch_tokens or data.rollout.max_new_tokens"
        raise UserError(found, f"{longest} or more, which the longest unit may have", change)


LEAST_WHITENED = 8  # responses; of two, whitening makes one good and the other bad, whatever they are


def check_whitening(algo: Mapping[str, Any], longest: int) -> None:
    """Let the advantages of no fewer than `LEAST_WHITENED` responses be whitened together."""
    loop, over = algo["loop"], algo["loss"].get("whiten_advantages", "none")  # it may have no advantages
    if over == "none":
        return
    key = {"minibatch": ("minibatch_size", "minibatch_tokens")}.get(over, ("prompts_per_iteration", IN_TOKENS[0]))
    if loop[key[0]] is not None:
        name, rows = key[0], loop[key[0]] * (1 if over == "minibatch" else loop["samples_per_prompt"])
    else:
        name, rows = key[1], loop[key[1]] // longest
    if rows < LEAST_WHITENED:
        found = f"algo.loss.whiten_advantages={over} over {rows} responses (algo.loop.{name}={loop[name]})"
        expected = f"{LEAST_WHITENED} responses or more, or whitening over the rollout or of none"
        raise UserError(found, expected, f"algo.loss.whiten_advantages or algo.loop.{name}")


def check_whitening_of_steps(algo: Mapping[str, Any]) -> None:
    """The same where an optimiser step is all that there is to whiten over."""
    over, rows = algo["loss"].get("whiten_advantages", "none"), algo["loop"]["batch_size"]
    if over != "none" and rows < LEAST_WHITENED:
        found = f"algo.loss.whiten_advantages={over} over {rows} responses (algo.loop.batch_size={rows})"
        expected = f"{LEAST_WHITENED} responses or more, or whitening of none"
        raise UserError(found, expected, "algo.loss.whiten_advantages or algo.loop.batch_size")


def check_divides(name: str, whole: int, key: str, part: int) -> None:
    """Let `key` be a divisor of what `name` says."""
    if whole % part:
        raise UserError(f"{name}={whole} is not a multiple of {key}={part}", f"a divisor of {whole}", key)
