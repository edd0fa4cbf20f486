"""What the parent run of a sweep holds: the comparison of its settings, in words, numbers, files and views.

It is made by the code of `sweep.py compare` from run folders alone, and shows the page and the figures of the sweep as
far as these are written.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rftlab.errors import UserError
from rftlab.runs import RunRecord, sweep_runs
from rftlab.runs.axes import asked_axes, words_of_run
from rftlab.sweeps.asked import read_asked
from rftlab.sweeps.comparison import TARGETS, Cell, Comparison, compare, without_parents
from rftlab.sweeps.comparison_table import answer, csv, markdown, sentences, shown_columns, texts, to_dict
from rftlab.tracking import views
from rftlab.tracking.spool import clean_name
from rftlab.tracking.views import View
from rftlab.tracking.words import settings_in_words, title

PAGE, FIGURES = "index.html", "figures"  # in the folder of a sweep
MOST_NOTE = 7_500  # characters of a description; the server keeps 8,000
BESIDE = ("policy/kl", "reward/mean")  # final metrics that stand beside the compared one
CURVES = ("reward/mean", "eval/test/reward", "eval/validation/reward", "policy/kl", "policy/entropy")
MOST_AXES = 6  # settings that a view shows


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Everything that is sent of a sweep beside its runs."""

    sweep: str
    note: str  # of the parent run, Markdown
    headline: str  # of the experiment, Markdown
    tags: dict[str, str]
    metrics: dict[str, float]
    texts: dict[str, str]  # file -> content
    files: dict[str, Path]  # file -> where it lies
    views: tuple[View, ...]
    titles: dict[str, str]  # run key -> name

    @property
    def digest(self) -> str:
        """Return a text that is the same as long as nothing of it changes."""
        stamps = {name: [path.stat().st_size, path.stat().st_mtime_ns] for name, path in self.files.items()}
        told = [self.note, self.headline, self.tags, self.texts, stamps, views.tags(self.views, 0)]
        numbers = {name: repr(value) for name, value in self.metrics.items()}
        return hashlib.sha256(json.dumps([told, numbers, self.titles], sort_keys=True).encode()).hexdigest()


def answer_of(outputs: Path, sweep: str) -> Answer:
    """Compare the settings of a sweep as it is now.

    Raises:
        UserError: There is no run in it.
    """
    every = sweep_runs(outputs, sweep)
    if not every:
        raise UserError(f"no run in {outputs / sweep}", "a sweep that was launched", "--sweep")
    found, why = _comparisons(outputs, sweep)
    records = without_parents(every, read_asked(outputs, sweep))
    axes = list(dict.fromkeys(key for each in found for key in each.axes))
    axes = axes or asked_axes([words_of_run(record) for record in records])
    said = [answer(each) for each in found] or [why]
    folder = outputs / sweep
    return Answer(
        sweep=sweep,
        note=_note(found, said),
        headline=" ".join(said),
        tags=_tags(found, said, len(records)),
        metrics=_metrics(found),
        texts=_texts(found),
        files=_files(folder),
        views=tuple(_view(each, records, len(found) > 1) for each in found) or (_first_view(axes, records),),
        titles={record.key: title(record, axes) for record in every},
    )


def _comparisons(outputs: Path, sweep: str) -> tuple[list[Comparison], str]:
    try:
        return [each for each in compare(outputs, sweep) if each.with_number], "No run has ended with a finite number."
    except UserError as error:
        return [], f"Nothing to compare yet: {error.found}."


def _files(folder: Path) -> dict[str, Path]:
    pictures = sorted(path for path in (folder / FIGURES).glob("*") if path.suffix in (".svg", ".png"))
    page = {PAGE: folder / PAGE} if (folder / PAGE).exists() else {}
    return page | {f"{FIGURES}/{path.name}": path for path in pictures}


# --- words ----------------------------------------------------------------------------------------------------------


