"""How files of YAML are read, and what is said of one that cannot be."""

from functools import cache

import yaml
from omegaconf._utils import get_yaml_loader
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from rftlab.errors import UserError


def unreadable(where: str, error: Exception) -> UserError:
    """Word what YAML cannot read of a file, with its line."""
    mark = getattr(error, "problem_mark", None)
    line = f", line {mark.line + 1}" if mark is not None else ""
    reasons = {UnicodeDecodeError: "bytes that are not UTF-8", RecursionError: "something in itself, or too deep"}
    reason = getattr(error, "problem", None) or reasons.get(type(error), "a character that no text of YAML has")
    return UserError(f"{where}{line}: {reason}", "lines of KEY: VALUE in YAML", where)


@cache
def yaml_loader() -> type[yaml.SafeLoader]:
    """Return OmegaConf's loader (1e-4 is a number, no key stands twice), with libyaml's parser where there is one."""
    omegaconf = get_yaml_loader()
    if not yaml.__with_libyaml__:
        return omegaconf
    from yaml.cyaml import CParser

    class Loader(CParser, omegaconf):
        def __init__(self, stream: str) -> None:
            CParser.__init__(self, stream)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)

    return Loader
