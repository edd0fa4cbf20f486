"""The rules of the verdict, case by case, and the commands that follow."""

from dataclasses import replace

import pytest

from analysis.preflight.commands import commands
from analysis.preflight.reading import Setting
from analysis.preflight.verdict import BASIS, FEW, MANY, Kind, Numbers, Verdict, judge, prompts_needed, sft_share
from rftlab.intervals import Estimate


def share(value: float, half: float = 0.04) -> Estimate:
    return Estimate(value, max(0.0, value - half), min(1.0, value + half))


def numbers(stuck: float, solved: float = 0.0, half: float = 0.04, **more) -> Numbers:
    kinds = {"vanishing": share(stuck + solved, half), "stuck": share(stuck, half), "solved": share(solved, half)}
    return Numbers(**({"n_prompts": 500, "n_samples": 10, "n_train": 4000, "solved_gap": 0.05} | kinds | more))


def text(verdict: Verdict) -> str:
    return " ".join(verdict.sentences)


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        (numbers(0.0), Kind.RFT_ALONE),
        (numbers(0.05), Kind.RFT_ALONE),
        (numbers(0.099), Kind.RFT_ALONE),
        (numbers(0.1), Kind.RFT_ON_THE_REST),
        (numbers(0.358, solved=0.058), Kind.RFT_ON_THE_REST),  # real IMDB rows: PPO alone rises from 0.439 to 0.573
        (numbers(0.49), Kind.RFT_ON_THE_REST),
        (numbers(0.3, has_targets=False), Kind.RFT_ON_THE_REST),
        (numbers(0.5), Kind.SFT_FIRST),
        (numbers(0.65), Kind.SFT_FIRST),  # bundled NarrativeQA: RFT alone stays flat
        (numbers(0.8), Kind.SFT_FIRST),
        (numbers(0.8, has_targets=False), Kind.DENSER_REWARD),
        (numbers(0.02, solved=0.49), Kind.RFT_ALONE),
        (numbers(0.02, solved=0.5), Kind.LITTLE_TO_GAIN),
        (numbers(0.3, solved=0.6), Kind.SFT_FIRST),
        (numbers(0.02, solved=0.6, solved_gap=0.5), Kind.SFT_FIRST),
        (numbers(0.02, solved=0.6, solved_gap=0.5, has_targets=False), Kind.DENSER_REWARD),
        (numbers(0.02, solved=0.05, solved_gap=0.5), Kind.RFT_ALONE),
        (numbers(0.97, one_score=0.96, distinct=0.9), Kind.DENSER_REWARD),
        (numbers(0.97, one_score=0.94, distinct=0.9), Kind.SFT_FIRST),
        (numbers(0.97, one_score=0.96, distinct=0.2), Kind.SFT_FIRST),
        (numbers(0.0, solved=0.97, one_score=0.96, distinct=0.9, mean_is_low=False), Kind.LITTLE_TO_GAIN),
    ],
)
def test_the_kind_follows_from_the_numbers(case: Numbers, kind: Kind) -> None:
    assert judge(case).kind is kind


def test_without_a_low_reward_every_vanishing_prompt_counts() -> None:
    verdict = judge(replace(numbers(0.0), vanishing=share(0.6), stuck=None, solved=None))
    assert verdict.kind is Kind.SFT_FIRST
    assert "the data names no low reward" in text(verdict)


def test_an_interval_with_two_verdicts_in_it_asks_for_more_prompts() -> None:
    verdict = judge(numbers(0.15, half=0.12, n_prompts=40))
    assert verdict.kind is Kind.UNDECIDED
    assert verdict.n_prompts == 200  # 0.15 * 0.85 * (1.96 / 0.05)^2 = 196
    assert f"“{Kind.RFT_ALONE}” or “{Kind.RFT_ON_THE_REST}”" in text(verdict) and "n_prompts=200" in text(verdict)
    assert judge(numbers(0.45, half=0.12, n_prompts=60)).kind is Kind.UNDECIDED


def test_a_wide_interval_with_one_verdict_decides() -> None:
    assert judge(numbers(0.75, half=0.2, n_prompts=20)).kind is Kind.SFT_FIRST


