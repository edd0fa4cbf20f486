"""Wording of mistakes: Hydra's and OmegaConf's errors, and unknown keys, as found / expected / change on one line."""

import difflib
import re
from collections.abc import Sequence

from rftlab.config.options import CONF, known_keys, options
from rftlab.config.scales import place_of_mistake
from rftlab.errors import UserError

TYPES = {  # as OmegaConf calls them
    **{"Integer": "an integer", "Float": "a number", "Boolean": "true or false"},
    **{"int": "an integer", "float": "a number", "bool": "true or false", "str": "a text"},
}
OTHER_TYPE = "a value of another type"
GROUPS = ("algo", "data", "heuristic", "model", "optimizer")  # whose options may be written like keys
MOST_ALIKE, SHORTEST_WORD = 4, 3
SYNTAX_ERRORS = ("mismatched input", "extraneous input", "no viable alternative", "token recognition error", "missing")


def explain(error: Exception) -> str:
    """Say in one line what was found, what was expected and which key to change."""
    if isinstance(error, UserError):
        return str(error)
    text = "\n".join(str(e) for e in (error, error.__cause__) if e is not None)
    for recognise in RECOGNISED:
        if (found := recognise(text)) is not None:
            place = place_of_mistake(CONF, text)
            return f"{place}: {found}" if place else str(found)
    return " ".join(text.split())


def _unknown_schema(text: str) -> UserError | None:
    if not (match := re.search(r"In '([^']+)': Could not (?:load|find) '(schema/[^']+)'", text)):
        return None
    file, schema = f"{CONF.name}/{match.group(1)}.yaml", match.group(2)
    expected = "no such line, as types are read from what each `_target_` names"
    return UserError(f"{file}: /{schema} in its defaults list", expected, f"defaults in {file}")


def _unknown_option(text: str) -> UserError | None:
    if not (match := re.search(r"Could not find '([^']+)/([^'/]+)'", text)):
        return None
    group, option = match.groups()
    available = re.findall(r"^\t(\S+)$", text, flags=re.MULTILINE)
    if group.startswith("experiment"):  # one group of many folders
        option = f"{group}/{option}".removeprefix("experiment/")
        group, available = "experiment", options("experiment")
    return UserError(f"{group}={option}, which is no option", _one_of(option, available), f"{group}")


def _unknown_key(text: str) -> UserError | None:
    key = None
    for pattern in (r"Could not override '([^']+)'", r"full_key: (\S+)", r"Key '([^']+)' (?:is )?not in"):
        if match := re.search(pattern, text):
            key = match.group(1)
            break
    if key is None or not re.search(r"Could not override|not in struct|not in '", text):
        return None
    return unknown_key(key)


def unknown_key(key: str) -> UserError:
    """Name the nearest key of the schema for a key that it lacks."""
    key = key.split("@")[0].lstrip("+")
    known = known_keys()
    if key == "sweep":
        return UserError("sweep=... as a group", "+sweep=NAME, with the plus sign", "+sweep")
    if key in known:  # some other option of the group has it
        group = key.split(".")[0]
        return UserError(
            f"key {key}, which the chosen {group} does not have",
            f"another {group}, one that has it",
            f"{key} or {group}",
        )
    expected = " or ".join(_like(key, sorted(known))) or "a key of conf/"
    return UserError(f"key {key}, which the config does not have", expected, key)


def _like(key: str, known: Sequence[str]) -> list[str]:
    """Return at most four keys that somebody may have meant who wrote `key`, and options of that name.

    The first rule that finds any decides: the same last part, nearly the same letters, the same words in the last part.
    """
    last = key.rpartition(".")[2]
    named = [f"{group}={last}" for group in GROUPS if last in options(group)]
    same = [full for full in known if full.endswith(f".{last}")]
    if not 0 < len(same) <= MOST_ALIKE:
        same = difflib.get_close_matches(key, known, n=3, cutoff=0.8) or _share_words(last, known)
    return [*same, *named][:MOST_ALIKE] or difflib.get_close_matches(key, known, n=3, cutoff=0.6)


def _share_words(name: str, known: Sequence[str]) -> list[str]:
    """Return the keys whose last part has most of the words of `name`, or words that begin with them."""
    words = [word for word in name.split("_") if len(word) >= SHORTEST_WORD]
    of_jobs = {full.rpartition(".")[2] for full in known if full.startswith("resources.")}

    def count(full: str) -> int:
        place, _, last = full.rpartition(".")
        if place == "hydra.launcher" and last in of_jobs:
            return 0  # what a job asks for itself is named
        return sum(any(other.startswith(word) for other in last.split("_")) for word in words)

    counts = {full: count(full) for full in known}
    most = max(counts.values(), default=0)
    found = [full for full in known if most and counts[full] == most]
    return found if len(found) <= MOST_ALIKE else []


def _wrong_type(text: str) -> UserError | None:
    match = re.search(r"Value '([^']*)'[^\n]*(?:could not be converted|is not a valid|is not supported)[^\n]*", text)
    match = match or re.search(r"Incompatible value '([^']*)' for field of type '(?:\w+)'", text)
    if not match:
        return None
    key = re.search(r"full_key: (\S+)", text)
    kind = re.search(r"(?:converted to|field of type) '?(\w+)", text)
    name = key.group(1) if key else "the key"
    value = "null" if match.group(1) == "None" else match.group(1)
    return UserError(f"{name}={value}", TYPES.get(kind.group(1), OTHER_TYPE) if kind else OTHER_TYPE, name)


def _null(text: str) -> UserError | None:
    match = re.search(r"field '([^']+)' is not Optional", text)
    return UserError(f"{match.group(1)}=null", "a value", match.group(1)) if match else None


def _swept_launcher(text: str) -> UserError | None:
    if not (match := re.search(r"Sweeping over Hydra's configuration is not supported : '([^=']+)=", text)):
        return None
    return UserError(f"several values for {match.group(1)}", "one, as a sweep has one launcher", match.group(1))


def _no_sweep(text: str) -> UserError | None:
    """Recognise several values on the command line of a single run."""
    if not (match := re.search(r"Ambiguous value for argument '([^']*)'", text)):
        return None
    return UserError(f"several values, {match.group(1)}", "one, or a sweep over them", "the command: add -m")


def _bad_syntax(text: str) -> UserError | None:
    if not (match := re.search(rf"(?:{'|'.join(SYNTAX_ERRORS)})[^\n]*", text)):
        return None
    found = f"an override that cannot be read ({match.group(0).strip()})"
    return UserError(found, "KEY=VALUE", "the command line (quote values with commas or spaces)")


def _one_of(value: str, options: list[str], otherwise: str = "one of the options") -> str:
    near = difflib.get_close_matches(value, options, n=3, cutoff=0.6)
    if near:
        return " or ".join(near)
    return ", ".join(options) if 0 < len(options) <= 12 else otherwise


RECOGNISED = (
    _unknown_schema,
    _unknown_option,
    _unknown_key,
    _wrong_type,
    _null,
    _swept_launcher,
    _no_sweep,
    _bad_syntax,
)
