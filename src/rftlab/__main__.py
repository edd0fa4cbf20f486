"""The command `rftlab`, which `python -m rftlab` is as well: it looks for the command that its first word names."""

import difflib
import os
import sys
from collections.abc import Sequence
from importlib import metadata

from rftlab.entries import commands, start
from rftlab.errors import BAD_INPUT, UserError
from rftlab.place import NAME

COMPLETION = ("-sc", "--shell-completion")  # of Hydra: a shell asks the program, without the name of a command


def main() -> None:
    """Run the command that the command line names; exit code 2 where there is no such command."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(help_text())
    elif arguments[0] in ("-V", "--version"):
        print(f"{NAME} {metadata.version(NAME)}")
    elif arguments[0] in COMPLETION or (arguments[0] == "train" and set(COMPLETION) & set(arguments)):
        _complete([word for word in arguments if word != "train"])
    else:
        _run(arguments[0], arguments[1:])


def help_text() -> str:
    """List the commands."""
    listed = commands()
    width = max(map(len, listed)) + 2
    lines = [f"  {name:<{width}}{line}" for name, line in listed.items()]
    return "\n".join([INTRODUCTION, *lines, ENDING])


def _run(name: str, arguments: Sequence[str]) -> None:
    if name not in (listed := commands()):
        print(f"error: {_unknown(name, list(listed))}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    sys.argv = [f"{NAME} {name}", *arguments]
    start(name)


def _unknown(name: str, listed: Sequence[str]) -> UserError:
    if "=" in name or name == "-m":
        return UserError(f"{name} without a command before it", f"{NAME} train {name} ...", "the command line")
    near = difflib.get_close_matches(name, listed, n=3, cutoff=0.6)
    return UserError(
        f"{name}, which is no command", " or ".join(near) or f"one of {', '.join(listed)}", "the first word"
    )


def _complete(arguments: Sequence[str]) -> None:
    """Let Hydra complete the words of `rftlab train`; its script calls the program by its first word alone."""
    if (line := os.environ.get("COMP_LINE")) is not None:
        os.environ["COMP_LINE"] = line.replace(f"{NAME} train", NAME, 1)
    sys.argv = [NAME, *arguments]
    start("train")


INTRODUCTION = """rftlab: reinforcement finetuning of language models, one run or a thousand.

Usage
  rftlab COMMAND [WORDS ...]      rftlab COMMAND --help tells more

  rftlab train algo=ppo data=narrativeqa                      one run, in a minute and without a download
  rftlab train -m algo=ppo,apa data=narrativeqa seed=0,1,2    a sweep; again = only what is missing
  rftlab sweep status                                         what became of it

Commands"""

ENDING = """
Files that are written go to `outputs` and `figures` of the working directory. Config files of your own in `conf` there
(`conf/data/mine.yaml` for data=mine), and sweeps in `sweeps`, are found before those of rftlab."""

if __name__ == "__main__":
    if not sys.flags.safe_path:
        sys.path.pop(0)  # the working directory, which the program `rftlab` does not look into either
    main()
