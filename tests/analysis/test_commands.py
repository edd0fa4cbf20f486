"""The commands: what they write, say and return; and the notebook."""

import os
import subprocess
import sys
from pathlib import Path

import builder
import pytest

from analysis import learned, make_figures

ROOT = Path(__file__).parents[2]


def draw(outputs: Path, figures: Path, *more: str) -> int:
    return make_figures.main(["--outputs", str(outputs), "--figures", str(figures), *more])


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Return an outputs folder with PPO and APA on one dataset."""
    for algo in ("ppo", "apa"):
        builder.write_run(tmp_path / "outputs", builder.config("imdb", algo, "none", 0))
    return tmp_path / "outputs"


def test_every_figure_is_written_in_three_formats_and_named(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert draw(small, tmp_path / "figures") == 0
    written = sorted((tmp_path / "figures").iterdir())
    suffixes = {path.stem: {other.suffix for other in written if other.stem == path.stem} for path in written}
    for name, of_name in suffixes.items():
        assert of_name == ({".csv", ".md", ".tex"} if name.startswith("table_") else {".csv", ".pdf", ".png"})
    assert "learning_curves-imdb-gpt2_mini-mini-bundled" in suffixes and "table_correlations-mini-bundled" in suffixes
    printed = capsys.readouterr().out
    assert all(str(path) in printed for path in written)
    assert "python src/train.py -m algo=ppo,apa data=narrativeqa" in printed


def test_strict_fails_where_something_is_missing_and_only_there(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_figures, "write", lambda each, folder: [folder / each.name])
    assert draw(small, tmp_path / "figures", "--strict", "--sweep", "default") == 1  # no SFT beside PPO and APA
    builder.write_run(small, builder.config("imdb", "sft", "none", 0))
    assert draw(small, tmp_path / "figures", "--strict") == 1
    assert draw(small, tmp_path / "figures", "--strict", "--sweep", "default") == 0


def test_nothing_to_draw_is_a_failure_that_says_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert draw(tmp_path, tmp_path / "figures") == 1
    assert "python src/train.py -m algo=ppo,apa data=imdb" in capsys.readouterr().out


@pytest.mark.parametrize("command", [make_figures.main, learned.main])
@pytest.mark.parametrize("arguments", [["--outputs", "nowhere"], ["--sweep", "typo"]])
def test_bad_input_is_one_line_and_exit_code_2(
    command, arguments: list[str], small: Path, capsys: pytest.CaptureFixture
) -> None:
    assert command(["--outputs", str(small), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1 and "; expected " in captured.err and "; change " in captured.err


@pytest.mark.parametrize("module", [make_figures, learned])
def test_help_explains_every_option(module, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        module.main(["--help"])
    assert stopped.value.code == 0
    assert "--outputs" in capsys.readouterr().out


def test_learned_prints_each_cell_and_the_words_its_numbers_earn(outputs: Path, capsys: pytest.CaptureFixture) -> None:
    assert learned.main(["--outputs", str(outputs)]) == 0
    printed = capsys.readouterr().out
    assert "NarrativeQA  ·  model t5_mini  ·  scale mini  ·  bundled data" in printed
    assert printed.count("is no comparison, so nothing is concluded") == 2  # 2 seeds against 3, and 3 against 2
    assert "narrativeqa-ppo-partial_sft seed 1" in printed and "is failed" in printed
    assert "make dashboard" in printed


@pytest.mark.parametrize("seeds", [1, 3])
def test_learned_concludes_from_seeds_that_can_tell_and_names_both_decodings(
    seeds: int, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    rollout = {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
    for seed in range(seeds):
        for heuristic in ("none", "partial_sft"):
            resolved = builder.config("narrativeqa", "ppo", heuristic, seed, data__rollout=rollout)
            resolved["data"]["evaluation"] = {"num_beams": 4}
            builder.write_run(tmp_path, resolved)
    assert learned.main(["--outputs", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert ("A little SFT mends it" in printed) == (seeds == 3)
    assert ("1 seed against 1 is no comparison" in printed) == (seeds == 1)
    assert "train reward (sampled)" in printed and "test reward (4 beams)" in printed
    header = printed[: printed.index("ppo")].split()
    assert {"sampled", "beams", "reward,"} <= set(header)  # of the table, in two lines where it has to be


def test_learned_works_without_per_prompt_statistics_and_online_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = builder.write_run(tmp_path, builder.config("imdb", "sft", "none", 0))
    (folder / "prompts.parquet").unlink()
    (folder / "metrics.jsonl").write_text(builder.log_lines([(0, {"eval/test/reward": 0.25})]))
    assert learned.main(["--outputs", str(tmp_path)]) == 0
    assert "0.250→0.250" in capsys.readouterr().out


def test_learned_refuses_a_sweep_without_a_finished_run(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    builder.write_run(tmp_path, builder.config("imdb", "ppo", "none", 0), state="failed")
    assert learned.main(["--outputs", str(tmp_path)]) == 2
    assert "no finished run" in capsys.readouterr().err


@pytest.mark.slow
def test_the_notebook_runs_as_a_script_from_another_folder(outputs: Path, tmp_path: Path) -> None:
    environment = os.environ | {"RFTLAB_OUTPUTS": str(outputs), "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT / "src")}
    script = str(ROOT / "analysis/notebooks/first_sweep.py")
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "is no comparison, so nothing is concluded" in done.stdout
