"""The parent run of a sweep holds its comparison, once for each state, and nothing that a person wrote is lost."""

import math

import pytest
from stores import NOWHERE
from sweeps.finished import Y, done, grid, job_of

from rftlab.errors import UserError
from rftlab.files import read_json
from rftlab.runs import sweep_runs
from rftlab.sweeps.comparison import compare
from rftlab.sweeps.comparison_table import answer as in_one_sentence
from rftlab.tracking import words
from rftlab.tracking.answer import MOST_NOTE, Answer, answer_of
from rftlab.tracking.mirror import sync
from rftlab.tracking.parent import send_answer, sync_answers
from rftlab.tracking.store import open_store, prepare

pytestmark = pytest.mark.usefixtures("quick_environment")


@pytest.fixture
def outputs(tmp_path):
    grid(tmp_path, {1e-4: 0.5, 5e-4: 0.7})
    return tmp_path


def send(outputs, uri) -> bool:
    return send_answer(answer_of(outputs, "sweep"), outputs, prepare(uri, "sweep", outputs))


def parent(uri, outputs):
    return open_store(uri).client.get_run(prepare(uri, "sweep", outputs).parent_run_id)


def experiment_tags(uri, outputs):
    return open_store(uri).client.get_experiment(prepare(uri, "sweep", outputs).experiment_id).tags


def artifacts(uri, outputs):
    return {file.path for file in open_store(uri).client.list_artifacts(parent(uri, outputs).info.run_id)}


def test_its_numbers_and_words_are_those_of_compare(uri, outputs):
    assert send(outputs, uri)
    (comparison,) = compare(outputs, "sweep")
    run = parent(uri, outputs)
    best = comparison.rows[0].cell.mean
    kinds = {kind: run.data.metrics[f"{Y} {kind}/lr:0.0005"] for kind in ("mean", "low", "high")}
    assert kinds == pytest.approx({"mean": best.value, "low": best.low, "high": best.high})
    assert len(run.data.metrics) == 6
    note = run.data.tags[words.NOTE]
    assert in_one_sentence(comparison) in note and "| optimizer.lr |" in note and "| 0.0001 |" in note
    assert run.info.run_name == "sweep: comparison" and run.data.tags["settings"] == "optimizer.lr"
    assert in_one_sentence(comparison) in experiment_tags(uri, outputs)[words.NOTE]
    assert artifacts(uri, outputs) == {"comparison.csv", "comparison.json", "comparison.md"}


def test_the_page_and_the_figures_of_the_sweep_are_files_of_the_parent(uri, outputs):
    (outputs / "sweep" / "figures").mkdir()
    (outputs / "sweep" / "figures" / "curve.svg").write_text("<svg/>")
    (outputs / "sweep" / "index.html").write_text("<html/>")
    send(outputs, uri)
    assert {"index.html", "figures"} <= artifacts(uri, outputs)


def test_a_second_time_sends_nothing_and_a_new_number_sends_again(uri, outputs):
    assert send(outputs, uri) and not send(outputs, uri)
    done(job_of(outputs, 7, 5e-4), 0.9)
    assert send(outputs, uri)
    (comparison,) = compare(outputs, "sweep")
    assert parent(uri, outputs).data.metrics[f"{Y} mean/lr:0.0005"] == comparison.rows[0].cell.mean.value
    client = open_store(uri).client
    client.delete_run(parent(uri, outputs).info.run_id)
    assert send(outputs, uri)  # to a parent that was made again


def test_means_of_settings_that_are_no_more_are_no_numbers(uri, outputs):
    send(outputs, uri)
    done(job_of(outputs, 0, 5e-4, beta=0.1), 0.8)  # another axis: settings have other names from now on
    send(outputs, uri)
    numbers = parent(uri, outputs).data.metrics
    assert math.isnan(numbers[f"{Y} mean/lr:0.0005"])
    assert numbers[f"{Y} mean/lr:0.0005 beta:0.1"] == 0.8


def test_what_a_person_wrote_stays(uri, outputs, target):
    sync([record.folder for record in sweep_runs(outputs, "sweep")], target)
    send(outputs, uri)
    client, run = open_store(uri).client, parent(uri, outputs)
    client.set_tag(run.info.run_id, words.NOTE, "my words")
    client.set_experiment_tag(run.info.experiment_id, words.NOTE, "mine too")
    mine, *others = client.search_runs([run.info.experiment_id], "tags.kind = 'run'")
    client.update_run(mine.info.run_id, name="the good one")
    done(job_of(outputs, 0, 5e-4, beta=0.1), 0.8)
    send(outputs, uri)
    assert parent(uri, outputs).data.tags[words.NOTE] == "my words"
    assert experiment_tags(uri, outputs)[words.NOTE] == "mine too"
    names = {run.info.run_id: run.info.run_name for run in client.search_runs([run.info.experiment_id])}
    assert names[mine.info.run_id] == "the good one"
    assert all("beta=0" in names[other.info.run_id] for other in others)


def test_a_sweep_of_which_nothing_has_ended_has_its_views_already(uri, tmp_path):
    from rftlab import runs

    for lr in (1e-4, 5e-4):
        job = job_of(tmp_path, 0, lr)
        runs.freeze(job.folder, job.config)
    found = answer_of(tmp_path, "sweep")
    assert found.views[0].settings == ("optimizer.lr",) and found.metrics == {}
    assert found.headline == "Nothing to compare yet: no finished run."
    assert send(tmp_path, uri)


def test_two_datasets_have_a_view_each_of_their_own_runs(outputs):
    done(job_of(outputs, 0, data={"name": "commongen", "source": "bundled"}), 0.3)
    first, second = answer_of(outputs, "sweep").views
    assert "params.`data.name` = 'commongen'" in first.where and "params.`data.name` = 'imdb'" in second.where


def test_a_long_table_is_cut_at_a_line_and_the_file_has_it_whole(tmp_path):
    grid(tmp_path, {(place + 1) * 1e-5: 0.5 for place in range(150)}, seeds=2)
    found: Answer = answer_of(tmp_path, "sweep")
    assert len(found.note) < MOST_NOTE + 100 and found.note.endswith("is in `comparison.md`.")
    assert found.texts["comparison.md"].count("\n| ") > 150


def test_a_server_that_is_away_leaves_no_note_that_anything_was_sent(outputs):
    (line, sent), *_ = sync_answers(["sweep"], NOWHERE, outputs)
    assert not sent and line.startswith("  failed: comparison of sweep")
    assert "answer" not in (read_json(outputs / "sweep" / "tracking.json") or {})


def test_a_sweep_without_runs_is_named(tmp_path):
    with pytest.raises(UserError, match="no run in"):
        answer_of(tmp_path, "nothing")
