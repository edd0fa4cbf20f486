"""The words follow the numbers, in both directions."""

from dataclasses import replace

import pytest

from analysis.summary.words import Cell, describe

FLAT_AND_STUCK = Cell(
    start=0.05, end=0.06, worst_end=0.05, best_end=0.07, vanishing=0.8, interval=(0.7, 0.9), stuck=0.75, n=3
)
MENDED = Cell(start=0.3, end=0.5, worst_end=0.45, best_end=0.55, vanishing=0.2, interval=(0.1, 0.3), stuck=0.1, n=3)
EXPLAINS = "this fits a reward that stays flat"
MENDS = "A little SFT mends it"


def text(alone: Cell, sft: Cell | None = None) -> str:
    return " ".join(describe("narrativeqa", "ppo", alone, sft))


def test_vanishing_gradients_explain_a_flat_reward_with_most_prompts_stuck() -> None:
    assert EXPLAINS in text(FLAT_AND_STUCK)


@pytest.mark.parametrize(
    ("alone", "said"),
    [
        (replace(FLAT_AND_STUCK, stuck=0.49), "do not explain the flat reward"),
        (replace(FLAT_AND_STUCK, end=0.11), "and yet the reward rises"),
        (replace(FLAT_AND_STUCK, end=0.5, stuck=0.1), "RFT alone works"),
        (replace(FLAT_AND_STUCK, start=0.2), "not a falling one"),
    ],
)
def test_other_numbers_get_other_words(alone: Cell, said: str) -> None:
    assert said in text(alone)
    assert EXPLAINS not in text(alone)


def test_sft_mends_when_it_leads_unsticks_prompts_and_rft_gains() -> None:
    assert MENDS in text(FLAT_AND_STUCK, MENDED)


@pytest.mark.parametrize(
    ("alone", "sft", "said"),
    [
        (FLAT_AND_STUCK, replace(MENDED, end=0.1), "does not clearly end higher"),
        (FLAT_AND_STUCK, replace(MENDED, worst_end=0.07), "does not clearly end higher"),
        (FLAT_AND_STUCK, replace(MENDED, start=0.46), "by the SFT alone: RFT changes the reward by +0.040"),
        (FLAT_AND_STUCK, replace(MENDED, stuck=0.7), "hardly lowers the share"),
        (replace(FLAT_AND_STUCK, start=0.0), MENDED, "not held flat by them"),
    ],
)
def test_sft_mends_nothing_when_one_condition_fails(alone: Cell, sft: Cell, said: str) -> None:
    assert said in text(alone, sft)
    assert MENDS not in text(alone, sft)


def test_a_single_seed_is_called_one() -> None:
    assert "1 seed;" in text(replace(FLAT_AND_STUCK, n=1))
