"""Wording of mistakes: Hydra's and OmegaConf's errors, and unknown keys, as found / expected / change on one line."""

import difflib
import re
from collections.abc import Collection, Sequence

from hydra.errors import OverrideParseException
from omegaconf import DictConfig
from yaml import MarkedYAMLError

from rftlab.config.culprits import culprit
from rftlab.config.options import CONF, choices, groups, known_keys
from rftlab.config.scales import place_of_mistake
from rftlab.config.yaml_files import unreadable
from rftlab.errors import UserError

TYPES = {  # as OmegaConf calls them
    **{"Integer": "an integer", "Float": "a number", "Boolean": "true or false"},
    **{"int": "an integer", "float": "a number", "bool": "true or false", "str": "a text"},
}
OTHER_TYPE = "a value of another type"
GROUPS = ("algo", "data", "heuristic", "model", "optimizer", "reward")  # whose options may be written like keys
MOST_ALIKE, SHORTEST_WORD = 5, 3
INNER_GROUPS = ("hydra/launcher", "hydra/sweeper/sampler", "hydra/sweeper/pruner", "hydra/sweeper", "data/kind")
OF_A_GRID = ("hydra.sweeper.grids", "hydra.sweeper.scales")
SYNTAX_ERRORS = ("mismatched input", "extraneous input", "no viable alternative", "token recognition error", "missing")

MOST_NAMED = 40  # options that an error lists; beyond them the folder is quicker to read


def explain(error: Exception) -> str:
    """Say in one line what was found, what was expected and which key to change."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OverrideParseException):
        return str(_unreadable(error.override))
    if isinstance(error, MarkedYAMLError):
        return str(unreadable(str(getattr(error.problem_mark, "name", "a file of the config")), error))
    if (found := culprit(error)) is not None:
        return str(found)
    text = "\n".join(str(e) for e in (error, error.__cause__) if e is not None)
    if (found := _unknown_beside(error)) is not None:
        return str(found)
    for recognise in RECOGNISED:
        if (found := recognise(text)) is not None:
            place = place_of_mistake(CONF, text)
            return f"{place}: {found}" if place else str(found)
    key = re.search(r"full_key: (\S+)", text)
    text = re.sub(r"^\w+ raised while resolving interpolation: ", "", text)
    found = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return str(UserError(found, "what Hydra can read and work out", key.group(1) if key else "the command line"))


def _unreadable(override: str) -> UserError:
    """Word an override that is none, or whose value has signs that mean something to Hydra."""
    name, equals, _ = override.partition("=")
    if not equals:
        likely = [f"{group}={override}" for group in groups() if override in choices(group)]
        expected = f"KEY=VALUE{', e.g. ' if likely else ''}{' or '.join(likely)}"
        return UserError(f"{override!r} without a value", expected, "the command line")
    if not re.fullmatch(r"[+~]{0,2}[\w./@-]+", name):
        return UserError(
            f"{override}, whose key cannot be read", "KEY=VALUE with a key of conf/, without spaces", "the command line"
        )
    expected = f"""KEY=VALUE, with quotes of its own for a text of such signs: "{name}='...'\""""
    return UserError(f"{override}, which cannot be read", expected, name.lstrip("+~"))


def _unknown_schema(text: str) -> UserError | None:
    if not (match := re.search(r"In '([^']+)': Could not (?:load|find) '(schema/[^']+)'", text)):
        return None
    file, schema = f"{CONF.name}/{match.group(1)}.yaml", match.group(2)
    expected = "no such line, as types are read from what each `_target_` names"
    return UserError(f"{file}: /{schema} in its defaults list", expected, f"defaults in {file}")


def _unknown_option(text: str) -> UserError | None:
    if match := re.search(r"In '([^']+)': Could not (?:load|find) '([^']+)'\.$", text, flags=re.MULTILINE):
        file = f"{match.group(1)}.yaml"
        return UserError(f"{file}: {match.group(2)} in its defaults, which is no file", "one that there is", file)
    if not (match := re.search(r"Could not find '([^']+/[^']*)'", text)):
        return None
    if of_data := re.search(r"model/default/[^_]+_(\S+)'", match.group(0)):
        found = f"no model, and data={of_data.group(1)} has no default one"
        return UserError(found, f"model={' or '.join(choices('model'))}", "model")
    inner = next((name for name in INNER_GROUPS if match.group(1).startswith(f"{name}/")), None)
    parts = match.group(1).split("/")
    group = inner or "/".join(parts[: 2 if parts[0] == "hydra" else 1])
    option = match.group(1).removeprefix(f"{group}/")
    available = re.findall(r"^\t(\S+)$", text, flags=re.MULTILINE)
    if "/" in option or group == "experiment":  # as in a path, or one group of many folders
        available = [name for name in choices(group) if name.startswith(f"{option}/")] or choices(group)
    if re.search(r"\.[a-z]\w*$|^/", option):  # the ending of a file, not that of `gpt_neo_2.7b`
        expected = f"the name of a file of conf/{group} ({', '.join(available)}), or of {group}/ in a --config-dir"
        return UserError(f"{group}={option}, a path", expected, group)
    return UserError(f"{group}={option}, which is no option", _one_of(option, available), f"{group}")


