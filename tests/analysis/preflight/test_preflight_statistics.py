"""Every number against a value worked out by hand."""

import math

import diagnoses
import numpy as np
import pandas as pd
import pytest

from analysis.preflight import gradients, statistics
from analysis.preflight.reading import Measured, Sampled, read
from analysis.preflight.statistics import Summary
from analysis.preflight.verdict import Kind, judge, numbers_of
from analysis.statistics import stats
from rftlab import intervals

ONES, HALVES, ZEROS = [1.0] * 4, [0.0, 1.0, 0.0, 1.0], [0.0] * 4


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def measured(tmp_path, rows: list[list[float]], **more) -> Measured:
    return read(diagnoses.write(tmp_path, np.array(rows), **more))


def summary(tmp_path, rows: list[list[float]], **more) -> Summary:
    return statistics.summarise(measured(tmp_path, rows, **more), generator())


def sampled(*rows: list[float], response: str = "same") -> list[Sampled]:
    return [Sampled("a prompt", [response] * len(row), np.array(row)) for row in rows]


def test_shares_of_vanishing_stuck_and_solved_prompts(tmp_path) -> None:
    found = summary(tmp_path, [ZEROS, ZEROS, ONES, HALVES])
    assert (found.vanishing.value, found.stuck.value, found.solved.value) == (0.75, 0.5, 0.25)
    assert found.solved_mean == 1.0
    assert (found.worst, found.best) == (0.0, 1.0)
    assert found.reward_mean.value == pytest.approx((0 + 0 + 1 + 0.5) / 4)
    assert found.reward_std.value == pytest.approx(0.5 / 4)


def test_a_std_or_mean_at_its_threshold_counts_as_neither_small_nor_low(tmp_path) -> None:
    found = summary(tmp_path, [HALVES, [0.15] * 4], eval__std_below=0.5)
    assert found.vanishing.value == 0.5
    assert (found.stuck.value, found.solved.value) == (0.0, 0.5)


def test_without_a_low_reward_nothing_is_stuck_or_solved(tmp_path) -> None:
    found = summary(tmp_path, [ZEROS, ONES, HALVES, HALVES], data__low_reward=None)
    assert found.stuck is None and found.solved is None
    assert found.vanishing.value == 0.5


def test_the_threshold_scales_with_the_interval_of_the_reward(tmp_path) -> None:
    rows = [[0.5, 0.58] * 2, [0.3, 0.5] * 2, ZEROS]  # stds 0.04, 0.1 and 0
    unit = summary(tmp_path / "unit", rows)
    ten = summary(
        tmp_path / "ten", (10 * np.array(rows) - 5).tolist(), algo__loop__reward_low=-5.0, algo__loop__reward_high=5.0
    )
    raw = summary(tmp_path / "raw", (10 * np.array(rows) - 5).tolist())
    assert unit.vanishing.value == ten.vanishing.value == pytest.approx(2 / 3)
    assert raw.vanishing.value == pytest.approx(1 / 3)


def test_percentiles_interpolate_between_prompts(tmp_path) -> None:
    spread = [[0.5 - d, 0.5 + d] * 2 for d in (0.0, 0.1, 0.2, 0.3, 0.4)]
    found = summary(tmp_path, spread)
    assert {p: round(each.value, 6) for p, each in found.percentiles.items()} == {
        **{1: 0.004, 5: 0.02, 10: 0.04, 25: 0.1, 50: 0.2}
    }
    assert all(each.low <= each.value <= each.high for each in found.percentiles.values())


def test_the_bootstrap_of_a_share_is_near_the_binomial_interval() -> None:
    rows = (np.arange(400) < 100).astype(float)[:, None]
    (share,) = intervals.bootstrap(lambda rows: rows.mean(axis=0), rows, generator(), draws=4000)
    half = 1.96 * math.sqrt(0.25 * 0.75 / 400)
    assert share.value == 0.25
    assert (share.low, share.high) == pytest.approx((0.25 - half, 0.25 + half), abs=0.004)


