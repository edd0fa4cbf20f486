"""The command line as Hydra wants it: overrides before flags, texts quoted, additions marked."""

import re
from argparse import ArgumentError, Namespace
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from rftlab.config.messages import unknown_key
from rftlab.config.options import choices, groups, known_keys
from rftlab.config.own_function import with_own_function
from rftlab.config.texts import kept, without_null_preset
from rftlab.errors import UserError, words_of
from rftlab.runs.identity import key_today

LINE = "the command line"
FLAGS = "KEY=VALUE, or a flag: -m, --help, --cfg job [--resolve] [-p KEY], --info defaults, --config-dir DIR"
COMPLETION = re.compile(r"(install|uninstall|query)=(bash|zsh|fish)")
OTHER_GROUPS = ("sweep", "hydra/launcher", "hydra/sweeper")
OPTIONAL = ("experiment",)  # groups that may have no choice
WITH_KEYS_OF_THEIR_OWN = ("model", "data", "algo", "optimizer", "heuristic", "reward")  # members of these groups


def as_hydra_wants(arguments: Sequence[str]) -> list[str]:
    """Let flags stand anywhere, and an override be written in the way that comes naturally.

    Raises:
        UserError: A flag that does not exist, whose value is missing or wrong, or an override that Hydra would take for
            something else.
    """
    parser = get_args_parser()
    parser.exit_on_error = False
    try:
        known, unknown = parser.parse_known_intermixed_args(list(arguments))
    except ArgumentError as error:
        found, expected = words_of(error.message, error.argument_name)
        raise UserError(found, expected or FLAGS, LINE) from None
    if unknown:
        name = unknown[0].lstrip("-").partition("=")[0]
        raise UserError(f"{unknown[0]}, which is no flag", f"{name}=VALUE without dashes, {FLAGS}", LINE)
    _check_flags(known)
    given = {f"--{name.replace('_', '-')}": value for name, value in vars(known).items() if name != "overrides"}
    flags = [name if value is True else f"{name}={value}" for name, value in given.items() if value]
    if known.shell_completion:
        return [*known.overrides, *flags]
    for override in known.overrides:
        check_override(override)
    if len(sweeps := [override for override in known.overrides if re.match(r"\+*sweep=", override)]) > 1:
        raise _several_sweeps(" ".join(sweeps))
    overrides = [*map(_override, with_own_function(without_null_preset(known.overrides)))]
    return [*(map(_of_each_job, overrides) if known.multirun else overrides), *flags]


def _check_flags(known: Namespace) -> None:
    if known.help or known.hydra_help:
        raise UserError("a flag for help", "--help or -h", LINE)
    if known.experimental_rerun is not None:
        raise UserError("--experimental-rerun", "the words of the run, as its config.yaml has them", LINE)
    if known.shell_completion and [*map(bool, map(COMPLETION.fullmatch, known.overrides))] != [True]:
        raise UserError("-sc without a shell", "-sc install=bash, with bash, zsh or fish", LINE)
    shown = {"--multirun": known.multirun, "--run": known.run, "--cfg": known.cfg, "--info": known.info}
    if len(given := [flag for flag, value in shown.items() if value]) > 1:
        expected = "one of them (what a sweep would run: -m sweep.dry_run=true)"
        raise UserError(" with ".join(given), expected, LINE)
    if known.resolve and known.cfg is None:
        raise UserError("--resolve without --cfg", "--cfg job --resolve, which shows and runs nothing", LINE)
    if known.config_dir is not None and not Path(known.config_dir).is_dir():
        raise UserError(f"no folder {known.config_dir}", "a folder with files for groups of conf/", "--config-dir")
    if known.package is not None:
        if known.cfg is None:
            raise UserError("-p without --cfg", f"--cfg job -p {known.package}, which shows and runs nothing", LINE)
        if known.package not in known_keys() and known.package.split(".")[0] not in ("_global_", "hydra", *groups()):
            raise unknown_key(known.package)


