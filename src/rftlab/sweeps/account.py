"""What a sweep was asked and what became of it, as plain data: what its page shows, without figures and samples."""

import re
import shlex
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rftlab.errors import UserError
from rftlab.place import program
from rftlab.runs.axes import asked_axes, spelled, value_of, words_of_run
from rftlab.runs.naming import NEAR_CHANCE, data_source, near_chance, source_in_words
from rftlab.runs.records import RunRecord, log_path
from rftlab.runs.searches import read_search
from rftlab.sweeps.asked import read_asked
from rftlab.sweeps.comparison import Comparison, compare, without_parents
from rftlab.sweeps.comparison_table import LEGEND, answer, left_columns, sentences, shown_columns, texts, verdict
from rftlab.sweeps.search.words import said_of
from rftlab.sweeps.status import RunStatus

UNFINISHED = ("failed", "lost", "stopped", "pruned", "new")  # states that the page explains
MOST_VALUES = 12  # of an axis
LOG_LINES = 12  # of the log of a run that failed
LOG_BYTES = 8_192
COMMANDS = ("train", "diagnose")
IMPLIED = {"diagnose": ("algo=diagnose",)}  # words that a command adds itself, and takes from nobody


def account(outputs: Path, sweep: str, found: Sequence[RunStatus]) -> dict[str, Any]:
    """Tell of one sweep; `found` are its runs with their states, those that lie in other sweeps included."""
    records = [run.record for run in found if run.record is not None]
    comparisons, why = _comparisons(outputs, sweep)
    metrics = list(dict.fromkeys(each.y for each in comparisons))
    compared = without_parents(records, read_asked(outputs, sweep))
    axes = list(dict.fromkeys(key for each in comparisons for key in each.axes))
    axes = axes or asked_axes([words_of_run(record) for record in compared])
    commands = _commands(outputs / sweep, records)
    return {
        "sweep": sweep,
        "commands": commands,
        "asked": _asked(outputs, sweep, found, compared),
        "warnings": [NEAR_CHANCE] if any(near_chance(record.flat) for record in records) else [],
        "disclaimer": _disclaimer(records),
        "comparisons": [_comparison(each) for each in comparisons],
        "no_comparison": why,
        "legend": LEGEND,
        "unfinished": _unfinished(outputs, found, axes),
        "runs": _runs(found, axes, metrics, sweep),
        "versions": _versions(records),
        "repeat": _repeat(outputs, sweep, commands, records, compared=bool(comparisons)),
        "run_commands": [(run.key, _run_command(run.record, outputs)) for run in found if run.record is not None],
    }


# --- what was asked -------------------------------------------------------------------------------------------------


def _asked(
    outputs: Path, sweep: str, found: Sequence[RunStatus], records: Sequence[RunRecord]
) -> list[tuple[str, str]]:
    asked = read_asked(outputs, sweep)
    states = Counter(run.state for run in found)
    not_begun = len(asked.keys() - {run.key for run in found})
    counts = [f"{count} {state}" for state, count in sorted(states.items())]
    counts += [f"{not_begun} without a folder"] if not_begun else []
    rows = [("runs", f"{len(found) + not_begun}: {', '.join(counts) or 'none'}")]
    others = sum(Path(run.folder).parent.name != sweep for run in found)
    if others:
        rows.append(("of these elsewhere", f"{others} that other sweeps had finished before"))
    if asked and (needed := sum(run.key not in asked for run in found)):
        rows.append(("of these needed first", f"{needed} that others learn from"))
    if (search := read_search(outputs, sweep)) is not None:
        rows += [(f"searched {key}", given) for key, given in search.space.items()]
        rows += [("search", line) for line in said_of(search)]
    rows += [(f"axis {key}", values) for key, values in _axes(records)]
    seeds = sorted({record.config["seed"] for record in records})
    rows += [("seeds", ", ".join(map(str, seeds)))] if seeds else []
    rows += [("first start", _clock(min(starts)))] if (starts := _times(records, "started")) else []
    rows += [("last end", _clock(max(ends)))] if (ends := _times(records, "ended")) else []
    known = [record.cost["seconds"] for record in records if "seconds" in record.cost]
    if known:
        unknown = len([record for record in records if record.done]) - len(known)
        more = f", unknown for {unknown}" if unknown else ""
        rows.append(("time of all steps", f"{sum(known) / 3600:.2f} h of {len(known)} runs{more}"))
    return rows


