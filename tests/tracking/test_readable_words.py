"""What MLflow calls a run, and says of it."""

import pytest
from stores import CONFIG
from sweeps.finished import done, grid, job_of

from rftlab.runs import read_run
from rftlab.runs.records import RunRecord
from rftlab.sweeps.asked import note_asked
from rftlab.tracking import words

NAMES = {"optimizer.lr": "lr", "algo.loss.beta": "beta"}


def record(folder, seed=0, lr=1e-4, beta=0.0, **changes) -> RunRecord:
    return read_run(done(job_of(folder, seed, lr, beta, **changes), 0.5).folder)


def test_a_run_is_called_by_what_tells_it_from_the_others_and_then_by_its_own_name(tmp_path):
    run = record(tmp_path, 3, 5e-4)
    assert words.title(run, list(NAMES)) == "lr=0.0005 beta=0 seed=3 · run"
    assert words.title(run, ["data", "algo", "heuristic"]) == "run seed=3"  # its own name says these
    assert words.title(run, ["parent"]) == words.title(run, []) == "run seed=3"  # a setting that it does not have


def test_settings_with_one_last_word_keep_their_whole_keys():
    told = words.settings_in_words({"optimizer.lr": 1e-4, "value.lr": 0.1, "algo.gamma": 1.0}, "=")
    assert told == "optimizer.lr=0.0001 value.lr=0.1 gamma=1"


def test_what_runs_differ_in_is_known_before_the_first_of_them_starts(tmp_path):
    note_asked(tmp_path, "sweep", [job_of(tmp_path, 0, lr) for lr in (1e-4, 5e-4)])
    assert words.axes_asked(tmp_path, "sweep") == ["optimizer.lr"]
    assert words.axes_asked(tmp_path, "other") == []


def test_a_description_finds_and_repeats_the_run(tmp_path):
    run = record(tmp_path, 3, 5e-4)
    text = words.description(run)
    assert f"Folder: `{run.folder}`" in text
    assert "python src/train.py algo=ppo optimizer.lr=0.0005 algo.loss.beta=0.0 seed=3 sweep.name=sweep" in text
    assert "bundled data" in text and "starts from the pretrained weights of asset:gpt2_mini" in text


@pytest.mark.parametrize("config", [CONFIG, {"name": "a", "seed": 1}])
def test_a_run_of_which_little_is_known_is_described_as_far_as_it_is(tmp_path, config):
    run = RunRecord(folder=tmp_path / "s" / "a-0123456789ab", config=config, status={}, state="new", final=None)
    assert words.description(run) == f"Folder: `{run.folder}`"
    assert words.tags(run)["run_key"] == "0123456789ab"


def test_every_run_of_a_grid_has_a_name_of_its_own(tmp_path):
    grid(tmp_path, {1e-4: 0.5, 5e-4: 0.7})
    runs = [read_run(path.parent) for path in tmp_path.glob("sweep/*/DONE")]
    assert len({words.title(run, ["optimizer.lr"]) for run in runs}) == len(runs) == 6
