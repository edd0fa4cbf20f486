"""What the pages of MLflow show of a sweep: saved views, which are tags of its experiment, and the links to them.

A view names columns, order, groups and charts of the page of runs (MLflow 3.15 and later list it under Views; earlier
ones open it by its link). Its content is what that page itself stores when a person saves a view.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

TAG = "mlflow.sharedViewState."
MODEL_TRAINING = {"workflowType": "machine_learning"}  # which of its two menus the server shows
KIND = {"mlflow.experimentKind": "custom_model_development"}  # else the page asks what the experiment is
SECTION = "answer"  # of the charts; those of all other metrics follow in sections of their own
MOST_CHARS = 20_000  # of the value of a tag of an experiment
ALL_RUNS = 1_000
NAME, WIDE = "attributes.`Run Name`", 330  # pixels
Mode = Literal["TABLE", "CHART"]


@dataclass(frozen=True, kw_only=True)
class View:
    """What one comparison needs to be seen."""

    name: str  # as the server lists it
    where: str  # which runs, in the server's language of queries
    settings: tuple[str, ...]  # parameters that the runs differ in
    metrics: tuple[str, ...]  # final metrics, the compared one first
    curves: tuple[str, ...]
    lower: bool  # whether less is better


def tags(views: Sequence[View], time_ms: int) -> dict[str, str]:
    """Return the tags of an experiment that hold its views; one that a server would refuse is left out."""
    made = {f"{TAG}{view_id(place)}": _envelope(view, time_ms) for place, view in enumerate(views)}
    return KIND | {key: value for key, value in made.items() if len(value) <= MOST_CHARS}


def view_id(place: int) -> str:
    """Name a view in links: the first of a sweep, the second, ..."""
    return f"comparison-{place + 1}"


def link(base: str, experiment_id: str, place: int, mode: Mode) -> str:
    """Return the address of a view, as a table or with its charts, on the server at `base`."""
    query = {**MODEL_TRAINING, "compareRunsMode": mode, "viewStateShareKey": view_id(place)}
    return f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs?{urlencode(query)}"


def run_link(base: str, experiment_id: str, run_id: str) -> str:
    """Return the address of a run."""
    return f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}?{urlencode(MODEL_TRAINING)}"


def _envelope(view: View, time_ms: int) -> str:
    content = {"name": view.name, "createdAt": time_ms, "updatedAt": time_ms, "state": json.dumps(_state(view))}
    return json.dumps(content)


def _state(view: View) -> dict[str, Any]:
    columns = [*(f"params.`{key}`" for key in view.settings)]
    columns += [*(f"metrics.`{name}`" for name in view.metrics), "attributes.`Duration`", "attributes.`Models`"]
    order = [NAME, *columns]
    return {
        "searchFilter": view.where,
        "orderByKey": f"metrics.`{view.metrics[0]}`",
        "orderByAsc": view.lower,
        "selectedColumns": columns,
        "columnOrder": order,
        "columnWidths": {name: WIDE if name == NAME else _width(name) for name in order},
        "runsHiddenMode": "SHOW_ALL",
        "groupBy": _groups(view.settings),
        "useGroupedValuesInCharts": True,  # a line is the mean over the seeds of a setting
        "hideEmptyCharts": True,
        "compareRunCharts": _charts(view),
        "compareRunSections": [
            {
                "uuid": SECTION, "name": "Comparison of settings", "display": True, "isReordered": True,
                "deleted": False, "isGenerated": False, "columns": 2, "cardHeight": 280,
            }
        ],
        "isAccordionReordered": True,  # else the sections would be sorted by name
    }  # fmt: skip


def _width(column: str) -> int:
    """Give a column room for its heading, and for a number."""
    return max(100, 7 * len(column.split("`")[1]) + 36)


def _groups(settings: Sequence[str]) -> Mapping[str, Any] | None:
    keys = [{"mode": "param", "groupByData": key} for key in settings]
    return {"aggregateFunction": "average", "groupByKeys": keys} if keys else None


def _charts(view: View) -> list[dict[str, Any]]:
    charts: list[dict[str, Any]] = []
    if view.settings:
        lines = {"selectedParams": list(view.settings), "selectedMetrics": [view.metrics[0]], "showAllRuns": True}
        charts.append({"type": "PARALLEL", **lines})
    charts.append({"type": "BAR", "metricKey": view.metrics[0]})
    charts += [_line(name) for name in view.curves]
    every = {"metricSectionId": SECTION, "deleted": False, "isGenerated": False, "runsCountToCompare": ALL_RUNS}
    return [{"uuid": f"{SECTION}-{place}", **every, **chart} for place, chart in enumerate(charts)]


def _line(metric: str) -> dict[str, Any]:
    return {
        "type": "LINE", "metricKey": metric, "selectedMetricKeys": [metric], "xAxisKey": "step", "scaleType": "linear",
        "xAxisScaleType": "linear", "selectedXAxisMetricKey": "", "lineSmoothness": 0, "range": {},
        "useGlobalXaxisKey": True, "useGlobalLineSmoothing": True,
    }  # fmt: skip
