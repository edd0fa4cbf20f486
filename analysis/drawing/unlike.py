"""What runs that stand side by side do not share: their budget, and settings that all of them have.

Shared is a key that the configs of two algorithms have; no list says which. What makes the comparison (algorithm,
heuristic, seed) is left out, and so is what every label names anyway.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.drawing import layout, style
from analysis.settings import NOT_SETTING, Setting
from analysis.statistics.stats import PANEL
from rftlab.runs import follows, is_look

CONTROLLED = ["optimizer", "wrong_reward"]  # each has a figure or a row of its own in the controlled experiments
COMPARED = re.compile(  # what the comparison is of, names of files and classes, and what changes no result
    r"(name|init_from|(algo|model|data|heuristic)\.name|.*_target_|.*microbatch_size)$|(parent|heuristic)\."
)
BUDGET, STEPS = "budget", "optimiser steps"
FACTORS = ("iterations", "prompts_per_iteration", "samples_per_prompt", "tokens_per_iteration")  # of a budget
SHOWN = 14  # differences; more are counted

Loop = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Cell:
    """All seeds of one setting, as far as it is compared with others."""

    algo: str
    heuristic: str
    words: frozenset[str]  # keys that its label names
    setting: Setting


def sentences(runs: pd.DataFrame) -> list[str]:
    """Say for each dataset and model of some runs what their cells do not share; nothing where that is nothing.

    `runs` are rows of `load.load_runs`.
    """
    found: dict[str, list[str]] = {}
    for _, here in runs.groupby(PANEL):
        label = layout.model_label(here["data"].iloc[0], here["model"].iloc[0])
        alone = [rows for _, rows in here.groupby(CONTROLLED)] if (here["family"] == "controlled").all() else [here]
        for cells in map(_cells, alone):
            words = [f"Beside algorithm and heuristic, runs differ in: {'; '.join(differences(cells))}."]
            notes = [*_trained_before(cells), *_learned_from(cells), *_drew_more(cells)]
            said = " ".join([*(words if differences(cells) else []), *notes])
            if said:
                found.setdefault(said, []).append(label)
    several = len(runs[PANEL].drop_duplicates()) > 1
    return [f"{', '.join(dict.fromkeys(of))}: {said}" if several else said for said, of in found.items()]


def one_seed_each(runs: pd.DataFrame) -> list[str]:
    """Say that cells of one seed each are no comparison, where several stand side by side."""
    seeds = runs.groupby("cell")["seed"].nunique()
    return ["One seed each is no comparison."] if len(seeds) > 1 and seeds.max() == 1 else []


def differences(cells: Sequence[Cell]) -> list[str]:
    """List what some cells do not share, budgets first, each with its values and whose they are."""
    if len(cells) < 2:
        return []
    loops = [_loop(cell.setting) for cell in cells]
    amounts, steps = [_amount(loop) for loop in loops], [_steps(loop) for loop in loops]
    values: dict[str, dict[Cell, str]] = {
        BUDGET: {cell: amount for cell, amount in zip(cells, amounts, strict=True) if amount is not None},
        STEPS: {cell: f"{count:,}" for cell, count in zip(cells, steps, strict=True) if count is not None},
    }
    hidden = {f"algo.loop.{factor}" for factor in FACTORS} if len(set(values[BUDGET].values())) > 1 else set()
    for key, having in _shared(cells).items():
        if key not in hidden:
            values[key] = {cell: _text(cell.setting[key]) for cell in having}
    differing = {key: texts for key, texts in values.items() if len(set(texts.values())) > 1}
    said = [f"{_short(key)} {_attributed(texts)}" for key, texts in differing.items()]
    more = [f"and {len(said) - SHOWN} more (config.yaml)"] if len(said) > SHOWN else []
    return [*said[:SHOWN], *more]


def _cells(runs: pd.DataFrame) -> list[Cell]:
    """Take one run of each cell, in the order of the algorithms."""
    order = style.algo_order(list(runs["algo"]))
    rows = sorted(runs.drop_duplicates("cell").to_dict("records"), key=lambda row: order.index(row["algo"]))
    words = [frozenset(word.partition("=")[0] for word in row["variant"].split()) for row in rows]
    return [Cell(row["algo"], row["heuristic"], named, row["settings"]) for row, named in zip(rows, words, strict=True)]


def _shared(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Map each shared key to the cells that have it: all cells of at least two algorithms, or of the only one.

    Left out are keys that the label of each of these cells names.
    """
    of_algo: dict[str, list[Cell]] = {}
    for cell in cells:
        of_algo.setdefault(cell.algo, []).append(cell)
    having: dict[str, list[str]] = {}
    for algo, own in of_algo.items():
        for key in set.intersection(*(set(cell.setting) for cell in own)):
            having.setdefault(key, []).append(algo)
    found = {}
    for key in sorted(having):
        here = [cell for algo in having[key] for cell in of_algo[algo]]
        unlabelled = any(key not in cell.words for cell in here)
        compared = COMPARED.match(key) or any(follows(key, cell.setting) for cell in here)
        counts = not compared and not is_look(key) and key.split(".")[0] not in NOT_SETTING
        if unlabelled and counts and len(having[key]) >= min(2, len(of_algo)):
            found[key] = here
    return found


