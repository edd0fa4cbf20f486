"""What a user types, a file per command: `rftlab NAME`, and `python src/NAME.py` in a checkout, call `main` of NAME.

The first line of a file is what `rftlab --help` says of it. A file imports next to nothing before `main` is called.
"""

import ast
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from rftlab.errors import BAD_INPUT, UserError
from rftlab.light import lighten
from rftlab.place import INSTALLED, PACKAGE, ROOT
from rftlab.stop import exit_on_interrupt


def commands() -> dict[str, str]:
    """Return every command with its one line of help."""
    files = sorted(path for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")
    return {path.stem.replace("_", "-"): _first_line(path) for path in files}


def start(name: str) -> None:
    """Run a command with the arguments of this process; a Ctrl-C ends it quietly with exit code 130."""
    lighten()
    with exit_on_interrupt():
        try:
            import_module(f"{__name__}.{name.replace('-', '_')}").main()
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(BAD_INPUT)


def reach_analysis() -> None:
    """Let `analysis` be imported: it lies beside `src` in a checkout, and beside this package when installed.

    Raises:
        UserError: It is not there, or another package of that name comes first.
    """
    home = PACKAGE.parent if INSTALLED else ROOT
    if str(home) not in sys.path:
        sys.path.append(str(home))
    spec = find_spec("analysis")
    if spec is None:
        raise UserError("no package `analysis`", f"that of rftlab, in {home}", "the copy of rftlab, for a whole one")
    if spec.origin is None or Path(spec.origin).resolve().parents[1] != home:
        places = spec.origin or ", ".join(spec.submodule_search_locations or ())
        found = f"another package `analysis` ({places})"
        raise UserError(found, f"that of rftlab, in {home}", "PYTHONPATH, so that the other one is not on it")


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].rstrip(".")
