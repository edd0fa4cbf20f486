"""Pairs of policies that no judge has compared are asked for, those of the sweep `judge` and other seeds of a pair."""

from pathlib import Path

import apa_runs
import pandas as pd
import pytest

from analysis import everything, load, make_figures
from analysis.missing.uncompared import uncompared
from rftlab.runs import note_elsewhere

ALGOS = ("sft", "ppo", "apa")
PATHS = {algo: path for algo, path in apa_runs.PATHS.items() if algo != "awr"}


def write(outputs: Path, *, at_chance: bool = False) -> dict[str, Path]:
    """Write the runs of apa_stack, and the sweep `judge` that holds them beside SFT of its own."""
    found = apa_runs.write_online(outputs, "apa_stack", "stack_exchange", PATHS)
    for seed in apa_runs.SEEDS:
        resolved = apa_runs.config("judge", "stack_exchange", "sft", seed, ["reward=none"])
        resolved |= {"gold": {"at_chance": True}} if at_chance else {}
        found[f"sft{seed}"] = apa_runs.write(outputs, resolved, [(0, {"sft/loss": 1.0})])
    note_elsewhere(outputs, "judge", {name: folder for name, folder in found.items() if name[:3] != "sft"})
    return found


def asked(outputs: Path) -> pd.DataFrame:
    rows = everything.missing(load.load_runs(outputs), False, load.load_comparisons(outputs))
    return rows[rows["reason"] == "not compared"].reset_index(drop=True)


def test_every_pair_of_the_sweep_to_be_judged_is_asked_for_at_every_seed(tmp_path: Path) -> None:
    write(tmp_path)
    rows = asked(tmp_path)
    assert sorted(rows["algo"]) == ["apa, ppo", "apa, sft", "ppo, sft"] and set(rows["seeds"]) == {"0,1,2"}
    assert set(rows["command"]) == {"python src/judge.py sweep=judge"}
    assert rows["data"].unique().tolist() == ["stack_exchange"]


def test_what_is_compared_is_not_asked_for(tmp_path: Path) -> None:
    found = write(tmp_path)
    for seed in (0, 2):
        apa_runs.write_comparison(tmp_path, found[f"apa{seed}"], found[f"sft{seed}"], won=100, tied=0)
    seeds = asked(tmp_path).set_index("algo")["seeds"]
    assert seeds["apa, sft"] == "1" and seeds["apa, ppo"] == seeds["ppo, sft"] == "0,1,2"
    apa_runs.write_comparison(tmp_path, found["sft1"], found["apa1"], won=100, tied=0)
    assert sorted(asked(tmp_path)["algo"]) == ["apa, ppo", "ppo, sft"]


def test_of_other_sweeps_the_seeds_that_a_compared_pair_lacks_are_asked_for(tmp_path: Path) -> None:
    found = apa_runs.write_online(tmp_path, "apa_hh", "hh")
    assert asked(tmp_path).empty, "nobody has to judge it"
    apa_runs.write_comparison(tmp_path, found["ppo0"], found["apa0"], won=100, tied=0)
    (row,) = asked(tmp_path).to_dict("records")
    assert (row["algo"], row["seeds"], row["command"]) == ("apa, ppo", "1,2", "python src/judge.py sweep=apa_hh")


def test_two_runs_that_lie_in_no_common_sweep_are_named(tmp_path: Path) -> None:
    one = apa_runs.write_online(tmp_path, "one", "hh", {"apa": PATHS["apa"]})
    other = apa_runs.write_online(tmp_path, "other", "hh", {"ppo": PATHS["ppo"]})
    apa_runs.write_comparison(tmp_path, one["apa0"], other["ppo0"], won=100, tied=0)
    (row,) = asked(tmp_path).to_dict("records")
    assert set(row["command"].split()[2:]) == {one["apa1"].name[-12:], other["ppo1"].name[-12:]}


def test_a_held_out_reward_model_at_chance_is_taken_in_the_command_as_the_runs_take_it(tmp_path: Path) -> None:
    write(tmp_path, at_chance=True)
    commands = asked(tmp_path).set_index("algo")["command"]
    assert commands["apa, sft"] == "python src/judge.py sweep=judge judge.at_chance=true"
    assert commands["apa, ppo"] == "python src/judge.py sweep=judge"


def test_runs_that_are_not_finished_and_no_runs_at_all_lack_no_comparison(tmp_path: Path) -> None:
    found = write(tmp_path)
    for name in ("ppo2", "sft0"):
        (found[name] / "DONE").unlink()
    seeds = asked(tmp_path).set_index("algo")["seeds"]
    assert dict(seeds) == {"apa, ppo": "0,1", "apa, sft": "1,2", "ppo, sft": "1"}
    empty = tmp_path / "empty"
    empty.mkdir()
    assert uncompared(load.load_runs(empty), load.load_comparisons(empty)) == []


def test_make_figures_prints_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everything, "draw", lambda frames: [])  # which takes its time
    write(tmp_path / "outputs")
    where = ["--outputs", str(tmp_path / "outputs"), "--figures", str(tmp_path / "figures")]
    make_figures.main([*where, "--sweep", "judge"])
    printed = capsys.readouterr().out
    assert "not compared" in printed and "python src/judge.py sweep=judge\n" in printed
