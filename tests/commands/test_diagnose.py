"""`python src/diagnose.py`: short names, a run folder, a report; and `train.py` on computed cases."""

import errno
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from rftlab.commands import diagnose as diagnose_entry
from rftlab.commands import train
from rftlab.commands.diagnose import main
from rftlab.config.options import CONF
from rftlab.runs import find_runs

ROOT = Path(__file__).parents[2]
SMALL = ["data=narrativeqa", "n_prompts=24", "samples=4", "algo.loop.bound_prompts=2", "algo.loop.bound_samples=4",
         "algo.loop.bound_prefixes=1", "eval.batch_size=32", "tracking=none"]  # fmt: skip


@pytest.fixture
def diagnose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the command in this process; returns the folders that the report was asked for."""

    def run(*arguments: str) -> list[Path]:
        asked: list[Path] = []
        monkeypatch.setattr(sys, "argv", ["diagnose.py", *arguments, f"paths.outputs={tmp_path}"])
        main(lambda folders, figures: asked.extend(folders) or 0)
        return asked

    return run


def test_every_response_statistic_and_gradient_is_kept_and_a_second_call_samples_nothing(diagnose) -> None:
    (folder,) = diagnose(*SMALL)
    (run,) = find_runs(folder.parent.parent, "preflight")
    assert run.folder == folder and run.done
    samples, prompts, cases = run.samples(), run.prompts(), run.cases()
    assert len(samples) == 24 * 4 and len(prompts) == 24 and len(cases) == 2
    for prompt in prompts.to_dict("records"):
        scores = [row["score"] for row in samples if row["prompt_id"] == prompt["prompt_id"]]
        assert sum(scores) / 4 == pytest.approx(prompt["reward_mean"], abs=1e-6)
    assert (cases["grad_norm"] <= cases["bound_std"]).all()
    written = (folder / "samples.jsonl").read_bytes()
    assert diagnose(*SMALL) == [folder]
    assert (folder / "samples.jsonl").read_bytes() == written


@pytest.mark.slow
def test_the_statistics_are_those_that_a_training_run_takes_before_it_starts(
    diagnose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diagnose(*SMALL)
    budget = ["algo.loop.iterations=1", "eval.n_train=4", "eval.n_validation=4", "eval.n_test=4", "eval.batch_size=7"]
    training = ["algo=ppo", "data=narrativeqa", "eval.probe_prompts=24", "eval.probe_samples=4", "tracking=none"]
    monkeypatch.setattr(sys, "argv", ["train.py", *training, *budget, f"paths.outputs={tmp_path}", "sweep.name=ppo"])
    train.main()
    (run,) = find_runs(tmp_path, "ppo")
    (look,) = find_runs(tmp_path, "preflight")
    before = run.prompts().query("phase == 'before'")
    assert before.equals(look.prompts().set_index(before.index))


@pytest.mark.slow
def test_an_interrupted_diagnosis_goes_on_where_it_was(diagnose, monkeypatch: pytest.MonkeyPatch) -> None:
    from rftlab.loops import diagnose as loop

    whole = diagnose(*SMALL, "sweep.name=whole")[0]
    answer, calls = loop.answer, []

    def dies(*arguments: object):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return answer(*arguments)

    monkeypatch.setattr(loop, "answer", dies)
    (whole / "DONE").rename(whole / "DONE.kept")  # otherwise the same key is done
    (whole / "status.json").unlink()
    with pytest.raises(SystemExit):
        diagnose(*SMALL, "sweep.name=broken")
    broken = diagnose(*SMALL, "sweep.name=broken")[0]
    runs = [find_runs(folder.parent.parent, folder.parent.name)[0] for folder in (whole, broken)]
    assert runs[0].prompts().equals(runs[1].prompts())
    assert len(calls) == 4  # batch 1, the death, batches 2 and 3


def test_help_and_bad_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["diagnose.py", "--help"])
    main(lambda folders, figures: 0)
    assert "n_prompts" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["diagnose.py", "algo=ppo"])
    with pytest.raises(SystemExit) as stop:
        main(lambda folders, figures: 0)
    assert stop.value.code == 2
    assert "; change algo" in capsys.readouterr().err


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run `-m` with the sampling left out: runs of the seeds `done` are finished, then the reports are asked for."""

    def run(*arguments: str, done: Sequence[int] = (), failed: int = 0, code: int = 0) -> tuple[list, list, object]:
        asked, places = [], []

        def sampled(_: Callable) -> None:
            for seed in done:
                words = [*map(diagnose_entry._long, SMALL), "algo=diagnose", f"seed={seed}", *where]
                (job,) = diagnose_entry._jobs(words)
                job.folder.mkdir(parents=True, exist_ok=True)
                (job.folder / "config.yaml").write_text(json.dumps(job.config))
                (job.folder / "DONE").write_text('{"final": {}}')
            if failed:
                sys.exit(failed)

        def report(folders: Sequence[Path], figures: Path) -> int:
            asked.extend(folders)
            places.append(figures)
            return code

        where = [f"paths.outputs={tmp_path / 'outputs'}", "sweep.name=preflight"]
        monkeypatch.setattr(train, "main", sampled)
        monkeypatch.setattr(sys, "argv", ["diagnose.py", "-m", *SMALL, *arguments, where[0]])
        try:
            main(report)
        except SystemExit as stop:
            return asked, places, stop.code
        return asked, places, 0

    return run


