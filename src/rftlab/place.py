"""Where this copy of rftlab lies, a checkout or an installed package, and what its commands are called there."""

import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
INSTALLED = (PACKAGE / "conf").is_dir()  # a wheel has `conf/` and `sweeps/` inside, a checkout beside `src`
ROOT = PACKAGE if INSTALLED else PACKAGE.parents[1]
CONF = ROOT / "conf"
NAME = "rftlab"
FILES = re.compile(r"\bpython src/(\w+)\.py")
OTHERS = re.compile(r"\b(?:make |python -m (?:analysis|rftlab\.commands|rftlab\.tracking)\.(?:make_)?)([a-z][\w-]*)")


def program(name: str) -> str:
    """Return what starts a command from here: the file of a checkout, or else the installed program."""
    file = Path("src", f"{name}.py")
    return f"python {file}" if not INSTALLED and file.resolve() == ROOT / file else f"{NAME} {name}"


def as_typed(text: str) -> str:
    """Write the commands in a text, which are those of a checkout, as they are typed here."""
    text = FILES.sub(lambda found: program(found.group(1)), text)
    return OTHERS.sub(_other, text) if INSTALLED else text


def _other(found: re.Match[str]) -> str:
    """Name the command that a checkout has in its Makefile, or as a module, where there is one of that name."""
    file = PACKAGE / "entries" / f"{found.group(1).replace('-', '_')}.py"
    return f"{NAME} {found.group(1)}" if file.is_file() else found.group(0)