def check_override(override: str) -> None:
    """Refuse what Hydra would take for something else, or would let through until it fails far from its cause.

    Raises:
        UserError: What was found, what was expected and which key to change.
    """
    key, _, value = override.partition("=")
    name = key.lstrip("+~")
    if key.startswith("~") and not name.startswith("hydra"):
        raise UserError(f"{override}, a removal", f"{name}=VALUE, or null where it may be: no key may be missing", name)
    if re.fullmatch(r"[\w/]+@.*", name) and not name.startswith("hydra"):
        raise UserError(f"{override}, a package", f"{name.partition('@')[0]}=OPTION", name)
    if name in ("hydra.launcher", "hydra.sweeper"):
        raise UserError(override, f"{name.replace('.', '/')}=NAME, with a slash", name)
    _check_parent(override, name, value)
    if re.match(r"data\.reward(\.|$)", name):
        today = key_today(name)
        expected = f"{today}={value}" if "." in today else "reward=NAME, which has a group of its own"
        raise UserError(f"{override}, a reward in the data", expected, today)
    if name == "sweep" and re.search(r"[,(]", value):
        raise _several_sweeps(override)
    if name == "hydra":
        raise UserError(override, "hydra.KEY=VALUE, or hydra/launcher=NAME", name)
    if "/" in name and name.partition("/")[0] in groups():
        raise UserError(f"{override}, a part of a group", f"{name.partition('/')[0]}=OPTION, whose file names it", name)
    if value == "???":
        raise UserError(f"{override}, which is no value", "a value", name)
    if not name:
        raise UserError(f"{override!r} without a key", "KEY=VALUE", LINE)
    if name in (*groups(), *OTHER_GROUPS) and name not in OPTIONAL:
        if value.startswith("["):
            raise UserError(f"{override}, a list", f"{name}=OPTION, or with -m {name}=A,B", name)
        words = [word.strip(" '\"") for word in value.split(",")]
        if "null" in map(str.lower, words):
            expected = f"one of {', '.join(choices(name))}{', with the plus sign' if name == 'sweep' else ''}"
            raise UserError(f"{override}, which is no option", expected, name)
    if name in groups() and (file := re.search(r"([^,=]+)\.ya?ml(,|$)", value)) and file.group(1) in choices(name):
        raise UserError(override, f"{name}={file.group(1)}, without the ending", name)


def _check_parent(override: str, name: str, value: str) -> None:
    """Refuse a part of a parent, or a whole one by hand; its overrides may be replaced where there are some."""
    match = re.match(r"((?:.+\.)?parent)(\..*)?$", name)
    if match is None or name.startswith("hydra"):
        return
    parent, part = match.groups()
    if (part and not override.startswith(f"{parent}.overrides=")) or (not part and value.startswith("{")):
        expected = "start=sft, heuristic=partial_sft, or parent in a file of conf/experiment"
        expected = expected if parent == "parent" else f"{parent}.overrides=[KEY=VALUE,...], or the key of a run"
        raise UserError(f"{override}, a parent by hand", expected, parent)


def _several_sweeps(found: str) -> UserError:
    """Word sweep files of which only the last, or none, would be heeded."""
    return UserError(found, "one sweep file at a time, as the axes of two do not join", "+sweep")


def _of_each_job(override: str) -> str:
    """Leave a key that only some members of a group have to the jobs of a sweep, by a choice among one value.

    Hydra also composes the config of the sweep as a whole. It leaves out what is varied there, so that the default
    member stands for those that were asked for, and may lack the key.
    """
    key, _, value = override.partition("=")
    if "." not in key or key.split(".")[0] not in WITH_KEYS_OF_THEIR_OWN or not value:
        return override
    try:
        varied = OverridesParser.create().parse_override(override).is_sweep_override()
    except HydraException:  # Hydra meets it again, and it is worded there
        return override
    return override if varied else f"{key}=choice({value})"


def _override(argument: str) -> str:
    """Write an override with the signs and quotes that Hydra needs.

    A preset may look like an addition, though its group is in the defaults list. Options of `sbatch`, arguments of a
    function of the user's own, and fields of a judge's requests, are additions to a free dictionary.
    """
    argument = kept(re.sub(r"^\+experiment=", "experiment=", argument))
    return re.sub(r"^(?=(hydra\.launcher\.sbatch|reward\.arguments|judge\.request)[.=])", "++", argument)