def _loop(setting: Setting) -> Loop:
    prefix = "algo.loop."
    return {key.removeprefix(prefix): json.loads(text) for key, text in setting.items() if key.startswith(prefix)}


def _amount(loop: Loop) -> str | None:
    """Say how much experience a loop asks for; None where it does not say."""
    if loop.get("tokens_per_iteration"):
        return f"{loop['iterations'] * loop['tokens_per_iteration']:,} tokens"
    if {"iterations", "prompts_per_iteration", "samples_per_prompt"} <= loop.keys():
        return f"{loop['iterations'] * _rows(loop):,} responses"
    if {"steps", "batch_size"} <= loop.keys():
        return f"{_taken(loop) * loop['batch_size']:,} {_rows_are(loop)}"
    return None


def _steps(loop: Loop) -> int | None:
    """Count the optimiser steps of a loop; None where it does not say."""
    if loop.get("minibatch_tokens"):
        return loop["iterations"] * loop["update_epochs"] * (loop["tokens_per_iteration"] // loop["minibatch_tokens"])
    if {"iterations", "prompts_per_iteration", "samples_per_prompt", "update_epochs", "minibatch_size"} <= loop.keys():
        return loop["iterations"] * loop["update_epochs"] * -(-_learned(loop) // loop["minibatch_size"])
    return _taken(loop) if "steps" in loop else None


def _rows(loop: Loop) -> int:
    return loop["prompts_per_iteration"] * loop["samples_per_prompt"]


def _learned(loop: Loop) -> int:
    """Count the rows of a rollout that updates learn from at most: all, or the best of each prompt."""
    return loop["prompts_per_iteration"] * loop.get("best.keep", loop["samples_per_prompt"])


def _rows_are(loop: Loop) -> str:
    """Name what a batch of a loop without rollouts is made of."""
    return "pairs" if "pairs" in loop else "kept responses" if "standardise_scores" in loop else "gold texts"


def _taken(loop: Loop) -> int:
    """Count the steps of a supervised run, of which a heuristic may take a share."""
    return max(1, round(loop["steps"] * loop.get("step_fraction", 1.0)))


def _text(value: str) -> str:
    """Write a JSON value for a reader."""
    plain = json.loads(value)
    if isinstance(plain, float):
        return f"{plain:g}"
    return plain if isinstance(plain, str) else value.replace(" ", "")


def _short(key: str) -> str:
    """Keep the last two parts of a key: the last alone may be that of several keys."""
    return ".".join(key.split(".")[-2:])


def _attributed(texts: Mapping[Cell, str]) -> str:
    """Write each value with the algorithms, heuristics or cells that have it, whichever tells it best."""
    whose: list[Callable[[Cell], str]] = [
        lambda cell: style.name(cell.algo),
        lambda cell: style.heuristic_label(cell.heuristic),
        lambda cell: f"{style.name(cell.algo)} {style.heuristic_label(cell.heuristic)}",
    ]
    for label in whose:
        owners: dict[str, set[str]] = {}
        for cell, text in texts.items():
            owners.setdefault(label(cell), set()).add(text)
        if all(len(own) == 1 for own in owners.values()):
            by_text: dict[str, list[str]] = {}
            for owner, (text,) in owners.items():
                by_text.setdefault(text, []).append(owner)
            return ", ".join(f"{text} ({', '.join(who)})" for text, who in by_text.items())
    return " or ".join(dict.fromkeys(texts.values()))


def _trained_before(cells: Sequence[Cell]) -> list[str]:
    """Say that what was trained before a run counts in no budget, where some were trained before and others not."""
    trained = {cell.heuristic for cell in cells if any(key.startswith("parent.") for key in cell.setting)}
    if not trained or all(cell.heuristic in trained for cell in cells):
        return []
    labels = sorted(map(style.heuristic_label, trained))
    return [f"Runs {' and '.join(labels)} were trained before, which counts in no budget here."]


def _learned_from(cells: Sequence[Cell]) -> list[str]:
    """Say that responses which another run sampled count in no budget, where some learned from these and others not."""
    learned = {cell.algo for cell in cells if _reads_responses(cell)}
    if not learned or all(_reads_responses(cell) for cell in cells):
        return []
    labels = [style.name(algo) for algo in style.algo_order(list(learned))]
    return [f"{_joined(labels)} learned from responses that another run sampled, which counts in no budget here."]


def _reads_responses(cell: Cell) -> bool:
    """Say whether a cell learned from another run's responses; not where the rows of its data bring them."""
    named = any(key.startswith("algo.responses.") and value != "null" for key, value in cell.setting.items())
    sampled = cell.setting.get("algo.responses.run", "null") != "null"
    return named and (sampled or cell.setting.get("data.responses", "false") in ("false", "null"))


def _drew_more(cells: Sequence[Cell]) -> list[str]:
    """Say that heuristics which choose prompts drew more responses than a budget says."""
    chose = {cell.heuristic for cell in cells if any(key.startswith("heuristic.prompts.") for key in cell.setting)}
    labels = [style.heuristic_label(heuristic) for heuristic in style.heuristic_order(list(chose))]
    return [f"Runs with {_joined(labels)} drew more responses than their budget says."] if chose else []


def _joined(words: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)
