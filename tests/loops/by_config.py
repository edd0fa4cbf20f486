"""Every algorithm on texts as its config describes it, found in the folder, at the sizes of tests."""

from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from toy import MAX_NEW

from rftlab.config.make import make
from rftlab.config.typed import typed

CONF = Path(__file__).parents[2] / "conf" / "algo"
SIZES = {  # of what a scale sets: eight rows per iteration, in two minibatches
    "iterations": 3,
    "steps": 3,
    "prompts_per_iteration": 4,
    "samples_per_prompt": 2,
    "update_epochs": 2,
    "minibatch_size": 4,
    "batch_size": 4,
    "microbatch_size": 4,
}
FELT = {  # values under which a term that is off by default, or does nothing on nine tokens in three steps, is felt
    "loss": {
        "entropy_coef": 0.01,
        "kl_coef": 0.04,
        "top_mask": 0.5,
        "min_tokens_to_keep": 3,
        "target_update_iterations": 2,
        "polyak": 0.1,
        "decode_top_k": 3,
    },
    "loop": {"score_scaling": "running", "score_clip": 4.0},
}


def on_texts() -> dict[str, dict[str, Any]]:
    """Find the configs that have a loss and a loop on texts, which a kind of data may name."""
    found = {}
    for path in sorted(CONF.glob("*.yaml")):
        config = yaml.safe_load(path.read_text())
        of_kind = (config.get("kinds") or {}).get("text", {})
        config |= of_kind["algo"] if isinstance(of_kind, dict) and "algo" in of_kind else {}
        if isinstance(config["loss"], dict) and isinstance(config["loop"], dict):
            found[path.stem] = {name: config[name] for name in ("loss", "loop")}
    return found


def node_of(name: str, part: str, sizes: dict[str, int]) -> dict[str, Any]:
    """Give the loop or the loss of an algorithm at the sizes of tests, with the types that a run gives it."""
    node = on_texts()[name][part]
    values = sizes | FELT[part]
    node |= {key: values[key] for key, value in node.items() if value == "???" or key in FELT[part]}
    whole = OmegaConf.create({"node": node, "data": {"rollout": {"max_new_tokens": MAX_NEW}}})
    OmegaConf.resolve(whole)
    return OmegaConf.to_container(typed(whole.node, lambda keys: f"{name}: {'.'.join(keys)}"))


def built(name: str, **sizes: int) -> tuple[Any, Any]:
    """Make loop and loss of an algorithm, as a run does."""
    loop, loss = (node_of(name, part, SIZES | sizes) for part in ("loop", "loss"))
    return make(loop), make(loss)
