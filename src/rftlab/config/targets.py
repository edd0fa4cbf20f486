"""Whether what a config names with `_target_` exists and takes the keys beside it; the command line may change both."""

from collections.abc import Mapping
from typing import Any

from rftlab.config.schema import ELSEWHERE
from rftlab.config.signatures import NotFoundError
from rftlab.config.typed import OF_HYDRA, Keys, takes_of
from rftlab.errors import UserError


def check_targets(config: Mapping[str, Any], keys: Keys = ()) -> None:
    """Refuse a target that is not found, lacks an argument or does not take a key; nothing is imported.

    Raises:
        UserError: What was found, what was expected and which key to change.
    """
    for name, node in config.items():
        if isinstance(node, Mapping):
            here = (*keys, name)
            if "_target_" in node:
                _check(node, ".".join(here))
            check_targets(node, here)


def _check(node: Mapping[str, Any], key: str) -> None:
    target = node["_target_"]
    if not isinstance(target, str):
        raise UserError(f"{key}._target_={target}", "the dotted path of a class or function", f"{key}._target_")
    try:
        takes = takes_of(ELSEWHERE.get(target, target))
    except NotFoundError as error:
        raise error.refusal(f"{key}._target_=", f"{key}._target_") from None
    if takes is None:
        return
    unknown = [name for name in node if name not in takes.meanings and name not in OF_HYDRA]
    lacking = [name for name in takes.required if name not in node and not node.get("_partial_")]
    if unknown or lacking:
        wrong = f"does not take {', '.join(unknown)}" if unknown else f"needs {', '.join(lacking)}"
        expected = f"the keys {', '.join(takes.meanings)}, in a file of your own with this _target_"
        raise UserError(f"{key}._target_={target}, which {wrong}", expected, f"{key}._target_")
