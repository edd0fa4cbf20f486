"""Which file or key an error is about that says so itself in no words: found in the calls that the error came through.

Hydra and YAML let some errors of Python's pass: of a file's bytes, of its header, of its defaults list, of what
contains itself. The names of the files stand in the frames of Hydra's functions that read them.
"""

from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError
from yaml.reader import ReaderError

from rftlab.config.layers import find
from rftlab.errors import UserError

READING = ("hydra._internal.core_plugins.file_config_source", "load_config")
OURS = (("hydra_plugins.rftlab_conf", "_read"), ("hydra_plugins.rftlab_conf", "_restore"))
LISTS = ("_extract_defaults_list", "_create_defaults_list")
REPOSITORY, DEFAULTS = "hydra._internal.config_repository", "hydra._internal.defaults_list"
UPDATE = ("omegaconf.omegaconf", "update")
INTERPOLATED = "Error resolving interpolation"
YAML = "lines of KEY: VALUE in YAML"
Found = tuple[str, str]  # what was found, and what was expected


def culprit(error: BaseException) -> UserError | None:
    """Word an error that came out of a file of a config, or out of a key below nothing; None where it did not."""
    if isinstance(error, (UserError, MarkedYAMLError)):
        return None
    if isinstance(error.__cause__, OmegaConfBaseException):  # which Hydra wraps
        error = error.__cause__
    frames = list(_frames(error))
    for frame in reversed(frames):
        file, words = _of_frame(frame, error)
        if file is not None and words is not None:
            found, expected = words
            return UserError(f"{file}: {found}", expected, file)
    places = {_place(frame): frame for frame in frames}
    if isinstance(error, AssertionError) and UPDATE in places:
        key = places[UPDATE].f_locals["key"]
        return UserError(f"{key}, a key of what is null", "a key of a section that is there", key)
    if str(error).startswith("Config group override must be"):
        key = next(
            (f.f_locals["override"].key_or_group for f in reversed(frames) if "override" in f.f_locals), "a group"
        )
        return UserError(f"{key} without an option", f"{key}=OPTION", key)
    return _without_kind(error, frames) if INTERPOLATED in str(error) else None


def _frames(error: BaseException) -> Iterator[FrameType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def _place(frame: FrameType) -> tuple[str, str]:
    return frame.f_globals.get("__name__", ""), frame.f_code.co_name


def _of_frame(frame: FrameType, error: BaseException) -> tuple[str | None, Found | None]:
    module, function = _place(frame)
    names = frame.f_locals
    if (module, function) == READING:
        return names.get("full_path"), _of_content(error)
    if (module, function) in OURS:
        file = names.get("config_path") or names.get("file")
        path = getattr(names["self"], "path", "")
        return str(find(Path(path), str(file))), _of_content(error)
    if module == REPOSITORY and function in LISTS:
        return _file(names["self"], names["config_path"]), (
            "defaults that cannot be read",
            "a list of NAME and GROUP: OPTION",
        )
    if isinstance(error, RecursionError) and module == DEFAULTS and names.get("path") and "repo" in names:
        words = "defaults that lead back to the file itself", "other files of the group"
        return _file(names["repo"], names["path"]), words
    return None, None


def _of_content(error: BaseException) -> Found | None:
    match error:
        case UnicodeDecodeError():
            return "bytes that are not UTF-8", "a text in UTF-8"
        case ReaderError():
            return "a character that no text of YAML has", "a text in UTF-8"
        case RecursionError():
            return "something that contains itself, or is too deep", YAML
        case OSError() if error.errno is not None:
            return f"no file that can be read ({error.strerror})", "a file that you may read"
        case OSError():  # OmegaConf's, of a number alone
            return "no keys and values", YAML
        case ValueError() if "header format" in str(error) or "Too many components" in str(error):
            return "a line # @package without one name", "# @package _global_, # @package GROUP, or no such line"
        case OmegaConfBaseException():
            return "a value that cannot be read", f"{YAML}, with whole ${{...}} and nothing that contains itself"
        case ValueError():
            return "a value that cannot be read", YAML
    return None


def _without_kind(error: BaseException, frames: list[FrameType]) -> UserError | None:
    """Word a file of `conf/data` that does not say of which kind its rows are; the tables are chosen by that."""
    known: Any = next((f.f_locals["known_choices"] for f in reversed(frames) if "known_choices" in f.f_locals), {})
    repo: Any = next((f.f_locals["repo"] for f in frames if "repo" in f.f_locals), None)
    if "data/kind" not in str(error) or repo is None or "data/kind" in known or "data" not in known:
        return None
    file = _file(repo, f"data/{known['data']}")
    expected = "defaults: [kind: KIND, _self_] and keys, with KIND one of text, labels, cases"
    return UserError(f"{file}: no kind of data", expected, file)


def _file(repo: Any, path: str) -> str:
    found = next((source.path for source in repo.get_sources() if source.is_config(path)), "")
    return str(find(Path(found), path))