def _unknown_key(text: str) -> UserError | None:
    key = None
    for pattern in (r"Could not override '([^']+)'", r"full_key: (\S+)", r"Key '([^']+)' (?:is )?not in"):
        if match := re.search(pattern, text):
            key = match.group(1)
            break
    if key is None or not re.search(r"Could not override|not in struct|not in '", text):
        return None
    if turning := re.search(r"In 'heuristic/([^']+)'", text):
        group = key.split(".")[0]
        found = f"heuristic={turning.group(1)}, which turns {key}, with a choice of {group} that does not have it"
        return UserError(found, f"another {group}, or heuristic=none", f"{group} or heuristic")
    if (preset := re.search(r"In 'experiment/([^']+)'", text)) and key in known_keys():
        group = key.split(".")[0]
        found = f"experiment={preset.group(1)}, which sets {key}, with a choice of {group} that does not have it"
        return UserError(found, f"another {group}, or no experiment", f"experiment or {group}")
    return unknown_key(key)


def _unknown_beside(error: Exception) -> UserError | None:
    """Word a key that no file has, beside those that the chosen option has: no other option's are suggested."""
    cause = error.__cause__
    node, key = getattr(cause, "parent_node", None), getattr(cause, "full_key", None)
    override = re.match(r"Could not override '([^']+)'", str(error))
    if not isinstance(node, DictConfig) or not isinstance(key, str) or override is None:
        return None
    if key != override.group(1) or key in known_keys():
        return None
    place = key.rpartition(".")[0]
    return unknown_key(key, {f"{place}.{name}".lstrip(".") for name in node if not str(name).startswith("_")})


def unknown_key(key: str, beside: Collection[str] = ()) -> UserError:
    """Name the nearest key of the schema for a key that it lacks; of those at its place only what is `beside` it."""
    key = key.split("@")[0].lstrip("+")
    known = known_keys()
    if beside:
        place = f"{key.rpartition('.')[0]}."
        known = {name for name in known if not f"{name}.".startswith(place)} | set(beside)
    if key == "sweep":
        return UserError("sweep=... as a group", "+sweep=NAME, with the plus sign", "+sweep")
    if key in OF_A_GRID:  # which the sweeper of a search lacks
        expected = "hydra/sweeper=rftlab for a grid, or a space (interval, range, choice) for a search"
        return UserError(f"{key} with a search: a sweep file of grids", expected, "+sweep or hydra/sweeper")
    of_search = difflib.get_close_matches(key, [name for name in known if name.startswith("hydra.sweeper.")], n=1)
    if of_search and key not in known:
        return UserError(f"key {key}, which the sweeper does not have", of_search[0], key)
    if key in known and key.startswith("hydra.sweeper.") and key != "hydra.sweeper.params":
        return UserError(f"{key}, of a search, in a grid", "hydra/sweeper=optuna on the command line", "hydra/sweeper")
    if key.startswith("hydra.sweeper."):
        return UserError(f"{key} on the command line", "axes as KEY=1,2 or as +sweep=NAME", key)
    if key in known and "." in key:  # some other option of the group has it
        group = key.split(".")[0]
        return UserError(
            f"key {key}, which the chosen {group} does not have",
            f"another {group}, one that has it",
            f"{key} or {group}",
        )
    few = f"one of {', '.join(sorted(beside))}" if 0 < len(beside) <= MOST_NAMED else "a key of conf/"
    expected = " or ".join(_like(key, sorted(known - {key}))) or few
    return UserError(f"key {key}, which the config does not have", expected, key)


