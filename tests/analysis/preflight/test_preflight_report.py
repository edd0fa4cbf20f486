"""The report of a folder: files, words, escapes, and what is refused."""

import io
import json
import math
import re
from html import unescape
from pathlib import Path

import diagnoses
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from analysis.preflight import __main__ as command
from analysis.preflight import contents as said
from analysis.preflight import page as html
from analysis.preflight import report, report_all, terminal
from analysis.preflight.reading import read
from analysis.preflight.report import contents_of

SCORES = diagnoses.scores_of(60, 10, 0.75, 0.1)
NAME = f"preflight-narrativeqa-t5_mini-{diagnoses.KEY}"


def reported(folder: Path, figures: Path, width: int = 100) -> tuple[list[Path], str]:
    """Make the whole report; return its paths and what was printed."""
    console = Console(width=width, file=io.StringIO())
    return report(folder, figures, console, np.random.default_rng(0)), console.file.getvalue()


def shown(folder: Path, width: int = 100) -> tuple[str, str]:
    """Return page and print of a folder, with nothing drawn."""
    console = Console(width=width, file=io.StringIO(), force_terminal=True, no_color=True)
    contents = contents_of(read(folder), np.random.default_rng(0))
    terminal.show(contents, console)
    return html.page(contents, []), console.file.getvalue()


def flat(text: str) -> str:
    """Undo line breaks, escapes and tags."""
    return " ".join(re.sub(r"<[^>]*>|\x1b\[[0-9;]*m", " ", unescape(text)).split())


def page(paths: list[Path]) -> str:
    return paths[0].read_text(encoding="utf-8")