def test_a_share_of_0_or_1_has_the_exact_interval() -> None:
    reach = 1 - 0.025 ** (1 / 10)
    assert intervals.share(np.zeros(10)) == (0.0, reach)
    assert intervals.share(np.ones(10)) == (1 - reach, 1.0)


def test_the_reports_of_a_diagnosis_and_of_a_run_give_the_same_prompts_one_interval(tmp_path) -> None:
    scores = diagnoses.scores_of(60, 10, stuck=0.4, solved=0.1)
    found = summary(tmp_path, scores.tolist()).vanishing
    prompts = pd.read_parquet(next(tmp_path.rglob("prompts.parquet"))).sample(frac=1, random_state=0)
    common = dict.fromkeys(stats.CELL, "x") | {"low_reward": 0.15, "n_train": 4000.0, "run_key": "k"}
    for cell in ("alone", "another"):  # also beside others
        rows = [prompts.assign(**common | {"cell": cell}) for cell in ("alone", "another")]
        shares = stats.vanishing_share(pd.concat(rows)).set_index("cell").loc[cell]
        assert (shares["share"], shares["low"], shares["high"]) == (found.value, found.low, found.high)


def cases(norms: list[float], errors: list[float], jacobian: float = 2.0) -> pd.DataFrame:
    """Invent cases whose unbiased squared norm is norm^2 - error^2, as the run estimates it."""
    frame = pd.DataFrame({"grad_norm": norms, "grad_error": errors}).astype(float)
    squares = frame["grad_norm"] ** 2 - frame["grad_error"] ** 2
    return frame.assign(grad_norm_squared=squares, reward_std=0.1, jacobian_norm=jacobian, bound_std=100.0)


def test_noise_is_removed_from_the_mean_of_squares_and_the_largest_jacobian_is_common() -> None:
    table = cases([5.0, 5.0, 6.0], [3.0, 4.0, 0.0]).assign(jacobian_norm=[2.0, 7.0, 3.0])
    found = gradients.measure(table, max_new_tokens=10)
    assert found.square == pytest.approx((16 + 9 + 36) / 3)
    assert found.square_error == pytest.approx(np.std([16, 9, 36], ddof=1) / math.sqrt(3))
    assert found.grad_norm == pytest.approx(math.sqrt(61 / 3))
    assert found.jacobian_norm == 7.0
    assert math.sqrt(2) * 10 * 7.0 * found.std_limit == pytest.approx(0.1 * found.grad_norm)


def test_negative_squares_count_so_that_noise_alone_gives_no_scale() -> None:
    noise = gradients.measure(cases([1.0, 2.0, 1.0], [2.0, 1.0, 1.2]), 10)  # squares -3, 3 and -0.44
    assert noise.square < 0 and math.isnan(noise.grad_norm) and math.isnan(noise.std_limit)
    cut = np.sqrt(np.clip([-3.0, 3.0, -0.44], 0, None)).mean()
    assert cut > 0.5  # what cutting each at 0 would have found


def test_on_average_over_many_diagnoses_a_gradient_of_zero_stays_zero() -> None:
    rng = np.random.default_rng(0)
    squares = []
    for _ in range(2000):  # six prompts, 32 responses of 20 weighted directions each, true gradient 0
        terms = rng.standard_normal((6, 32, 20)) * 0.1
        sums, own = (terms.sum(axis=1) ** 2).sum(axis=1), (terms**2).sum(axis=(1, 2))
        square = (sums - own) / (32 * 31)
        norm = np.sqrt(sums) / 32
        table = cases(norm.tolist(), np.sqrt(norm**2 - square).tolist()).assign(grad_norm_squared=square)
        squares.append(gradients.measure(table, 10))
    values = np.array([each.square for each in squares])
    assert abs(values.mean()) < 3 * values.std() / len(values) ** 0.5
    assert np.mean([math.isnan(each.grad_norm) for each in squares]) > 0.75  # one standard error: about 0.16 pass


