"""Where this copy of rftlab lies, a checkout or an installed package, and what its commands are called there."""

import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
INSTALLED = (PACKAGE / "conf").is_dir()  # a wheel has `conf/` and `sweeps/` inside, a checkout beside `src`
ROOT = PACKAGE if INSTALLED else PACKAGE.parents[1]
CONF = ROOT / "conf"
NAME = "rftlab"
FILES = re.compile(r"\bpython src/(\w+)\.py")
MODULES = re.compile(  # what a checkout has in its Makefile, or as a module
    r"\b(?:make |python -m (?:analysis|rftlab\.commands)\.(?:make_)?)"
    r"(figures|learned|draw|small|wordnet|export|tracking-server)\b"
)


def program(name: str) -> str:
    """Return what starts a command from here: the file of a checkout, or else the installed program."""
    file = Path("src", f"{name}.py")
    return f"python {file}" if not INSTALLED and file.resolve() == ROOT / file else f"{NAME} {name}"


def as_typed(text: str) -> str:
    """Write the commands in a text, which are those of a checkout, as they are typed here."""
    text = FILES.sub(lambda found: program(found.group(1)), text)
    return MODULES.sub(rf"{NAME} \1", text) if INSTALLED else text
