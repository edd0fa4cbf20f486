"""All policies of a sweep compared by one command: as one by one, counted before, told over seeds."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from judges.chat_server import longer, serving
from judges.finished import policy_run, reward_run

from rftlab.build import judging
from rftlab.commands import judge
from rftlab.files import files_below
from rftlab.intervals import half_width
from rftlab.judges.sweep_report import Judged, over_seeds, sweep_lines
from rftlab.runs.comparisons import find_comparisons

SWEEP = "sweep=judged"
NOISE = {"apa": 0.02, "ppo": 0.04}
CALLS = 48  # of two seeds: 12 prompts in both orders


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def keys(outputs: Path) -> dict[tuple[str, int], str]:
    """Make APA and PPO of two seeds, and APA of a third."""
    return {
        (algo, seed): policy_run(outputs, f"seed={seed}", "sweep.name=judged", algo=algo, noise=NOISE[algo])
        for algo, seed in (("apa", 0), ("ppo", 0), ("apa", 1), ("ppo", 1), ("apa", 2))
    }


@pytest.fixture
def run(
    outputs: Path, keys: dict, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> Callable[..., str]:
    """Run the command and return what it prints."""

    def call(*words: str, given: str | tuple[str, ...] = SWEEP) -> str:
        capsys.readouterr()
        told = [given] if isinstance(given, str) else list(given)
        few = ["prompts=12", f"paths.outputs={outputs}", "runtime.device=cpu", "resamples=200"]
        monkeypatch.setattr(sys, "argv", ["judge.py", *told, *words, *few])
        judge.main()
        return capsys.readouterr().out

    return call


def openai(url: str, *words: str) -> list[str]:
    return ["judge=openai", f"judge.url={url}", "judge.model=m", "judge.retries=0", "judge.backoff_s=0.01", *words]


def test_one_command_judges_each_pair_by_seed_and_goes_on_where_it_was(
    outputs: Path, keys: dict, run: Callable
) -> None:
    pairs = [(keys["apa", seed], keys["ppo", seed]) for seed in (0, 1)]
    with serving(lambda n, q: longer(q)) as asked:
        words = openai(asked.url, "judge.price_input=1", "judge.price_output=2")
        there = sorted(files_below(outputs))
        before = run("judge.dry_run=true", *words)
        assert "2 pairs of the sweep judged" in before and re.search(rf"^{CALLS} calls, about .* price ", before, re.M)
        assert not asked.bodies and sorted(files_below(outputs)) == there
        alone = run(*words, given=pairs[0])
        n = len(asked.bodies)
        half = run("judge.dry_run=true", *words)
        assert re.search(rf"^{CALLS // 2} calls, ", half, re.M), "what is judged is not counted again"
        told = run(*words)
        (first, second) = (found for found in find_comparisons(outputs) if found.about["judge"].get("model") == "m")
        assert len(asked.bodies) == len(first.verdicts()) + len(second.verdicts()) > n
        assert {frozenset(found.about["runs"]) for found in (first, second)} == set(map(frozenset, pairs))
        n = len(asked.bodies)
        assert run(*words) == told and len(asked.bodies) == n
        assert re.search("^0 calls, ", run("judge.dry_run=true", *words), re.M)
    (rate,) = re.findall(r"win rate of A, ties counted half: ([\d.]+)", alone)
    (row,) = re.findall(r"^apa  ppo  2 .*", told, re.M)
    assert f"0: {rate}, 1: " in row
    assert "position bias: the response shown first is preferred in 0.500 to 0.500" in told
    assert re.search(r"^missing: ppo seed 2 of hh, bundled, .*: never run$", told, re.M)


def test_a_held_out_reward_model_is_found_and_loaded_once(
    outputs: Path, keys: dict, run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out, loaded, make = reward_run(outputs, "data.loader.seed=1"), [], judging.make
    monkeypatch.setattr(judging, "make", lambda node, **late: loaded.append(node["run"]) or make(node, **late))
    told = run()
    assert f"judged by reward_model {held_out}" in told and re.search(r"^apa  ppo  2 ", told, re.M)
    assert loaded == [held_out] and "position bias" not in told
    assert "nothing is sent" in run("judge.dry_run=true")


def test_what_cannot_be_compared_is_left_out_and_named(outputs: Path, keys: dict, run: Callable) -> None:
    hot = policy_run(outputs, "data.evaluation.temperature=0.5", "sweep.name=mixed")
    for seed in (0, 1):
        for algo in ("apa", "ppo"):
            policy_run(outputs, f"seed={seed}", "sweep.name=mixed", "algo.loss.gamma=0.9", algo=algo, noise=NOISE[algo])
    with serving(lambda n, q: longer(q)) as asked:
        told = run(*openai(asked.url), given="sweep=mixed")
    assert re.search(r"^apa .* 2 ", told, re.M)
    left = [line for line in told.splitlines() if line.startswith("left out: ")]
    assert len(left) == 2 and all(hot in line and "which are evaluated differently" in line for line in left)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("sweep=absent", "sweep=absent, of which .* has no run; expected one that has run: .*judged"),
        ((SWEEP, "0123456789ab"), "sweep=judged with 0123456789ab; expected a sweep, or two runs"),
        ("+sweep=judged", r"\+sweep=judged, which composes a sweep; expected sweep=judged"),
        ("sweep=", "sweep=; expected sweep=NAME, once"),
        ("sweep.name=judged", "sweep.name=judged, which means nothing here"),
        ((), "0 runs; expected two: .*, or sweep=NAME"),
    ],
)
def test_a_mistake_is_one_line(given: str, said: str, run: Callable, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        run(given=given)
    err = capsys.readouterr().err
    assert stop.value.code == 2 and re.fullmatch(rf"error: {said}.*\n", err), err


def test_a_sweep_with_one_policy_is_refused_with_what_it_lacks(outputs: Path, run: Callable, capsys) -> None:
    policy_run(outputs, "sweep.name=alone")
    with pytest.raises(SystemExit):
        run(given="sweep=alone")
    assert "sweep=alone without a pair to compare; expected two policies" in capsys.readouterr().err


# --- over the seeds -----------------------------------------------------------------------------------------------


def judged(
    *rates: tuple[float | None, float, float], orders: int = 1, b: str = "ppo", panel: str = "p"
) -> list[Judged]:
    return [
        Judged(
            panel=panel, a="apa", b=b, seed=seed,
            report={"rate": dict(zip(("value", "low", "high"), rate, strict=True)), "bias": {"value": 0.1 * seed},
                    "orders": orders, "left_out": seed, "unreadable": seed, "unanswered": 0},
        )
        for seed, rate in enumerate(rates)
    ]  # fmt: skip


def test_the_interval_over_seeds_is_students_and_stays_a_share() -> None:
    found = over_seeds(judged((0.5, 0.4, 0.6), (0.6, 0.5, 0.7), (0.7, 0.6, 0.8)))
    assert found.value == pytest.approx(0.6) and found.high - found.value == pytest.approx(half_width([0.5, 0.6, 0.7]))
    assert half_width([0.5, 0.6, 0.7]) == pytest.approx(4.302653 * 0.1 / 3**0.5), "two degrees of freedom"
    assert over_seeds(judged((0.9, 0, 1), (1.0, 0, 1))).high == 1.0


def test_of_one_seed_the_interval_is_that_over_prompts_and_what_is_unjudged_counts_nowhere() -> None:
    found = over_seeds(judged((0.7, 0.6, 0.8), (None, 0, 0)))
    assert (found.value, found.low, found.high) == (0.7, 0.6, 0.8)
    (row,) = [line for line in sweep_lines(judged((0.7, 0.6, 0.8), (None, 0, 0))) if line.startswith("apa")]
    assert re.split(r"  +", row) == ["apa", "ppo", "1", "0.700 (0.600 to 0.800)", "A is better", "0: 0.700, 1: unknown"]
    assert "nothing was judged" in "".join(sweep_lines(judged((None, 0, 0))))


def test_the_table_has_a_row_for_each_pair_under_the_name_of_its_panel() -> None:
    one, two = judged((0.5, 0.4, 0.6), (0.5, 0.4, 0.6), orders=2), judged((0.2, 0.1, 0.3), b="sft", panel="q")
    lines = sweep_lines([*one, *two])
    assert [line for line in lines if line in "pq"] == ["p", "q"]
    assert "undecided" in next(line for line in lines if "ppo" in line)
    assert "B is better" in next(line for line in lines if "sft" in line)
    assert "position bias: the response shown first is preferred in 0.000 to 0.100, 0.5 = none" in lines
    assert any(line.startswith("left out: 1 prompts of 2 comparisons (1 unreadable verdicts") for line in lines)