@pytest.mark.parametrize("table", [cases([0.0] * 6, [0.0] * 6), cases([3.0], [0.1])], ids=["all zero", "one prompt"])
def test_where_no_scale_is_known_no_prompt_is_negligible(table: pd.DataFrame) -> None:
    found = gradients.measure(table, 10)
    assert math.isnan(found.grad_norm) and math.isnan(found.std_limit)


@pytest.mark.parametrize("jacobian", [math.nan, 0.0])
def test_without_a_jacobian_there_is_no_bound(jacobian: float) -> None:
    assert math.isnan(gradients.measure(cases([1.0, 1.1], [0.1, 0.1], jacobian), 10).std_limit)
    assert gradients.measure(None, 10) is None


def test_prompts_by_bound_and_cases_over_theirs(tmp_path) -> None:
    scores = np.array([ZEROS, ONES, [0.5, 0.5001] * 2, HALVES])
    table = diagnoses.cases_of(scores[[0, 3, 3]], every=1).assign(
        grad_norm=[0.0, 2.0, 2.0],
        grad_error=[0.0, 0.5, 0.5],
        grad_norm_squared=[0.0, 3.75, 3.75],
        jacobian_norm=[1.0, 2.0, 2.0],
        bound_std=[0.0, 0.9, 0.9],
    )
    found = summary(tmp_path, scores.tolist(), cases=table).gradient
    assert found.std_limit == pytest.approx(0.1 * math.sqrt(2.5) / (math.sqrt(2) * 24 * 2.0))  # 0.0023
    assert found.share.value == 0.75
    assert (found.n_cases, found.n_alike, found.n_over) == (3, 1, 2)
    assert found.noise == 0.25


def test_without_a_scale_there_is_no_share_by_bound(tmp_path) -> None:
    table = diagnoses.cases_of(np.zeros((4, 4)), every=1)
    found = summary(tmp_path, [ZEROS, ZEROS, ZEROS, ZEROS], cases=table).gradient
    assert found.share is None and found.n_alike == 4


# --- every prompt sampled -----------------------------------------------------------------------------------------


def test_the_spread_within_prompts_is_that_of_the_share_over_repeated_samplings() -> None:
    rng = np.random.default_rng(1)
    centre, width = rng.uniform(0.3, 0.7, (40, 1)), rng.uniform(0.01, 0.1, (40, 1))

    def share(scores: np.ndarray) -> np.ndarray:
        return np.array([(scores.std(axis=1) < 0.05).mean()])

    drawn = [centre + width * rng.standard_normal((40, 20)) for _ in range(400)]
    true = np.std([share(scores)[0] for scores in drawn])
    halves = [intervals.within_prompts(share, scores, rng)[0] for scores in drawn[:30]]
    guessed = np.mean([(each.high - each.low) / (2 * 1.96) for each in halves])
    assert guessed == pytest.approx(true, rel=0.25)


def interval_width(tmp_path, n_samples: int, n_train: int) -> float:
    """Return the width of the stuck share of 30 prompts, four of them stuck and some near the limit."""
    rng = np.random.default_rng(0)
    std = np.concatenate([np.zeros(4), rng.uniform(0.04, 0.3, 26)])[:, None]
    scores = np.clip(0.08 + std * rng.standard_normal((30, n_samples)), 0, 1)
    found = summary(tmp_path / f"{n_samples}-{n_train}", scores.tolist(), n_train=n_train)
    assert found.all_sampled is (n_train == 30)
    return found.stuck.high - found.stuck.low


def test_with_every_prompt_sampled_more_samples_narrow_the_interval(tmp_path) -> None:
    few, many, most = (interval_width(tmp_path, n, n_train=30) for n in (10, 80, 640))
    assert few > many > most
    assert most < few / 2
    assert interval_width(tmp_path, 640, n_train=4000) > 0.2  # other prompts would have other stds