def _note(found: Sequence[Comparison], said: Sequence[str]) -> str:
    """Write the answer, then the table as far as it goes into a description."""
    parts = [f"**{one}**" for one in said] if not found else []
    for each in found:
        parts += [f"### {each.title}", f"**{answer(each)}**", _table(each), *sentences(each)[1:]]
    parts.append(
        "Files: the page of the sweep is `index.html`, its figures lie in `figures`, the table in `comparison.csv`."
    )
    return _cut("\n\n".join(parts))


def _table(comparison: Comparison) -> str:
    """Write the columns that say something of a row."""
    columns = shown_columns(comparison)
    rows = [columns, ["---"] * len(columns), *([row[name] for name in columns] for row in texts(comparison))]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows)


def _cut(note: str) -> str:
    if len(note) <= MOST_NOTE:
        return note
    whole = note[:MOST_NOTE].rpartition("\n")[0]
    return f"{whole}\n\n... the rest is in `comparison.md`."


def _tags(found: Sequence[Comparison], said: Sequence[str], runs: int) -> dict[str, str]:
    told = {"answer": " ".join(said)[:MOST_NOTE], "runs": str(runs)}
    if found:
        told |= {"compared": ", ".join(dict.fromkeys(each.y for each in found))}
        told |= {"settings": ", ".join(dict.fromkeys(key for each in found for key in each.axes)) or "none"}
        told |= {"decided": ", ".join("yes" if each.decided else "no" for each in found)}
    return told


def _texts(found: Sequence[Comparison]) -> dict[str, str]:
    if not found:
        return {}
    numbers = json.dumps([to_dict(each) for each in found], indent=1, allow_nan=False)
    return {
        "comparison.csv": csv(found), "comparison.md": "\n".join(map(markdown, found)), "comparison.json": numbers,
    }  # fmt: skip


# --- numbers --------------------------------------------------------------------------------------------------------


def _metrics(found: Sequence[Comparison]) -> dict[str, float]:
    """Return the mean of each cell with the ends of its interval; a name is a metric, what it is, and the setting."""
    numbers: dict[str, float] = {}
    for each in found:
        part = f"{each.title}/" if len(found) > 1 else ""
        for row in each.with_number:
            mean = row.cell.mean
            values = {"mean": mean.value} | ({"low": mean.low, "high": mean.high} if mean.bounded else {})
            for kind, value in values.items():
                numbers[clean_name(f"{each.y} {kind}/{part}{_label(row.cell)}")] = value
    return numbers


def _label(cell: Cell) -> str:
    shown = {key: value for key, value in cell.settings.items() if value is not None}
    return settings_in_words(shown, ":") or "the only setting"


# --- views ----------------------------------------------------------------------------------------------------------


def _view(comparison: Comparison, records: Sequence[RunRecord], one_of_many: bool) -> View:
    keys = {key for row in comparison.rows for key in row.cell.keys}
    members = [record for record in records if record.key in keys]
    final = {name for record in members for name in record.final or ()}
    flat = members[0].flat
    where = ["tags.kind = 'run'"]
    told = [key for key in ("data.name", "data.source", "scale") if one_of_many and key in flat]
    where += [f"params.`{key}` = '{flat[key]}'" for key in told]
    return View(
        name=comparison.title if one_of_many else "Comparison of settings",
        where=" AND ".join(where),
        settings=_params(comparison.axes, flat)[:MOST_AXES],
        metrics=(comparison.y, *(name for name in BESIDE if name in final and name != comparison.y)),
        curves=tuple(dict.fromkeys(name for name in (comparison.y, *CURVES) if name in final)),
        lower=comparison.lower,
    )


def _first_view(axes: Sequence[str], records: Sequence[RunRecord]) -> View:
    """Show a sweep of which no run has ended."""
    return View(
        name="Comparison of settings", where="tags.kind = 'run'", settings=_params(axes, records[0].flat)[:MOST_AXES],
        metrics=(TARGETS[0], *BESIDE), curves=CURVES, lower=False,
    )  # fmt: skip


def _params(axes: Sequence[str], flat: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the parameters of the server that hold axes; one that is no value of the config has none."""
    found = [next((name for name in (key, f"{key}.name") if name in flat), None) for key in axes]
    return tuple(clean_name(name) for name in found if name is not None)