def test_every_file_is_written_and_named(tmp_path: Path) -> None:
    folder = diagnoses.write(tmp_path, SCORES, cases=diagnoses.cases_of(SCORES, every=4))
    paths, printed = reported(folder, tmp_path / "figures")
    ends = [".html", ".pdf", ".png", ".csv", "-numbers.csv", "-cases.csv"]
    assert [path.name for path in paths] == [NAME + end for end in ends]
    assert sorted(paths) == sorted((tmp_path / "figures").iterdir())
    assert page(paths).count("data:image/png;base64,") == 4
    assert "http" not in page(paths) and "<script" not in page(paths)
    for text in (printed, unescape(page(paths))):
        assert "SFT first" in text and "not a paper's number" in " ".join(text.split())
        assert "heuristic=partial_sft" in text and diagnoses.KEY in text
    numbers = pd.read_csv(paths[4]).set_index("name")
    assert numbers.at["share_stuck", "value"] == 0.75
    assert numbers.at["share_stuck", "low"] < 0.75 < numbers.at["share_stuck", "high"]
    assert {"std_percentile_1", "std_percentile_50", "share_by_bound"} <= set(numbers.index)
    assert len(pd.read_csv(paths[3])) == 60 and len(pd.read_csv(paths[5])) == 15


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = diagnoses.write(tmp_path, SCORES, cases=diagnoses.cases_of(SCORES))
    first, _ = reported(folder, tmp_path / "a")
    second, _ = reported(folder, tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_what_was_sampled_is_escaped_in_the_page_and_plain_on_the_terminal(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script> [red]loud[/red] \x1b[2J \ud800 \u202e tail {j}"
    folder = diagnoses.write(tmp_path, SCORES, response=evil, prompt="<img src=x> & [/bold]")
    written, printed = shown(folder, width=200)
    assert "<script" not in written and "<img src=x" not in written
    assert "&lt;script&gt;alert(&#39;x&#39;)" in written
    assert "[red]loud[/red]" in printed and "[/bold]" in printed
    assert "\x1b[2J" not in printed and "\u202e" not in printed


def test_long_texts_keep_the_terminal_in_its_width(tmp_path: Path) -> None:
    long = "a" * 3000 + " b" * 2000
    changes = {"model__name": "m" * 150, "data__name": "d" * 90}
    folder = diagnoses.write(tmp_path, SCORES, response=long, prompt=long, **changes)
    _, printed = shown(folder, width=80)
    lines = [
        line for line in re.sub(r"\x1b\[[0-9;]*m", "", printed).splitlines() if "python src/" not in line
    ]  # commands are not broken
    assert max(map(len, lines)) <= 80
    headers = [line.split() for line in lines if line.split()[1:] == ["prompts"]]
    assert headers == [["std", "prompts"], ["mean", "prompts"]]  # one histogram below the other


def test_without_measured_gradients_the_rest_is_there(tmp_path: Path) -> None:
    paths, printed = reported(diagnoses.write(tmp_path, SCORES), tmp_path / "figures")
    assert len(paths) == 5 and page(paths).count("data:image/png;base64,") == 3
    assert "Measured gradients" not in page(paths) and "by bound" not in printed


def test_gradients_without_a_jacobian_are_shown_without_bounds(tmp_path: Path) -> None:
    unknown = dict.fromkeys(["jacobian_norm", "bound_std", "bound_two_thirds", "grad_error"], math.nan)
    folder = diagnoses.write(tmp_path, SCORES, cases=diagnoses.cases_of(SCORES).assign(**unknown))
    paths, printed = reported(folder, tmp_path / "figures")
    assert "Measured gradients" in printed and "by bound" not in printed
    assert "nan" not in page(paths).partition("Measured gradients")[2].partition("<img")[0]


def test_prompts_without_samples_still_get_numbers_and_a_verdict(tmp_path: Path) -> None:
    folder = diagnoses.write(tmp_path, SCORES)
    (folder / "samples.jsonl").write_text("")
    written, printed = shown(folder)
    assert "Verdict: SFT first" in printed and "No prompt has all its samples" in " ".join(printed.split())
    assert "Smallest reward std" not in written


@pytest.mark.parametrize(
    ("scores", "said_so"),
    [
        (np.zeros((60, 10)), "a denser reward"),
        (np.ones((60, 10)), "little to gain"),
        (np.array([[0.0, 1.0] * 5]), "RFT alone"),
        (np.zeros((1, 10)), "a denser reward"),
        (np.array([[0.3]]), "little to gain"),
        (-5.0 + np.arange(40.0).reshape(4, 10), "RFT alone"),
    ],
)
def test_degenerate_scores_are_reported(tmp_path: Path, scores: np.ndarray, said_so: str) -> None:
    folder = diagnoses.write(tmp_path, scores, cases=diagnoses.cases_of(scores))
    paths, printed = reported(folder, tmp_path / "figures")
    assert len(paths) == 6
    assert said_so in printed or "not decided" in printed


def test_prompts_with_nan_scores_are_counted_and_left_out(tmp_path: Path) -> None:
    scores = SCORES.copy()
    scores[-1, 3] = math.nan
    scores[-2, 0] = math.inf
    with np.errstate(invalid="ignore"):
        folder = diagnoses.write(tmp_path, scores)
    paths, printed = reported(folder, tmp_path / "figures")
    assert "2 prompts with a NaN or infinite score" in printed and "58 prompts x 10" in printed
    assert len(pd.read_csv(paths[3])) == 58


def test_a_resumed_run_counts_its_last_samples(tmp_path: Path) -> None:
    folder = diagnoses.write(tmp_path, SCORES)
    lines = (folder / "samples.jsonl").read_text().splitlines(keepends=True)
    torn = [json.dumps(json.loads(line) | {"response": "of the first attempt"}) + "\n" for line in lines[:15]]
    (folder / "samples.jsonl").write_text("".join(torn + lines))
    written, _ = shown(folder)
    assert "of the first attempt" not in written


def test_the_report_says_what_the_verdict_stands_on(tmp_path: Path) -> None:
    for text in map(flat, shown(diagnoses.write(tmp_path / "a", SCORES))):
        assert "rules of thumb, not calibrated" in text and "interval [0, 1]" in text
        assert "leave that interval" not in text
    wide = {"algo__loop__reward_low": -10.0, "algo__loop__reward_high": 40.0}
    outside = -5.0 + 35.0 * SCORES
    assert "A std below 2.5 counts as vanishing" in flat(shown(diagnoses.write(tmp_path / "b", outside, **wide))[1])
    for text in map(flat, shown(diagnoses.write(tmp_path / "c", outside))):
        assert "Scores from -5 to" in text and "leave that interval" in text
    free = {"algo__loop__reward_low": None, "algo__loop__reward_high": None}
    for text in map(flat, shown(diagnoses.write(tmp_path / "d", outside, **free))):
        assert "A std below 0.05 counts as vanishing: eval.std_below, in units of a reward that has no interval" in text
        assert "leave that interval" not in text


def test_gradients_of_equal_scores_are_zero_by_the_sample(tmp_path: Path) -> None:
    cases = diagnoses.cases_of(SCORES)
    n_alike = int((cases["reward_std"] == 0).sum())
    assert 0 < n_alike < len(cases)
    for text in map(flat, shown(diagnoses.write(tmp_path / "some", SCORES, cases=cases))):
        assert text.count("0 by the sample") == n_alike and "0 ± 0" not in text
        assert f"All 32 responses to {n_alike} of these prompts scored the same" in text
        assert "probability up to 9%" in text  # 1 - 0.05^(1/32)
    all_zero = diagnoses.cases_of(np.zeros((60, 10)))
    for text in map(flat, shown(diagnoses.write(tmp_path / "all", np.zeros((60, 10)), cases=all_zero))):
        assert "by bound" not in text and "not above its own error" in text


def test_overrides_of_the_diagnosis_are_in_the_commands(tmp_path: Path) -> None:
    kept = {"seed": 7, "overrides": ["data=narrativeqa", "data.rollout.temperature=0.7", "algo.loop.reward_high=2.0"]}
    found = contents_of(read(diagnoses.write(tmp_path, SCORES, **kept)), np.random.default_rng(0))
    alone, first, grid = (line for _, line in found.commands)
    for line in (alone, first, grid):
        assert "seed=7" in line and "data.rollout.temperature=0.7" in line and "reward_high" not in line
    few = diagnoses.write(tmp_path / "few", diagnoses.scores_of(12, 10, 0.5, 0), **kept)
    ((_, more),) = contents_of(read(few), np.random.default_rng(0)).commands
    assert "seed=7" in more and "algo.loop.reward_high=2.0" in more and "samples=10" in more


def test_a_run_without_a_record_of_its_overrides_is_warned_about(tmp_path: Path) -> None:
    for text in map(flat, shown(diagnoses.write(tmp_path / "old", SCORES, overrides=None))):
        assert "kept no record of its overrides" in text and "data.rollout.temperature=1.0" in text
    assert "kept no record" not in flat(shown(diagnoses.write(tmp_path / "new", SCORES))[1])


def test_the_header_names_a_finetuned_policy_and_a_cut_vocabulary(tmp_path: Path) -> None:
    changes = {"init_from": "abcdefabcdef", "data__rollout__top_k": 50, "data__rollout__top_p": 0.9}
    changes["data__rollout__min_new_tokens"] = 5
    _, printed = shown(diagnoses.write(tmp_path, SCORES, **changes))
    assert "the weights of run abcdefabcdef" in printed and "top_k 50, top_p 0.9, 5 to 24 new tokens" in printed


# --- small things -------------------------------------------------------------------------------------------------


def test_the_threshold_is_an_edge_of_the_histogram() -> None:
    for largest in (0.0, 0.02, 0.3, 0.49, 7.0):
        edges = said.std_edges(largest, 0.05, 24)
        assert np.isclose(edges, 0.05).any() and edges[0] == 0 and edges[-1] > largest and len(edges) < 60
        assert (np.diff(edges) > 1e-6).all()


def test_bins_of_means_hold_all_of_them() -> None:
    for means in ([0.5], [0.0], [-3.0, 4.0], [0.1, 0.9], [1e6, 1e6 + 1]):
        edges = said.mean_edges(np.array(means), 10)
        assert edges[0] <= min(means) and edges[-1] >= max(means) and len(edges) < 40


def test_bars_are_proportional_and_never_vanish() -> None:
    assert said.bar(1.0, 4) == "████" and said.bar(0.5, 4) == "██" and said.bar(0.0, 4) == ""
    assert said.bar(1e-6, 4) == "▏" and said.bar(0.125 + 0.25, 4) == "█▌"


def test_shortening_keeps_both_ends() -> None:
    assert said.shorten("a  b\n\tc\x00d", 20) == "a b c d"
    short = said.shorten("begin " + "x" * 500 + " end", 40)
    assert short.startswith("begin") and short.endswith("end") and len(short) <= 41


# --- the command --------------------------------------------------------------------------------------------------


def test_the_command_reports_on_several_folders(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folders = [str(diagnoses.write(tmp_path / name, SCORES, model__name=name)) for name in ("one", "two")]
    assert command.main([*folders, "--figures", str(tmp_path / "figures")]) == 0
    printed = capsys.readouterr().out.replace("\n", "")
    assert f"preflight-narrativeqa-one-{diagnoses.KEY}.html" in printed
    assert len(list((tmp_path / "figures").glob("*.html"))) == 2


def spoil(folder: Path, how: str) -> Path:
    if how == "no folder":
        return folder / "nowhere"
    if how == "no prompts":
        (folder / "prompts.parquet").unlink()
    if how == "a key is missing":
        (folder / "DONE").write_text('{"final": {}}')
    return folder


@pytest.mark.parametrize(
    ("how", "changes"),
    [
        ("no folder", {}),
        ("no prompts", {}),
        ("a key is missing", {}),
        ("another algorithm", {"algo__name": "ppo"}),
        ("not done", {"done": False}),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    how: str, changes: dict, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = spoil(diagnoses.write(tmp_path, SCORES, **changes), how)
    assert command.main([str(folder), "--figures", str(tmp_path / "figures")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1 and "; expected " in captured.err and "; change " in captured.err


def test_only_nan_scores_and_a_file_for_a_folder_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = diagnoses.write(tmp_path, np.full((3, 4), math.nan))
    assert command.main([str(folder)]) == 2
    assert "none with finite scores" in capsys.readouterr().err
    good = diagnoses.write(tmp_path / "good", SCORES)
    (tmp_path / "file").write_text("")
    assert command.main([str(good), "--figures", str(tmp_path / "file")]) == 2
    assert "which is a file" in capsys.readouterr().err


def test_a_bad_folder_does_not_keep_the_others_from_their_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    good = diagnoses.write(tmp_path, SCORES)
    assert report_all([tmp_path / "nowhere", good], tmp_path / "figures") == 2
    captured = capsys.readouterr()
    assert "no run in" in captured.err and "Verdict: SFT first" in captured.out


def test_noisy_gradients_are_called_noisy(tmp_path: Path) -> None:
    cases = diagnoses.cases_of(SCORES)
    folder = diagnoses.write(tmp_path / "a", SCORES, cases=cases.assign(grad_error=0.8 * cases["grad_norm"]))
    assert "80% of its norm" in " ".join(shown(folder)[1].split())
    assert "of its norm" not in shown(diagnoses.write(tmp_path / "b", SCORES, cases=cases))[1]
