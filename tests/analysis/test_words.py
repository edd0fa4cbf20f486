"""The words follow the numbers, in both directions, and name decodings and seeds."""

from dataclasses import replace
from math import nan

import pytest

from analysis.summary.words import Cell, Reward, describe


def cell(train: tuple[float, float], test: tuple[float, float], **more: object) -> Cell:
    values: dict = {"worst_end": train[1] - 0.01, "best_end": train[1] + 0.01, "n": 3} | more
    return Cell(Reward(*train, "sampled"), test=Reward(*test, "4 beams"), **values)


STUCK: dict = {"vanishing": 0.8, "interval": (0.7, 0.9), "stuck": 0.75}
FREE: dict = {"vanishing": 0.2, "interval": (0.1, 0.3), "stuck": 0.1}
FLAT_AND_STUCK = cell((0.05, 0.06), (0.05, 0.06), **STUCK)
MENDED = cell((0.3, 0.5), (0.3, 0.5), **FREE)
FALLS_UNDER_BEAMS = cell((0.091, 0.151), (0.248, 0.228), **FREE)  # as the quickstart did
EXPLAINS = "this fits a reward that stays flat"
MENDS = "A little SFT mends it"


def text(alone: Cell, sft: Cell | None = None) -> str:
    return " ".join(describe("narrativeqa", "ppo", alone, sft))


def test_vanishing_gradients_explain_a_flat_reward_with_most_prompts_stuck() -> None:
    assert EXPLAINS in text(FLAT_AND_STUCK)


@pytest.mark.parametrize(
    ("alone", "said"),
    [
        (replace(FLAT_AND_STUCK, stuck=0.49), "Most prompts have an expected gradient near zero, but fewer than half"),
        (cell((0.05, 0.06), (0.05, 0.06), **FREE), "Most prompts do give a gradient, so vanishing gradients do not"),
        (cell((0.5, 0.9), (0.05, 0.06), **STUCK | {"stuck": 0.1}), "near zero, and yet the reward rises"),
        (cell((0.05, 0.11), (0.05, 0.06), **STUCK), "and yet the reward rises"),
        (cell((0.05, 0.5), (0.05, 0.06), **FREE), "Most prompts give a gradient, and the reward rises"),
        (cell((0.2, 0.06), (0.05, 0.06), **STUCK), "not a falling one"),
    ],
)
def test_other_numbers_get_other_words(alone: Cell, said: str) -> None:
    assert said in text(alone)
    assert EXPLAINS not in text(alone)


def test_sft_mends_when_it_leads_unsticks_prompts_and_rft_gains() -> None:
    said = text(FLAT_AND_STUCK, MENDED)
    assert MENDS in said
    assert "All 3 seeds with SFT first end above all 3 of RFT alone" in said and "1 of 20 cases" in said


@pytest.mark.parametrize(
    ("alone", "sft", "said"),
    [
        (FLAT_AND_STUCK, cell((0.05, 0.1), (0.3, 0.5), **FREE), "does not clearly end higher"),
        (FLAT_AND_STUCK, replace(MENDED, worst_end=0.06), "does not clearly end higher"),
        (FLAT_AND_STUCK, cell((0.46, 0.5), (0.3, 0.5), **FREE), "by the SFT alone: RFT changes that reward by +0.040"),
        (FLAT_AND_STUCK, replace(MENDED, stuck=0.7), "hardly lowers the share"),
        (cell((0.0, 0.06), (0.05, 0.06), **STUCK), MENDED, "not held flat by them"),
        (FLAT_AND_STUCK, FALLS_UNDER_BEAMS, "but not the test reward: -0.020 under 4 beams"),
        (FLAT_AND_STUCK, cell((0.3, 0.5), (nan, nan), **FREE), "but not the test reward: unknown under 4 beams"),
    ],
)
def test_sft_mends_nothing_when_one_condition_fails(alone: Cell, sft: Cell, said: str) -> None:
    assert said in text(alone, sft)
    assert MENDS not in text(alone, sft)


@pytest.mark.parametrize(
    ("seeds_alone", "seeds_sft", "cases"), [(1, 1, 2), (3, 1, 4), (1, 3, 4), (2, 2, 6), (2, 3, 10)]
)
def test_too_few_seeds_are_no_comparison_whatever_their_numbers(seeds_alone: int, seeds_sft: int, cases: int) -> None:
    said = text(replace(FLAT_AND_STUCK, n=seeds_alone), replace(MENDED, n=seeds_sft))
    assert "is no comparison, so nothing is concluded" in said and f"1 of {cases} cases" in said
    assert MENDS not in said and "higher" not in said


def test_both_decodings_and_the_seeds_stand_beside_every_reward() -> None:
    said = text(replace(FLAT_AND_STUCK, n=1), replace(FALLS_UNDER_BEAMS, n=1))
    assert "alone (1 seed): train reward (sampled) 0.050 to 0.060, test reward (4 beams) 0.050 to 0.060" in said
    assert "from there (1 seed): train reward (sampled) 0.091 to 0.151, test reward (4 beams) 0.248 to 0.228" in said
    assert "This is one run" in said
    assert "This is one run" not in text(FLAT_AND_STUCK)


def test_where_every_train_prompt_was_sampled_there_is_no_interval_over_prompts() -> None:
    assert "(all train prompts)" in text(replace(FLAT_AND_STUCK, interval=(nan, nan)))
