"""The rewards in a reward: a weighted sum has several."""

from collections.abc import Iterator, Mapping
from typing import Any


def reward_nodes(node: Any, key: str = "reward") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give a reward, and every reward in it, with its dotted key."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield key, node
        for name, child in node.items():
            yield from reward_nodes(child, f"{key}.{name}")
