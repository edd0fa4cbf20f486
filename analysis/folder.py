"""The files of a folder as modules: adding a figure or a table is adding a file."""

import importlib
import pkgutil
from types import ModuleType

from rftlab.errors import UserError

NEEDED = ("draw", "WANTED")


def members(folder: ModuleType) -> list[ModuleType]:
    """Import every file of `analysis.figures` or `analysis.tables`, sorted by name.

    Raises:
        UserError: a file lacks one of the names in NEEDED.
    """
    names = sorted(found.name for found in pkgutil.iter_modules(folder.__path__))
    modules = [importlib.import_module(f"{folder.__name__}.{name}") for name in names]
    for module in modules:
        if absent := [name for name in NEEDED if not hasattr(module, name)]:
            raise UserError(f"{module.__file__} without {' and '.join(absent)}", f"{' and '.join(NEEDED)}", "the file")
    return modules