def _like(key: str, known: Sequence[str]) -> list[str]:
    """Return at most five keys that somebody may have meant who wrote `key`, and options of that name.

    The first rule that finds any decides: the same last part, nearly the same letters, the same words in the last part.
    """
    last = key.rpartition(".")[2]
    named = [f"{group}={last}" for group in GROUPS if last in choices(group)]
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
    match = re.search(
        r"Value '([^\n]*?)'(?: of type '\w+')?[^\n']*(?:could not be converted|is not a valid|is not supported)[^\n]*",
        text,
    )
    match = match or re.search(r"Incompatible value '([^']*)' for field of type '(?:\w+)'", text)
    if not match:
        return None
    key = re.search(r"full_key: (\S+)", text)
    kind = re.search(r"(?:converted to|field of type|is not a valid) '?(\w+)", text)
    name = key.group(1) if key else "the key"
    value = "null" if match.group(1) == "None" else match.group(1)
    return UserError(f"{name}={value}", TYPES.get(kind.group(1), OTHER_TYPE) if kind else OTHER_TYPE, name)


def _other_shape(text: str) -> UserError | None:
    if match := re.search(r"Error merging override \+*([^\s=]+)(\S*)", text):
        key, value = match.groups()
        expected = "what stands in conf/: a list, or keys and values, where there is one"
        return UserError(f"{key}{value}, of another shape than the config", expected, key)
    if match := re.search(r"Could not append to config\. An item is already at '([^']+)'", text):
        key = match.group(1)
        return UserError(f"+{key}=..., which is there already", f"{key}=..., without the plus", key)
    return None


def _null(text: str) -> UserError | None:
    match = re.search(r"field '([^']+)' is not Optional", text)
    return UserError(f"{match.group(1)}=null", "a value", match.group(1)) if match else None


def _interpolation(text: str) -> UserError | None:
    if match := re.search(r"Interpolation key '([^']+)' not found", text):
        expected = _one_of(match.group(1), sorted(known_keys()), "a key of conf/")
        return UserError(
            f"${{{match.group(1)}}}, a key that the config does not have", expected, "the value with ${...}"
        )
    if match := re.search(r"Unsupported interpolation type (\S+)", text):
        return UserError(f"${{{match.group(1)}:...}}", "${KEY} or ${oc.env:NAME}", "the value with ${...}")
    full = re.search(r"full_key: (\S+)", text)
    key = full.group(1) if full else "the value with ${...}"
    if match := re.search(r"Environment variable '([^']+)' not found", text):
        name = match.group(1)
        found = f"{key}=${{oc.env:{name}}}, a variable that is not set"
        return UserError(found, f"{name} set before the command, or ${{oc.env:{name},DEFAULT}}", f"{key} or {name}")
    if match := re.search(r"Error trying to access \S+?\.(\w+): node `([^`]+)` is not a container", text):
        place = key.split(".")[0]
        owner = match.group(2) if f"{match.group(2)}.{match.group(1)}" in known_keys() else f"{place}.{match.group(2)}"
        found = f"{owner} without keys, though {key} refers to {owner}.{match.group(1)}"
        return UserError(found, f"keys and values, or a {key} of its own", f"{owner} or {key}")
    if re.search(r"missing \d+ required positional argument|takes \d+ positional argument", text):
        return UserError(f"{key}: ${{...}} with too few or too many arguments", "${KEY} or ${oc.env:NAME}", key)
    return None


def _in_file(text: str) -> UserError | None:
    """Recognise a file whose values do not fit, of which nothing above says more."""
    if not (match := re.search(r"In '([^']+)': \w+ raised while composing config:", text)):
        return None
    key = re.search(r"full_key: (\S+)", text)
    file = f"{match.group(1)}.yaml"
    found = f"{file}: {key.group(1) if key else 'a value'}, of another type or shape than the config"
    return UserError(found, "what stands in conf/: a value, a list, or keys and values, where there is one", file)


def _swept_launcher(text: str) -> UserError | None:
    if not (match := re.search(r"Sweeping over Hydra's configuration is not supported : '([^=']+)=", text)):
        return None
    return UserError(f"several values for {match.group(1)}", "one, as a sweep has one launcher", match.group(1))


def _no_sweep(text: str) -> UserError | None:
    """Recognise several values on the command line of a single run."""
    if not (match := re.search(r"(?:Ambiguous value for argument|Sweep parameters) '([^']*)'", text)):
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
    return ", ".join(options) if 0 < len(options) <= MOST_NAMED else otherwise


RECOGNISED = (
    _unknown_schema,
    _unknown_option,
    _unknown_key,
    _wrong_type,
    _null,
    _other_shape,
    _interpolation,
    _swept_launcher,
    _no_sweep,
    _bad_syntax,
    _in_file,
)