def _axes(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """Return what the runs were asked to differ in, with its values: numbers by size, words as runs have them."""
    words = [words_of_run(record) for record in records]
    found = []
    for key in asked_axes(words):
        there = [run.value(key) for run in words]
        if all(isinstance(value, (int, float)) for value in there):
            there.sort()
        values = list(dict.fromkeys(map(spelled, there)))
        more = f" and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else ""
        found.append((key, ", ".join(values[:MOST_VALUES]) + more))
    return found


def _times(records: Iterable[RunRecord], name: str) -> list[float]:
    return [record.status[name] for record in records if name in record.status]


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _disclaimer(records: Sequence[RunRecord]) -> str:
    """Say what the numbers are not: those of a small model or of made-up rows stand for no paper's."""
    kinds = sorted({(str(r.flat.get("scale")), source_in_words(data_source(r.flat))) for r in records})
    told = "; ".join(f"scale {scale}, {source}" for scale, source in kinds) or "no run has begun"
    return (
        f"{told[0].upper()}{told[1:]}. These are the numbers of these runs, with their data, model and decoding; they "
        "stand for no paper's."
    )


# --- what came out --------------------------------------------------------------------------------------------------


def _comparisons(outputs: Path, sweep: str) -> tuple[list[Comparison], str]:
    """Return the comparisons of a sweep, or why there is none."""
    try:
        found = compare(outputs, sweep)
    except UserError as error:
        return [], f"Nothing to compare: {error.found}."
    return [each for each in found if each.with_number], "" if found else "Nothing to compare."


def _comparison(comparison: Comparison) -> dict[str, Any]:
    rows, columns = texts(comparison), shown_columns(comparison)
    return {
        "title": comparison.title,
        "y": comparison.y,
        "answer": answer(comparison),
        "notes": sentences(comparison)[1:],
        "columns": columns,
        "left": left_columns(comparison),
        "rows": [[row[name] for name in columns] for row in rows],
        "classes": [_class(verdict(comparison, row)) for row in comparison.rows],
        "settings": [{key: spelled(value) for key, value in row.cell.settings.items()} for row in comparison.rows],
        "keys": [list(row.cell.keys) for row in comparison.rows],
    }


def _class(said: str) -> str:
    return {"best": "first best", "highest": "first", "lowest": "first"}.get(said, "")


# --- what failed and why --------------------------------------------------------------------------------------------


def _unfinished(outputs: Path, found: Sequence[RunStatus], axes: Sequence[str]) -> list[dict[str, Any]]:
    """Return every reason with its runs, and the last words of the log of one of them."""
    groups: dict[tuple[str, str], list[RunStatus]] = {}
    for run in found:
        if run.state in UNFINISHED:
            groups.setdefault((run.state, run.detail or "it never said why"), []).append(run)
    return [
        {
            "state": "not begun" if state == "new" else state,
            "why": "" if state == "new" and detail == "it never said why" else detail,
            "runs": [(_named(run, axes), run.key) for run in runs],
            "log": _log(Path(runs[0].folder)) if state in ("failed", "lost") else "",
            "command": _own("logs", runs[0].key, outputs=outputs) if state != "new" else "",
        }
        for (state, detail), runs in groups.items()
    ]


def _named(run: RunStatus, axes: Sequence[str]) -> str:
    if run.record is None:
        return run.name
    values = {key: value_of(run.record.flat, run.record.overrides, key) for key in axes}
    told = [f"{key}={spelled(value)}" for key, value in values.items() if value is not None]
    return " ".join([run.name, *told, f"seed={run.record.config['seed']}"])


def _log(folder: Path) -> str:
    try:
        with log_path(folder).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - LOG_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-LOG_LINES:])


# --- runs -----------------------------------------------------------------------------------------------------------


def _runs(found: Sequence[RunStatus], axes: Sequence[str], metrics: Sequence[str], sweep: str) -> dict[str, Any]:
    """Return a row per run: what it is, how far it came, its final metrics."""
    where = ["in sweep"] if any(run.sweep != sweep for run in found) else []
    left = ["run", *axes, "key", "state", *where]
    return {
        "columns": ["run", *axes, "seed", "key", "state", "step", *metrics, *where],
        "left": left,
        "rows": [[*_run(run, axes, metrics), *([run.sweep] if where else [])] for run in found],
    }


def _run(run: RunStatus, axes: Sequence[str], metrics: Sequence[str]) -> list[str]:
    record = run.record
    step = f"{run.step}/{run.steps}" if run.steps else "-"
    if record is None:
        return [run.name, *("-" for _ in axes), "-", run.key, run.state, step, *("-" for _ in metrics)]
    final = record.final or {}
    settings = [spelled(value_of(record.flat, record.overrides, key)) for key in axes]
    numbers = [f"{final[name]:.4f}" if name in final else "-" for name in metrics]
    return [run.name, *settings, str(record.config["seed"]), run.key, run.state, step, *numbers]


# --- versions -------------------------------------------------------------------------------------------------------


