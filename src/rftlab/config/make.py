"""Building what a config node names."""

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from rftlab.errors import UserError


def make(node: Any, **late: Any) -> Any:
    """Build what a config node names, with the arguments that no config holds; errors come as they were raised."""
    try:
        return instantiate(node, **late)
    except InstantiationException as error:
        if str(error).startswith("Error locating target"):
            said = f"{node['_target_']}, which cannot be imported ({error.__cause__ or error})"
            raise UserError(" ".join(said.split()), "the dotted path of a class or function", "_target_") from None
        if error.__cause__ is None:  # Hydra's own refusal, as of what cannot be called
            raise UserError(" ".join(str(error).split()), "a class or function", "_target_") from None
        raise error.__cause__ from None
