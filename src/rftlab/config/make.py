"""Building what a config node names."""

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate


def make(node: Any, **late: Any) -> Any:
    """Build what a config node names, with the arguments that no config holds; errors come as they were raised."""
    try:
        return instantiate(node, **late)
    except InstantiationException as error:
        raise (error.__cause__ or error) from None
