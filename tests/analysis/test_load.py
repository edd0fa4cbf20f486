"""Run folders to tidy frames."""

import json
import math
from pathlib import Path

import builder
import numpy as np
import pytest

from analysis import load
from rftlab.errors import UserError
from rftlab.runs import flatten


def one_run(tmp_path: Path, log: str) -> Path:
    folder = builder.write_run(tmp_path, builder.config("imdb", "ppo", "none", 0))
    (folder / "metrics.jsonl").write_text(log)
    return tmp_path


def test_every_run_appears_once_with_its_state(outputs: Path) -> None:
    runs = load.load_runs(outputs)
    assert len(runs) == 23
    assert runs["run_key"].is_unique
    assert runs["state"].value_counts().to_dict() == {"done": 22, "failed": 1}


def test_after_a_resume_the_last_value_of_a_step_counts(tmp_path: Path) -> None:
    first = builder.log_lines([(1, {"reward/mean": 0.1}), (2, {"reward/mean": 0.2}), (3, {"reward/mean": 9.0})])
    again = builder.log_lines([(2, {"reward/mean": 0.25}), (3, {"reward/mean": 0.3})], attempt=2)
    frame = load.load_metrics(one_run(tmp_path, first + again))
    assert dict(zip(frame["step"], frame["value"], strict=True)) == {1: 0.1, 2: 0.25, 3: 0.3}


def test_words_for_nan_and_infinity_become_floats(tmp_path: Path) -> None:
    log = builder.log_lines([(1, {"policy/kl": math.inf}), (2, {"policy/kl": math.nan}), (3, {"policy/kl": -math.inf})])
    values = load.load_metrics(one_run(tmp_path, log)).sort_values("step")["value"].to_numpy()
    np.testing.assert_array_equal(values, [math.inf, math.nan, -math.inf])


def test_a_line_that_a_kill_cut_off_is_not_read(tmp_path: Path) -> None:
    log = builder.log_lines([(1, {"reward/mean": 0.1}), (2, {"reward/mean": 0.2})])
    assert list(load.load_metrics(one_run(tmp_path, log[:-20]))["step"]) == [1]


def test_seeds_share_a_cell_and_settings_do_not(tmp_path: Path) -> None:
    for seed in (0, 1):
        builder.write_run(tmp_path, builder.config("imdb", "apa", "partial_sft", seed))
        builder.write_run(tmp_path, builder.config("imdb", "apa", "partial_sft", seed, algo__loss__lam=1.0))
    runs = load.load_runs(tmp_path)
    assert runs.groupby("cell")["seed"].apply(sorted).tolist() == [[0, 1], [0, 1]]
    assert set(runs["variant"]) == {"algo.loss.lam=0.1", "algo.loss.lam=1.0"}


def test_where_a_run_and_its_sweep_lie_does_not_change_its_cell(tmp_path: Path) -> None:
    builder.write_run(tmp_path, builder.config("imdb", "apa", "none", 0))
    builder.write_run(tmp_path, builder.config("imdb", "apa", "none", 1, sweep="other", runtime__device="cuda"))
    assert load.load_runs(tmp_path)["cell"].nunique() == 1


def test_one_sweep_can_be_read_alone(tmp_path: Path) -> None:
    builder.write_run(tmp_path, builder.config("imdb", "apa", "none", 0))
    builder.write_run(tmp_path, builder.config("imdb", "ppo", "none", 0, sweep="other"))
    assert list(load.load_runs(tmp_path, ["other"])["algo"]) == ["ppo"]


def test_an_unknown_sweep_is_named_with_those_that_exist(outputs: Path) -> None:
    with pytest.raises(UserError, match=r"no sweep typo .*expected one of: default"):
        load.load_runs(outputs, ["typo"])


def test_an_empty_outputs_folder_gives_empty_frames_with_all_columns(tmp_path: Path) -> None:
    assert load.load_metrics(tmp_path).empty
    assert {"run_key", "cell", "value"} <= set(load.load_metrics(tmp_path).columns)
    assert {"reward_std", "phase"} <= set(load.load_prompts(tmp_path).columns)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of MLflow's own use of SQLAlchemy
def test_mlflow_gives_the_same_values_as_the_run_folder(tmp_path: Path) -> None:
    import mlflow

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    outputs = tmp_path / "outputs"
    builder.write_run(outputs, builder.config("imdb", "ppo", "none", 0))
    folder_frame = load.load_metrics(outputs)
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("default")
    client.create_run(experiment)  # the parent of the sweep carries no run key
    run_id = client.create_run(experiment, tags={"run_key": folder_frame["run_key"].iloc[0]}).info.run_id
    resolved = builder.config("imdb", "ppo", "none", 0)
    for key, value in flatten(resolved).items():
        client.log_param(run_id, key, value if isinstance(value, str) else json.dumps(value))
    for row in folder_frame.to_dict("records"):
        client.log_metric(run_id, row["metric"], -1.0, timestamp=1, step=row["step"])  # of an attempt that was killed
        client.log_metric(run_id, row["metric"], row["value"], timestamp=2, step=row["step"])
    client.log_metric(run_id, "policy/loss", math.inf, timestamp=1, step=1)
    client.set_terminated(run_id, "FINISHED")
    frame = load.load_metrics_mlflow(uri, "default")
    assert frame.loc[frame["metric"] == "policy/loss", "value"].tolist() == [math.inf]
    order = ["metric", "step"]
    same = frame[frame["metric"] != "policy/loss"].sort_values(order, ignore_index=True)
    expected = folder_frame.sort_values(order, ignore_index=True)[same.columns]
    assert same.astype(str).equals(expected.astype(str))
