"""The numbers of the spectrum of diagnoses, against values worked out by hand."""

import math
from pathlib import Path

import kinds
import pandas as pd
import pytest
import yaml

from analysis import load
from analysis.statistics.frames import Frames
from analysis.statistics.spectrum import reward_name, spectrum

ROLLOUT, STDS = kinds.ROLLOUT, kinds.STDS
diagnose = kinds.write_diagnosis


def frames_of(outputs: Path) -> Frames:
    return Frames(load.load_runs(outputs), pd.DataFrame(), load.load_prompts(outputs), pd.DataFrame())


def test_a_diagnosis_in_numbers_worked_out_by_hand(tmp_path: Path) -> None:
    diagnose(tmp_path)
    (row,) = spectrum(frames_of(tmp_path)).to_dict("records")
    assert (row["data"], row["model"], row["reward"]) == ("narrativeqa", "t5_mini", "meteor")
    assert (row["n_prompts"], row["n_samples"], row["responses"]) == (10, 10, "at most 32 tokens, T=1")
    assert row["reward_mean"] == pytest.approx(0.45) and row["median_std"] == pytest.approx(0.08)
    assert row["share"] == pytest.approx(0.3)  # 0.05 itself does not vanish
    assert row["share_low"] == pytest.approx(2 / 3)  # of the three, two have a mean below 0.15
    assert 0 <= row["low"] < 0.3 < row["high"] < 1 and not row["whole"]


def test_the_threshold_is_that_of_the_run(tmp_path: Path) -> None:
    wide, none = {"reward_low": -5.0, "reward_high": 5.0}, {"reward_low": None, "reward_high": None}
    diagnose(tmp_path, algo__loop=wide)
    diagnose(tmp_path, algo__loop=none)
    shares = spectrum(frames_of(tmp_path)).set_index("std_below")["share"].to_dict()
    assert shares == pytest.approx({0.5: 1.0, 0.05: 0.3})


def test_there_is_no_interval_where_every_prompt_was_sampled_and_no_share_of_nothing(tmp_path: Path) -> None:
    diagnose(tmp_path, n_train=10, stds=[0.2] * 10)
    (row,) = spectrum(frames_of(tmp_path)).to_dict("records")
    assert row["whole"] and math.isnan(row["low"]) and row["share"] == 0 and math.isnan(row["share_low"])


def test_prompts_without_a_finite_std_are_counted_and_left_out(tmp_path: Path) -> None:
    diagnose(tmp_path, stds=[*STDS[:9], math.inf])
    diagnose(tmp_path, stds=[math.nan] * 10, data="imdb")
    (row,) = spectrum(frames_of(tmp_path)).to_dict("records")
    assert (row["n_prompts"], row["n_nonfinite"]) == (9, 1) and row["median_std"] == pytest.approx(0.06)


def test_how_responses_were_drawn(tmp_path: Path) -> None:
    diagnose(tmp_path, data__rollout=ROLLOUT | {"temperature": 0.7, "top_k": 50})
    diagnose(tmp_path, data__rollout=ROLLOUT | {"top_k": 20})
    assert set(spectrum(frames_of(tmp_path))["responses"]) == {
        "at most 32 tokens, T=0.7, top_k 50", "at most 32 tokens, T=1, top_k 20",
    }  # fmt: skip


@pytest.mark.parametrize("option", sorted((Path(__file__).parents[2] / "conf" / "reward").glob("*.yaml")))
def test_a_reward_is_called_as_its_option(option: Path) -> None:
    target = yaml.safe_load(option.read_text()).get("_target_")  # absent where the file only changes another option
    if target is not None:
        assert reward_name({"reward._target_": target}) == {"classifier": "text_classifier"}.get(
            option.stem, option.stem
        )


def test_a_function_of_the_users_own_is_called_as_it_is_written() -> None:
    assert reward_name({"reward._target_": "/home/me/judge.py:fn"}) == "judge.py:fn"