def test_with_every_prompt_sampled_constant_scores_leave_no_doubt(tmp_path) -> None:
    rows = [ZEROS * 5] * 4 + [HALVES * 5] * 26
    found = summary(tmp_path, rows, n_train=30)
    assert (found.stuck.low, found.stuck.value, found.stuck.high) == pytest.approx((4 / 30, 4 / 30, 4 / 30))
    assert (found.solved.low, found.solved.high) == (0.0, 0.0)  # no exact binomial reach: there are no other prompts
    numbers = numbers_of(found, n_samples=20, n_train=30, low_reward=0.15, has_targets=True)
    assert judge(numbers).kind is Kind.RFT_ON_THE_REST
    other = summary(tmp_path / "other", rows, n_train=4000)
    more = judge(numbers_of(other, n_samples=20, n_train=4000, low_reward=0.15, has_targets=True))
    assert (more.kind, more.n_prompts) == (Kind.UNDECIDED, 200)


def test_prompts_left_out_for_nan_count_as_sampled_and_missing_samples_do_not(tmp_path) -> None:
    rows = np.array([ZEROS] * 4 + [HALVES] * 26)
    rows[-1, 0] = math.nan
    assert summary(tmp_path / "nan", rows.tolist(), n_train=30).all_sampled
    folder = diagnoses.write(tmp_path / "torn", rows[:-1], n_train=29)
    lines = (folder / "samples.jsonl").read_text().splitlines(keepends=True)
    (folder / "samples.jsonl").write_text("".join(lines[1:]))
    assert not statistics.summarise(read(folder), generator()).all_sampled


def test_the_limit_on_another_score() -> None:
    assert statistics.other_score_limit(10) == pytest.approx(1 - 0.05**0.1)
    assert statistics.other_score_limit(1) == pytest.approx(0.95)


def test_the_relative_error_of_a_std_leaves_out_prompts_of_one_score() -> None:
    # two samples 0 and 1: half of the resamples have std 0.5, half 0: mean 0.25, error 0.25, over 0.5
    scores = np.array([[0.0, 1.0], [0.3, 0.3]])
    assert statistics.relative_std_error(scores, generator(), resamples=20000) == pytest.approx(0.5, abs=0.01)
    assert math.isnan(statistics.relative_std_error(scores[1:], generator()))


def test_fewer_samples_show_fewer_other_scores() -> None:
    # one deviating score of four: two samples miss it half of the time
    scores = np.array([[0.0, 0.0, 0.0, 1.0]])
    assert statistics.share_from_half(scores, 0.05, generator(), resamples=20000) == pytest.approx(0.5, abs=0.02)
    assert math.isnan(statistics.share_from_half(scores[:, :3], 0.05, generator()))


def test_one_score_everywhere_and_whether_the_responses_differ() -> None:
    found = statistics.sampling_error(sampled(ZEROS, ZEROS, ONES, HALVES), 0.05, generator())
    assert (found.one_score, found.alike, found.distinct) == (0.5, 0.75, 0.25)
    varied = [Sampled("p", list("abcd"), np.zeros(4))]
    assert statistics.sampling_error(varied, 0.05, generator()).distinct == 1.0


def test_prompts_without_all_their_samples_are_left_out_of_the_sampling_error() -> None:
    assert statistics.sampling_error([], 0.05, generator()) is None
    assert statistics.sampling_error(sampled(ZEROS, ONES[:2]), 0.05, generator()).n_prompts == 1


def test_the_same_generator_gives_the_same_numbers(tmp_path) -> None:
    found = measured(tmp_path, diagnoses.scores_of(40, 10, 0.4, 0.1).tolist())
    assert statistics.summarise(found, generator()) == statistics.summarise(found, generator())
