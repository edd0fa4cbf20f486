"""Where the shape of a model is found: the config on this machine, else the table of published models."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from rftlab.memory.shapes import Shape, shape_of
from rftlab.positions import known_config

PUBLISHED = Path(__file__).with_name("published.yaml")


@cache  # the jobs of a grid name the same few
def known_shape(source: str, hub_mirror: str | None) -> Shape | None:
    """Return the shape of a model; None where nothing on this machine tells. The hub is not asked."""
    config = known_config(source, hub_mirror) or _cached(source) or published().get(source, {})
    return shape_of(config)


@cache
def published() -> dict[str, dict[str, Any]]:
    """Return the table of published models: hub id -> the numbers of its config."""
    return yaml.safe_load(PUBLISHED.read_text())


def _cached(source: str) -> Mapping[str, Any]:
    """Return the config that the hub's client keeps of a model on this machine; empty where it keeps none."""
    from huggingface_hub.constants import HF_HUB_CACHE

    found = sorted(Path(HF_HUB_CACHE, f"models--{source.replace('/', '--')}").glob("snapshots/*/config.json"))
    try:
        return json.loads(found[-1].read_text()) if found else {}
    except (OSError, ValueError):
        return {}
