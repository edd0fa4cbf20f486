"""The keys that set a diagnosis apart from the defaults, as words of a command line."""

import json
import re
from collections.abc import Mapping
from typing import Any

from rftlab.runs import flatten

SAID = (  # by the commands themselves, in their own words
    *("data", "model", "scale", "algo", "heuristic", "init_from", "sweep"),
    *("algo.loop.n_prompts", "algo.loop.samples_per_prompt"),
)
OWN = re.compile(r"(algo|optimizer)\b|eval\.(every|probe_every)$")  # what other algorithms have otherwise, or not
UNRECORDED = re.compile(  # what sets the policy that is sampled, its rewards and its thresholds
    r"data\.(source|low_reward|rollout\.[a-z].*|loader\.(n_train|seed))|eval\.std_below|algo\.loop\.(reward|bound)_.*"
)


def recorded(config: Mapping[str, Any]) -> bool:
    """Say whether the run kept the overrides of its command line; earlier versions kept none."""
    return isinstance(config.get("overrides"), list)


def overrides(config: Mapping[str, Any], same_algo: bool) -> tuple[str, ...]:
    """Return what a run must be told to have data, model, thresholds and seed of this config.

    A run of another algorithm than that of the config has a loss, an optimiser and looks of its own.

    These are the overrides that the run kept. Of a run that kept none, the keys of UNRECORDED are written out.
    """
    words = config["overrides"] if recorded(config) else _written_out(config)
    kept = [word for word in words if _belongs(re.split("=", word.lstrip("+~"), maxsplit=1)[0], same_algo)]
    return (*kept, f"seed={config['seed']}") if config["seed"] != 0 else tuple(kept)


def _belongs(key: str, same_algo: bool) -> bool:
    if key in SAID or key.startswith("heuristic."):
        return False
    return same_algo or not OWN.match(key)


def _written_out(config: Mapping[str, Any]) -> list[str]:
    """Write the keys of UNRECORDED at the values that the run had, defaults or not."""
    plain = {key: value for key, value in flatten(config).items() if UNRECORDED.fullmatch(key)}
    return [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in plain.items()]
