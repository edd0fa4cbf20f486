"""`python src/train.py --help`: a module of its own, as Hydra takes longer to import than the text to make."""

from collections.abc import Sequence

from rftlab.commands.pipe import reader_may_leave
from rftlab.config.options import help_text


def helped(arguments: Sequence[str]) -> bool:
    """Print the help of `conf/train.yaml` and return True, if the arguments ask for it.

    Hydra would list every group first, for seconds, and not show the list.
    """
    if not {"--help", "-h"} & set(arguments):
        return False
    with reader_may_leave():
        print(help_text())
    return True