def test_a_narrow_interval_around_the_limit_decides_and_says_so() -> None:
    verdict = judge(numbers(0.11))
    assert verdict.kind is Kind.RFT_ON_THE_REST
    assert "limit of 10%, so this is a close call" in text(verdict)
    assert "limit of 50%, so this is a close call" in text(judge(numbers(0.48)))
    assert "limit of 40%, so this is a close call" in text(judge(numbers(0.41, solved=0.2)))  # half of the unsolved
    assert "close call" not in text(judge(numbers(0.3))) and "close call" not in text(judge(numbers(0.7)))


def test_where_the_data_has_no_more_prompts_more_samples_are_asked_for() -> None:
    verdict = judge(numbers(0.15, half=0.12, n_prompts=40, n_train=40))
    assert verdict.kind is Kind.UNDECIDED
    assert (verdict.n_prompts, verdict.n_samples) == (None, 20)
    assert "not all samples are in the run folder" in text(verdict)
    some = judge(numbers(0.15, half=0.12, n_prompts=38, n_train=40, all_sampled=True))  # two prompts scored NaN
    assert (some.kind, some.n_prompts, some.n_samples) == (Kind.UNDECIDED, None, 20)
    assert "10 samples do not tell" in text(some)


def test_the_middle_verdict_says_what_rft_can_do_and_compares() -> None:
    verdict = judge(numbers(0.36))
    assert verdict.sft_share == 0.4
    assert "has a gradient on the other prompts" in text(verdict) and "compare" in text(verdict)
    without = judge(numbers(0.36, has_targets=False))
    assert without.sft_share is None and "no gold texts" in text(without)


def test_the_limits_lie_between_the_cases_that_they_stand_on() -> None:
    assert FEW < 0.358 < MANY < 0.65
    assert "not calibrated" in BASIS and all(case in BASIS for case in ("36 %", "65 %", "82 %", "0.439 to 0.573"))


def test_a_share_that_still_falls_with_the_samples_asks_for_more_of_them() -> None:
    verdict = judge(numbers(0.14, drop=0.06))
    assert verdict.kind is Kind.UNDECIDED
    assert verdict.n_samples == 20 and "fell by 6%" in text(verdict)
    assert judge(numbers(0.14, drop=0.04)).kind is Kind.RFT_ON_THE_REST
    assert judge(numbers(0.4, drop=0.2)).kind is Kind.RFT_ON_THE_REST
    assert judge(numbers(0.6, drop=0.2)).kind is Kind.UNDECIDED
    assert judge(numbers(0.8, drop=0.2)).kind is Kind.SFT_FIRST


@pytest.mark.parametrize(
    ("held", "n_train", "expected"),
    [
        *[(0.1, 100_000, 0.1), (0.12, 100_000, 0.2), (0.36, 4000, 0.4), (0.65, 4000, 0.4), (1.0, 4000, 0.4)],
        *[(0.1, 600, 0.2), (0.02, 600, 0.2), (0.8, 400, 0.4), (0.1, 200, 1.0), (0.8, 60, 1.0)],
    ],
)
def test_the_share_of_sft_is_about_the_held_prompts_from_100_prompts_to_40_percent(
    held: float, n_train: int, expected: float
) -> None:
    assert sft_share(held, n_train) == expected


def test_more_prompts_are_at_least_twice_as_many_and_at_most_all() -> None:
    assert prompts_needed(0.5, 100, 4000) == 400  # 0.25 * (1.96 / 0.05)^2 = 384
    assert prompts_needed(0.5, 300, 4000) == 600
    assert prompts_needed(0.5, 300, 450) == 450
    assert prompts_needed(1.0, 1, 4000) == 200  # 0.09 * (1.96 / 0.05)^2 = 138


@pytest.mark.parametrize("has_targets", [True, False])
def test_a_denser_reward_still_offers_sft(has_targets: bool) -> None:
    verdict = judge(numbers(1.0, one_score=1.0, distinct=1.0, has_targets=has_targets))
    assert verdict.sft_share == 0.4
    assert "the reward does not tell them apart" in text(verdict)
    assert ("gold texts from elsewhere" in text(verdict)) is not has_targets


def test_a_denser_reward_without_gold_answers_says_why() -> None:
    assert "no gold texts" in text(judge(numbers(0.6, has_targets=False)))


