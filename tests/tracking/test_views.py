"""The pages that a link opens: their content is what MLflow's own page stores."""

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import mlflow

from rftlab.tracking import views

VIEW = views.View(
    name="Comparison of settings",
    where="tags.kind = 'run'",
    settings=("optimizer.lr", "algo.loss.beta"),
    metrics=("eval/test/reward", "policy/kl"),
    curves=("eval/test/reward", "reward/mean"),
    lower=False,
)


def state(view: views.View = VIEW) -> dict:
    (envelope,) = [json.loads(value) for key, value in views.tags([view], 7).items() if key.startswith(views.TAG)]
    assert (envelope["name"], envelope["createdAt"], envelope["updatedAt"]) == (view.name, 7, 7)
    return json.loads(envelope["state"])


def test_settings_stand_before_final_metrics_and_runs_are_grouped_by_setting():
    shown = state()
    columns = ["params.`optimizer.lr`", "params.`algo.loss.beta`", "metrics.`eval/test/reward`", "metrics.`policy/kl`"]
    assert shown["selectedColumns"][:4] == columns
    assert shown["columnOrder"] == [views.NAME, *shown["selectedColumns"]]
    assert (shown["orderByKey"], shown["orderByAsc"]) == ("metrics.`eval/test/reward`", False)
    assert [key["groupByData"] for key in shown["groupBy"]["groupByKeys"]] == ["optimizer.lr", "algo.loss.beta"]


def test_charts_show_settings_against_the_metric_its_means_and_curves():
    kinds = [(chart["type"], chart.get("metricKey")) for chart in state()["compareRunCharts"]]
    assert kinds == [
        ("PARALLEL", None), ("BAR", "eval/test/reward"), ("LINE", "eval/test/reward"), ("LINE", "reward/mean"),
    ]  # fmt: skip
    (section,) = state()["compareRunSections"]
    assert {chart["metricSectionId"] for chart in state()["compareRunCharts"]} == {section["uuid"]}


def test_runs_of_one_setting_are_neither_grouped_nor_drawn_against_settings():
    shown = state(views.View(**{**vars(VIEW), "settings": ()}))
    assert shown["groupBy"] is None
    assert "PARALLEL" not in {chart["type"] for chart in shown["compareRunCharts"]}


def test_a_view_that_the_server_would_refuse_is_left_out_and_the_others_stay():
    large = views.View(**{**vars(VIEW), "curves": tuple(f"metric/{i}" for i in range(500))})
    kept = [key for key in views.tags([large, VIEW], 7) if key.startswith(views.TAG)]
    assert kept == [f"{views.TAG}{views.view_id(1)}"]


def test_a_link_names_the_view_and_how_it_is_shown():
    parts = urlsplit(views.link("http://h:5000/", "7", 0, "CHART"))
    assert (parts.netloc, parts.path) == ("h:5000", "/")
    path, _, query = parts.fragment.partition("?")
    assert path == "/experiments/7/runs"
    assert parse_qs(query) == {
        "workflowType": ["machine_learning"], "compareRunsMode": ["CHART"], "viewStateShareKey": [views.view_id(0)],
    }  # fmt: skip


def test_the_installed_pages_still_know_every_word_of_a_view():
    """A release that calls them otherwise would show a bare table without a word."""
    pages = Path(mlflow.__file__).parent / "server" / "js" / "build" / "static" / "js"
    code = "".join(path.read_text(errors="replace") for path in pages.glob("*.js"))
    link = views.link("", "7", 0, "CHART")
    words = [*state(), *re.findall(r"[?&](\w+)=", link), views.TAG, "machine_learning", "PARALLEL", "Run Name"]
    assert [word for word in words if word not in code] == []
