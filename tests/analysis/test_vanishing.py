"""What the pretrain std foretells, against values worked out by hand."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from analysis.figures import rft_relative_to_sft
from analysis.statistics import vanishing

RUN = {"scale": "mini", "source": "bundled", "data": "imdb", "model": "m", "algo": "ppo", "optimizer": "adamw"} | {
    "heuristic": "none",
    "variant": "",
    "cell": "c0",
    "sweep": "s",
    "seed": 0,
    "run_key": "k0",
    "state": "done",
    "family": "language",
    "init_from": "",
    "partial": False,
    "changed": "",
    "sampling": "s0",
}


def prompts(std: list[float], before: list[float], after: list[float], **changes: object) -> pd.DataFrame:
    rows = []
    for phase, step, mean in (("before", 0, before), ("after", 10, after)):
        rows += [
            RUN | {"phase": phase, "step": step, "prompt_id": f"p{i}", "reward_std": s, "reward_mean": m} | changes
            for i, (s, m) in enumerate(zip(std, mean, strict=True))
        ]
    return pd.DataFrame(rows)


def one(pairs: pd.DataFrame) -> pd.Series:
    return vanishing.correlation_table(pairs).iloc[0]


def test_the_correlation_is_of_the_pretrain_std_with_how_far_the_mean_moved() -> None:
    pairs = vanishing.changes(prompts([0.0, 0.1, 0.2, 0.3], [0.5] * 4, [0.5, 0.4, 0.7, 0.5]))
    np.testing.assert_allclose(pairs["change"], [0.0, 0.1, 0.2, 0.0], atol=1e-12)
    result = vanishing.correlations(pairs).iloc[0]
    assert (result["r"], result["n_prompts"]) == (pytest.approx(0.005 / math.sqrt(0.05 * 0.0275)), 4)


@pytest.mark.parametrize(
    ("std", "after", "said"),
    [
        ([0.1, 0.1, 0.1], [0.5, 0.6, 0.9], "the std is the same for every prompt"),
        ([0.1, 0.2, 0.3], [0.6, 0.6, 0.6], "the change is the same for every prompt"),
        ([0.1, 0.2], [0.5, 0.6], "fewer than 3 prompts"),
    ],
)
def test_without_variation_there_is_no_correlation_and_the_reason_is_named(
    std: list[float], after: list[float], said: str
) -> None:
    result = one(vanishing.changes(prompts(std, [0.5] * len(std), after)))
    assert math.isnan(result["r"]) and math.isnan(result["low"])
    assert (result["n"], result["n_runs"], result["undefined"]) == (0, 1, said)


def test_a_cell_averages_the_correlations_of_its_runs_and_counts_those_without() -> None:
    rising = prompts([0.1, 0.2, 0.3], [0.5] * 3, [0.6, 0.7, 0.8])
    mixed = prompts([0.1, 0.2, 0.3], [0.5] * 3, [0.6, 0.6, 0.5], run_key="k1", seed=1)
    flat = prompts([0.1, 0.2, 0.3], [0.5] * 3, [0.5] * 3, run_key="k2", seed=2)
    result = one(vanishing.changes(pd.concat([rising, mixed, flat])))
    assert result["r"] == pytest.approx((1 - math.sqrt(0.75)) / 2)
    assert (result["r_min"], result["r_max"]) == (pytest.approx(-math.sqrt(0.75)), pytest.approx(1))
    assert (result["n"], result["n_runs"], result["run_keys"]) == (2, 3, "k0 k1 k2")


def test_prompts_without_a_finite_value_are_left_out_and_counted() -> None:
    result = one(vanishing.changes(prompts([0.1, 0.2, 0.3, math.nan], [0.5] * 4, [0.6, 0.7, 0.8, 0.9])))
    assert (result["r"], result["n_prompts"], result["n_nonfinite"]) == (pytest.approx(1), 3, 1)


def test_counting_a_prompt_twice_is_the_correlation_of_the_longer_series() -> None:
    generator = np.random.default_rng(0)
    std, change = generator.random((6, 2)), generator.random((6, 2))
    times = generator.integers(0, 4, (5, 6))
    expected = [
        [np.corrcoef(np.repeat(std[:, run], t), np.repeat(change[:, run], t))[0, 1] for run in range(2)] for t in times
    ]
    np.testing.assert_allclose(vanishing.weighted_correlations(std, change, times), expected)


def test_a_draw_of_one_prompt_alone_has_no_correlation() -> None:
    values = np.array([[0.1], [0.2], [0.4]])
    assert np.isnan(vanishing.weighted_correlations(values, values, np.array([[3, 0, 0]]))).all()


def test_the_interval_is_that_of_fishers_transform_and_repeats_with_its_generator() -> None:
    generator = np.random.default_rng(1)
    std = generator.normal(0, 1, 400)
    change = 0.6 * std + 0.8 * generator.normal(0, 1, 400)
    pairs = vanishing.changes(prompts(list(std), [0.0] * 400, [0.0] * 400)).assign(change=change)
    result = one(pairs)
    centre, half = np.arctanh(result["r"]), 1.96 / math.sqrt(397)
    assert (result["low"], result["high"]) == pytest.approx(tuple(np.tanh([centre - half, centre + half])), abs=0.02)
    assert one(pairs)["low"] == result["low"]


@pytest.mark.parametrize(
    "change",
    [{"heuristic": "partial_sft"}, {"init_from": "0" * 12}, {"partial": True}, {"family": "diagnose"}],
)
def test_only_whole_runs_from_the_pretrained_model_count(change: dict) -> None:
    assert vanishing.from_pretrained(pd.DataFrame([RUN | change])).empty
    assert len(vanishing.from_pretrained(pd.DataFrame([RUN]))) == 1


@pytest.mark.parametrize("changed", ["", "preset=small"])
def test_a_setting_that_is_alone_among_whole_runs_is_named_by_what_it_changed(changed: str) -> None:
    runs = pd.DataFrame(
        [
            RUN | {"algo": "sft", "variant": f"f=1 {changed}".strip(), "changed": changed},
            RUN | {"algo": "sft", "variant": "f=0.4", "cell": "c1", "partial": True},
        ]
    )
    assert list(vanishing.from_pretrained(runs)["variant"]) == [changed]


def rewards(values: dict[str, list[float]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            RUN | {"algo": algo, "cell": algo, "run_key": f"{algo}{seed}", "seed": seed, "probe/reward_mean": value}
            for algo, series in values.items()
            for seed, value in enumerate(series)
        ]
    )


def test_rft_is_set_beside_sft_as_ratio_and_difference_of_means() -> None:
    std = [i / 100 for i in range(101)]
    before = prompts(std, [0.5] * 101, [0.5] * 101)
    points = vanishing.relative_reward(rewards({"ppo": [0.2, 0.4], "apa": [0.9], "sft": [0.5, 0.7]}), before)
    assert sorted(points["percentile"].unique()) == list(vanishing.PERCENTILES)
    ppo = points[(points["algo"] == "ppo") & (points["percentile"] == 10)].iloc[0]
    assert ppo["std"] == pytest.approx(0.10)
    assert ppo[["ratio", "ratio_min", "ratio_max", "difference"]].tolist() == pytest.approx([0.5, 1 / 3, 2 / 3, -0.3])
    assert (ppo["n_rft"], ppo["n_sft"], ppo["run_keys"]) == (2, 2, "ppo0 ppo1 sft0 sft1")


def test_the_percentile_is_averaged_over_runs_and_not_over_their_prompts() -> None:
    both = pd.concat([prompts([0.1] * 3, [0.5] * 3, [0.5] * 3), prompts([0.3], [0.5], [0.5], run_key="k1")])
    points = vanishing.relative_reward(rewards({"ppo": [0.2], "sft": [0.5]}), both, (10,))
    assert points["std"].tolist() == pytest.approx([0.2])


def test_a_point_lies_at_the_std_of_the_runs_that_sample_as_its_rft_does() -> None:
    """PPO at a higher temperature has a larger pretrain std, which says nothing of PPO at the plain one."""
    plain, hot = prompts([0.1] * 3, [0.5] * 3, [0.5] * 3), prompts([0.3] * 3, [0.5] * 3, [0.5] * 3, run_key="k1")
    both = pd.concat([plain, hot.assign(sampling="s1", cell="hot")])
    runs = rewards({"ppo": [0.2], "sft": [0.5]})
    more = rewards({"ppo": [0.1]}).assign(sampling="s1", cell="hot", variant="temperature=2", run_key="k1")
    points = vanishing.relative_reward(pd.concat([runs, more]), both, (10,))
    assert dict(zip(points["variant"], points["std"], strict=True)) == pytest.approx({"": 0.1, "temperature=2": 0.3})
    assert points["sft"].tolist() == [0.5, 0.5]


def test_equal_points_of_two_algorithms_are_both_seen() -> None:
    before = prompts([0.1, 0.2], [0.5] * 2, [0.5] * 2)
    points = vanishing.relative_reward(rewards({"ppo": [0.2], "apa": [0.2], "sft": [0.5]}), before)
    figure = rft_relative_to_sft.picture(points).figure
    for axes in figure.axes:
        markers = [line for line in axes.lines if line.get_marker() not in ("", "None", None)]
        below, above = sorted(markers, key=lambda line: (line.get_zorder(), axes.lines.index(line)))
        assert below.get_xydata().tolist() == above.get_xydata().tolist()
        assert below.get_color() != above.get_color()
        assert below.get_markersize() > above.get_markersize() + 2 * above.get_markeredgewidth()
    plt.close(figure)


def test_there_is_no_ratio_to_a_reward_of_zero_and_no_point_without_sft() -> None:
    before = prompts([0.1, 0.2], [0.5] * 2, [0.5] * 2)
    zero = vanishing.relative_reward(rewards({"ppo": [0.2], "sft": [0.0]}), before)
    assert zero["ratio"].isna().all() and (zero["difference"] == 0.2).all()
    assert vanishing.relative_reward(rewards({"ppo": [0.2]}), before).empty
    assert vanishing.relative_reward(rewards({"ppo": [0.2], "sft": [math.nan]}), before).empty


# --- what chance gives --------------------------------------------------------------------------------------------


def drawn_again(of: pd.DataFrame, std: list[float], mean: list[float]) -> pd.DataFrame:
    return of[of["phase"] == "before"].assign(phase="again", reward_std=std, reward_mean=mean)


def beside_null(frame: pd.DataFrame) -> pd.Series:
    return vanishing.beside_null(vanishing.correlation_table(vanishing.changes(frame)), frame).iloc[0]


def test_beside_a_correlation_stands_that_of_the_untrained_policy_drawn_twice() -> None:
    ends = prompts([0.0, 0.1, 0.2, 0.3], [0.5] * 4, [0.5, 0.6, 0.7, 0.8])
    result = beside_null(pd.concat([ends, drawn_again(ends, [0.0, 0.01, 0.2, 0.3], [0.5, 0.4, 0.7, 0.5])]))
    assert result["r"] == pytest.approx(1)
    assert result["null"] == pytest.approx(0.005 / math.sqrt(0.05 * 0.0275))  # as worked out above
    assert (result["n_null"], result["crossing"]) == (1, 0.25)


def test_a_cell_averages_the_null_of_its_runs() -> None:
    one = prompts([0.0, 0.1, 0.2], [0.5] * 3, [0.6, 0.7, 0.8])
    other = one.assign(run_key="k1", seed=1)
    again = [drawn_again(one, [0.0, 0.1, 0.2], [0.5, 0.6, 0.7]), drawn_again(other, [0.1, 0.1, 0.2], [0.7, 0.6, 0.5])]
    result = beside_null(pd.concat([one, other, *again]))
    assert (result["null"], result["n_null"]) == (pytest.approx(0), 2)
    assert result["crossing"] == pytest.approx(1 / 6)


def test_the_same_prompts_of_the_same_policy_have_one_interval() -> None:
    generator = np.random.default_rng(2)
    ends = prompts(list(generator.random(20)), [0.5] * 20, list(generator.random(20)))
    table = vanishing.correlation_table(
        vanishing.changes(pd.concat([ends, ends.assign(algo="apa", cell="c1", run_key="k1")]))
    )
    assert len(table) == 2 and table["low"].nunique() == table["high"].nunique() == 1


def test_without_a_second_draw_nothing_is_known_of_chance() -> None:
    result = beside_null(prompts([0.0, 0.1, 0.2], [0.5] * 3, [0.6, 0.7, 0.8]))
    assert result["r"] == pytest.approx(1)
    assert (math.isnan(result["null"]), math.isnan(result["crossing"]), result["n_null"]) == (True, True, 0)


def test_noise_alone_correlates_the_std_with_the_change_and_the_null_says_so() -> None:
    """Ten Bernoulli rewards per prompt, of a policy that nothing has changed: three draws of it."""
    generator = np.random.default_rng(0)
    rates = generator.beta(0.3, 1.0, 4000)
    scores = generator.binomial(1, rates[:, None, None], (4000, 3, 10))
    means, stds = scores.mean(axis=2), scores.std(axis=2)
    ends = prompts(list(stds[:, 0]), list(means[:, 0]), list(means[:, 1]))
    result = beside_null(pd.concat([ends, drawn_again(ends, list(stds[:, 2]), list(means[:, 2]))]))
    assert result["r"] > 0.3 and result["null"] == pytest.approx(result["r"], abs=0.05)
    assert 0.05 < result["crossing"] < 0.3


def look(of: pd.DataFrame, step: int, std: list[float]) -> pd.DataFrame:
    first = of[of["phase"] == "before"].head(len(std))
    return first.assign(phase="during", step=step, reward_std=std)


def test_the_share_over_training_runs_from_before_to_after() -> None:
    ends = prompts([0.0, 0.2], [0.5] * 2, [0.5] * 2)
    blind = prompts([0.0, 0.0], [0.5] * 2, [0.5] * 2, run_key="k1", seed=1)  # a run that did not look during training
    result = vanishing.share_over_training(pd.concat([ends, look(ends, 4, [0.0, 0.01]), blind]))
    assert result[["step", "mean", "n"]].to_numpy().tolist() == [[0, 0.5, 1], [4, 1.0, 1], [10, 0.5, 1]]
    assert set(result["run_keys"]) == {"k0"}


def test_every_look_counts_the_prompts_that_are_looked_at_during_training() -> None:
    """The other prompts of the probe set have another share: beside it, the first look would seem to change it."""
    ends = prompts([0.0, 0.2, 0.0, 0.0, 0.0], [0.5] * 5, [0.5] * 5)
    result = vanishing.share_over_training(pd.concat([ends, look(ends, 4, [0.0, 0.2])]))
    assert result[["step", "mean"]].to_numpy().tolist() == [[0, 0.5], [4, 0.5], [10, 0.5]]
    assert set(result["n_prompts"]) == {2}


def test_the_second_look_before_training_is_not_one_during_it() -> None:
    ends = prompts([0.0, 0.2], [0.5] * 2, [0.5] * 2)
    twice = pd.concat([ends, drawn_again(ends, [0.0, 0.0], [0.5] * 2), look(ends, 4, [0.0, 0.01])])
    assert vanishing.share_over_training(twice)[["step", "mean"]].to_numpy().tolist() == [[0, 0.5], [4, 1.0], [10, 0.5]]


def test_the_prompts_looked_at_are_those_of_the_run_itself() -> None:
    one = prompts([0.0, 0.2], [0.5] * 2, [0.5] * 2)
    other = prompts([0.2, 0.0], [0.5] * 2, [0.5] * 2, run_key="k1", cell="c1")
    looks = [look(one, 4, [0.0]), look(other, 4, [0.2, 0.0])]
    result = vanishing.share_over_training(pd.concat([one, other, *looks])).set_index(["cell", "step"])["mean"]
    assert (result["c0", 0], result["c1", 0]) == (1.0, 0.5)


def test_a_look_at_the_last_iteration_gives_way_to_the_one_after_it() -> None:
    ends = prompts([0.0, 0.2], [0.5] * 2, [0.5] * 2)
    result = vanishing.share_over_training(pd.concat([ends, look(ends, 10, [0.0, 0.0])]))
    assert result[["step", "mean"]].to_numpy().tolist() == [[0, 0.5], [10, 0.5]]
