"""The part of the page of datasets that diagnoses give: lines are those of the runs, and stay when these are gone."""

import pandas as pd
import pytest

from rftlab.commands import datasets, spectrum

ROW = {
    "data": "commongen", "source": "mirror", "scale": "mini", "model": "t5_mini", "reward": "meteor", "n_prompts": 100,
    "n_samples": 10, "responses": "at most 32 tokens, T=1", "reward_mean": 0.25134, "median_std": 0.0801,
    "whole": False, "share": 0.07, "low": 0.03, "high": 0.12, "share_low": 4 / 7, "run_keys": "975a368fb4e2",
}  # fmt: skip
LINE = (
    "| commongen | mirror | mini | t5_mini | meteor | 100 | 10 | at most 32 tokens, T=1 | 0.251 | 0.080 | 7 % [3, 12] "
    "| 57 % | `975a368fb4e2` |"
)


def test_a_line_says_what_the_run_found():
    assert spectrum._line(ROW) == LINE
    whole = spectrum._line(ROW | {"whole": True, "share": 0.0, "share_low": float("nan")})
    assert "| 0 % | - |" in whole


def test_a_newer_diagnosis_replaces_the_line_of_its_cell_alone():
    other = LINE.replace("meteor", "rouge")
    page = "\n".join(spectrum.section([LINE, other], []))
    newer = LINE.replace("975a368fb4e2", "aaaaaaaaaaaa")
    assert spectrum.joined(page, [newer]) == [newer, other]
    assert spectrum.joined(page, []) == [LINE, other]
    assert spectrum.joined("", [LINE]) == [LINE]


@pytest.mark.parametrize(("names", "missing"), [(["commongen", "imdb"], "imdb (mirror, mini)"), (["commongen"], None)])
def test_cells_without_a_diagnosis_are_named(names: list[str], missing: str | None):
    said = spectrum.section([LINE], [(name, source) for name in names for source in ("bundled", "mirror")])
    assert said[-1] == LINE if missing is None else said[-2:] == [f"No diagnosis here: {missing}.", spectrum.WHY]


def test_the_name_that_real_rows_add_is_no_other_dataset():
    line = LINE.replace("| commongen ", "| commongen-common_gen ")
    assert spectrum.section([line], [("commongen", "mirror")])[-1] == line


def test_the_page_keeps_its_own_lines_of_diagnoses():
    page = datasets.PAGE.read_text()
    lines = spectrum.joined(page, [])
    assert lines and all(len(spectrum._cells(line)) == len(spectrum.COLUMNS) for line in lines)
    assert page.partition(spectrum.TITLE)[2].count("\n| ") == len(lines) + 2


def test_lines_are_read_from_the_folder_of_a_sweep(tmp_path, monkeypatch: pytest.MonkeyPatch):
    from analysis.statistics import spectrum as statistics

    def told(frames: object) -> pd.DataFrame:
        return pd.DataFrame([ROW])

    (tmp_path / "sweep").mkdir()
    monkeypatch.setattr(statistics, "spectrum", told)
    assert spectrum.diagnosed(tmp_path / "sweep") == [LINE]