def _versions(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """Return what the runs were made with: each value, with the number of its runs where there are several."""
    counted: dict[str, Counter[str]] = {}
    for environment in (record.env for record in records):
        for name, value in _facts(environment):
            counted.setdefault(name, Counter())[value] += 1
    return [
        (name, next(iter(values)) if len(values) == 1 else "; ".join(f"{v} ({n} runs)" for v, n in values.items()))
        for name, values in counted.items()
    ]


def _facts(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not environment:
        return [("environment", "not noted")]
    hardware = environment.get("hardware") or {}
    changed = ", with changes that were not committed (git_diff in env.json)" if environment.get("git_dirty") else ""
    commit = environment.get("git_sha")
    facts = [
        ("code", f"commit {commit}{changed}" if commit else "commit unknown: not a git checkout"),
        ("Python", str(environment.get("python"))),
        *((name, version) for name, version in (environment.get("packages") or {}).items() if version),
        ("system", str(environment.get("platform"))),
        ("host", str(environment.get("host"))),
        ("device", str(environment.get("device"))),
        ("processor", f"{hardware.get('cpu')}, {hardware.get('cpus')} cores"),
        ("GPUs", ", ".join(map(str, hardware.get("gpus") or [])) or "none"),
    ]
    return facts


# --- commands -------------------------------------------------------------------------------------------------------

ONE_CHOICE = re.compile(r"=choice\(([^,()]*)\)$")  # how Hydra is told a word that was typed without it


def _commands(folder: Path, records: Sequence[RunRecord]) -> list[str]:
    """Return the commands that made the sweep, oldest first: as they were typed, else as the last launch noted it."""
    typed: dict[str, float] = {}
    for environment in (record.env for record in records if record.sweep == folder.name):
        words = environment.get("command") or []
        if words and _name(words[0]) in COMMANDS:
            line = _line(words)
            typed[line] = min(typed.get(line, float("inf")), environment.get("time", float("inf")))
    return sorted(typed, key=lambda line: typed[line]) or _noted(folder / "multirun.yaml")


def _line(words: Sequence[str]) -> str:
    multirun = ["-m"] if {"-m", "--multirun"} & set(words) else []
    name = _name(words[0])
    rest = [word for word in words[1:] if word not in ("-m", "--multirun", *IMPLIED.get(name, ()))]
    rest = [ONE_CHOICE.sub(r"=\1", word) for word in rest]
    return f"{program(name)} {shlex.join([*multirun, *rest])}".rstrip()


def _name(program: str) -> str:
    """Return the command that a process ran: `src/train.py` and `rftlab train` are the same one."""
    return Path(program).name.removeprefix("rftlab ").removesuffix(".py")


def _noted(path: Path) -> list[str]:
    if not path.exists():
        return []
    overrides = ((yaml.safe_load(path.read_text()) or {}).get("hydra") or {}).get("overrides") or {}
    words = [*overrides.get("hydra", []), *overrides.get("task", [])]
    kept = [str(word) for word in words if word != "hydra.mode=MULTIRUN"]
    return [f"{program('train')} {shlex.join(['-m', *kept])}"] if kept else []


def _run_command(record: RunRecord, outputs: Path) -> str:
    """Return the command that makes one run alone; of an older run, which kept no overrides, what is known."""
    if record.overrides is None:
        return "not recorded: this run kept no overrides; its config.yaml holds every value"
    places = [f"sweep.name={record.sweep}"] if record.sweep != "default" else []
    places += [f"paths.outputs={outputs}"] if str(outputs) != "outputs" else []
    mirror = (record.config.get("paths") or {}).get("hub_mirror")
    places += [f"paths.hub_mirror={mirror}"] if mirror else []
    words = [*record.overrides, f"seed={record.config['seed']}", *places]
    return f"{program('train')} {shlex.join(words)}"


def _own(command: str, *words: str, outputs: Path) -> str:
    place = ["--outputs", str(outputs)] if str(outputs) != "outputs" else []
    return f"{program('sweep')} {shlex.join([command, *words, *place])}"


def _of(commits: Counter[str], count: int) -> str:
    return "the code" if len(commits) == 1 else f"the code of {count} of {commits.total()} runs"


def _repeat(
    outputs: Path, sweep: str, commands: Sequence[str], records: Sequence[RunRecord], *, compared: bool
) -> list[tuple[str, str]]:
    """Return pairs of what a command is for, and the command."""
    commits = Counter(sha for record in records if (sha := record.env.get("git_sha")))
    lines = [(_of(commits, count), f"git checkout {commit}") for commit, count in commits.most_common(1)]
    lines += [("its packages, at the versions of constraints.txt", "make setup")] if commits else []
    for number, line in enumerate(commands, 1):
        which = f"command {number} of {len(commands)}" if len(commands) > 1 else "what is done is not run again"
        lines.append((f"the sweep: {which}", line))
    if any(record.state in ("failed", "lost") for record in records):
        lines.append(("what failed or was lost", _own("retry", "--sweep", sweep, outputs=outputs)))
    if compared:
        lines.append(("the comparison", _own("compare", "--sweep", sweep, outputs=outputs)))
    figures = ["python", "-m", "analysis.make_figures", "--sweep", sweep]
    figures += ["--outputs", str(outputs)] if str(outputs) != "outputs" else []
    return [
        *lines,
        ("the figures, as PDF with their numbers", shlex.join(figures)),
        ("this page", _own("report", "--sweep", sweep, outputs=outputs)),
    ]