# --- commands -----------------------------------------------------------------------------------------------------

SETTING = Setting(
    data="narrativeqa",
    source="bundled",
    model="t5_mini",
    data_option="narrativeqa",
    model_option="t5_mini",
    start="",
    near_chance=False,
    scale="mini",
    heuristic="none",
    heuristic_keys=(),
    init_from=None,
    run_key="0123456789ab",
    hub_mirror="",
    n_train=4000,
    n_samples=10,
    decoding="",
    max_new_tokens=24,
    reward_range=(0.0, 1.0),
    std_below=0.05,
    low_reward=0.15,
    has_targets=True,
    samples_per_s=1.0,
    n_prompts_asked=500,
    bound_samples=32,
    again=(),
    trained=(),
    recorded=True,
)
SFT = Verdict(kind=Kind.SFT_FIRST, sentences=[], sft_share=0.1)


def lines(verdict: Verdict, **changes) -> list[str]:
    return [command for _, command in commands(replace(SETTING, **changes), verdict)]


def test_rft_alone_is_one_command_and_nothing_to_gain_is_none() -> None:
    alone = Verdict(kind=Kind.RFT_ALONE, sentences=[])
    assert lines(alone) == ["python src/train.py algo=ppo data=narrativeqa model=t5_mini"]
    assert lines(Verdict(kind=Kind.LITTLE_TO_GAIN, sentences=[])) == []


def test_sft_first_is_compared_with_rft_alone() -> None:
    tail = "data=narrativeqa model=t5_mini"
    assert lines(SFT) == [
        f"python src/train.py algo=ppo {tail}",
        f"python src/train.py algo=ppo heuristic=partial_sft heuristic.sample_fraction=0.1 {tail}",
        f"python src/train.py -m +sweep=partial_sft {tail}",
    ]


def test_a_finetuned_policy_gets_an_sft_run_of_its_own() -> None:
    alone, sft, then, _ = lines(SFT, init_from="abcdefabcdef")
    assert "init_from=abcdefabcdef" in alone
    assert "algo=sft init_from=abcdefabcdef algo.loop.sample_fraction=0.1" in sft
    assert "algo=ppo init_from=KEY_OF_THAT_SFT" in then


def test_a_policy_after_a_heuristic_is_named_by_the_heuristic() -> None:
    keys = {"heuristic": "partial_sft", "heuristic_keys": ("heuristic.sample_fraction=0.01",), "init_from": "abc"}
    alone, grid = lines(SFT, **keys)
    assert "heuristic=partial_sft heuristic.sample_fraction=0.01" in alone and "init_from" not in alone
    assert "+sweep=partial_sft" in grid


def test_what_is_not_to_change_stays_in_the_command() -> None:
    own = {"again": ("data.source=hub", "seed=3"), "trained": ("seed=3", "eval.std_below=0.1")}
    setting = {**own, "hub_mirror": "a mirror", "n_prompts_asked": 40}
    (line,) = lines(Verdict(kind=Kind.UNDECIDED, sentences=[], n_prompts=400), **setting)
    assert line.startswith("python src/diagnose.py n_prompts=400 samples=10")
    assert line.endswith("data.source=hub seed=3 'paths.hub_mirror=a mirror'")
    (paper,) = lines(Verdict(kind=Kind.UNDECIDED, sentences=[], n_samples=20), scale="paper", **setting)
    assert "n_prompts=40 samples=20" in paper and "scale=paper" in paper
    alone, sft, then, grid = lines(SFT, init_from="abcdefabcdef", **setting)
    assert all("seed=3 eval.std_below=0.1" in line for line in (alone, sft, then, grid))
    assert all("data.source=hub" not in line for line in (alone, sft, then, grid))


@pytest.mark.parametrize(
    ("n_train", "said"),
    [(60, "all 60 train prompts"), (270, "about 40% of the train prompts (108)"), (4000, "A rule of thumb")],
)
def test_the_words_on_sft_contradict_no_share_that_they_name(n_train: int, said: str) -> None:
    words = text(judge(numbers(0.36, n_prompts=50, n_train=n_train)))
    assert said in words, words
    if "at most 40%" in words:
        assert "about 100%" not in words