def seeds_of(folders: Sequence[Path]) -> list[int]:
    return [json.loads((folder / "config.yaml").read_text())["seed"] for folder in folders]


def test_a_sweep_reports_its_own_jobs_and_no_others_of_the_folder(sweep, tmp_path: Path) -> None:
    asked, places, code = sweep("seed=0,1", done=[0, 1, 2, 3])
    assert (seeds_of(asked), code) == ([0, 1], 0)
    assert places == [Path("figures")]
    asked, places, _ = sweep("seed=3", "paths.figures=elsewhere")
    assert seeds_of(asked) == [3] and places == [Path("elsewhere")]


def test_a_run_that_another_sweep_has_finished_is_reported_from_there(sweep) -> None:
    (there,) = sweep("seed=0", done=[0])[0]
    assert sweep("seed=0", "sweep.name=another")[0] == [there]


def test_a_dry_run_reports_nothing(sweep) -> None:
    sweep("seed=0", done=[0])
    assert sweep("seed=0", "sweep.dry_run=true")[0] == []


def test_what_is_not_finished_is_counted_and_the_failed_do_not_hide_the_others(
    sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, _, code = sweep("seed=0,1,2", done=[1], failed=1)
    assert (seeds_of(asked), code) == ([1], 1)
    assert "2 of 3 diagnoses are not finished" in capsys.readouterr().out
    assert sweep("seed=1", failed=130)[::2] == ([], 130)  # interrupted: nothing is reported


def test_the_exit_code_is_that_of_the_report(sweep) -> None:
    assert sweep("seed=0", done=[0], code=2)[2] == 2


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [["seed=0"], ["-m", "seed=0,1"]], ids=["one", "sweep"])
def test_the_command_ends_with_a_report_of_each_run(seeds: list[str], tmp_path: Path) -> None:
    places = [f"paths.outputs={tmp_path / 'outputs'}", f"paths.figures={tmp_path / 'figures'}"]
    command = [sys.executable, "src/diagnose.py", *seeds, *SMALL, *places]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    written = list((tmp_path / "figures").iterdir())
    assert {path.suffix for path in written} == {".html", ".png", ".pdf", ".csv"}
    assert len([path for path in written if path.suffix == ".html"]) == done.stdout.count("Verdict:") == len(seeds)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "metric", "low", "high"),
    [
        ("time_separation", "rft/slope", -2.05, -1.95),
        ("ppo_gradient", "ppo/max_ratio", 0.0, 1.0),
        ("gradient_bound", "bound/max_norm_over_std", 0.0, 0.5**0.5 + 1e-6),
    ],
)
def test_theory_runs_give_their_numbers_and_a_table(
    preset: str, metric: str, low: float, high: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [f"+experiment=theory/{preset}", f"paths.outputs={tmp_path}", "tracking=none"]
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    train.main()
    (run,) = find_runs(tmp_path)
    assert run.final is not None and low <= run.final[metric] <= high
    assert len(run.cases()) > 10


def test_a_report_that_cannot_be_written_is_one_line_and_keeps_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(folders: Sequence[Path], figures: Path) -> int:
        raise OSError(errno.EROFS, "Read-only file system", str(figures))

    few = ["data=narrativeqa", "n_prompts=4", "samples=2", "algo.loop.bound_prompts=0", "tracking=none"]
    monkeypatch.setattr(sys, "argv", ["diagnose.py", *few, f"paths.outputs={tmp_path}", "paths.figures=/readonly"])
    with pytest.raises(SystemExit) as stop:
        main(full)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "/readonly" in line and "paths.figures" in line
    assert [run.done for run in find_runs(tmp_path, "preflight")] == [True]


def test_a_sweep_over_data_of_a_config_dir_of_ones_own_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "my conf" / "data").mkdir(parents=True)
    own = (CONF / "data" / "imdb.yaml").read_text().split("\nscales:")[0].replace("name: imdb", "name: mine")
    (tmp_path / "my conf" / "data" / "mine.yaml").write_text(own)
    words = ["data=mine", "model=gpt2_mini", "seed=0,1", f"paths.outputs={tmp_path / 'outputs'}"]
    monkeypatch.setattr(train, "main", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["diagnose.py", "-m", "--config-dir", str(tmp_path / "my conf"), *words])
    main(lambda folders, figures: 0)
    assert "2 of 2 diagnoses are not finished" in capsys.readouterr().out


def test_a_search_of_diagnoses_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["diagnose.py", "-m", "hydra/sweeper=optuna", "n_prompts=interval(1,9)"])
    with pytest.raises(SystemExit) as stop:
        main(lambda folders, figures: 0)
    assert stop.value.code == 2
    assert "a search of diagnoses; expected " in capsys.readouterr().err
