"""The commands that are printed for what is missing: composed again, they are the runs that were meant."""

import contextlib
import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import builder
import pandas as pd
import pytest
import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from analysis import everything, load
from analysis.missing import coverage
from analysis.missing.wanted import Wanted
from rftlab.config.compose import Composer
from rftlab.errors import UserError
from rftlab.runs import SCHEMA_VERSION, note_elsewhere
from rftlab.sweeps.job import Job

CONF = Path(__file__).parents[2] / "conf"
PRESET = ["scale=paper", "experiment=vanishing_gradients/stsb_two_cores"]
TRAINS = ("language", "controlled", "pretraining")  # families


@pytest.fixture(scope="module")
def composer() -> Iterator[Composer]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield Composer(GlobalHydra.instance().config_loader())


def write(outputs: Path, job: Job, state: str) -> None:
    """Write the folder of a job, as far as the analysis asks what there is."""
    folder = outputs / job.config["sweep"]["name"] / f"{job.name}-{job.key}"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({**job.config, "schema_version": SCHEMA_VERSION}))
    (folder / "status.json").write_text(json.dumps({"state": state, "attempt": 1, "heartbeat": 0.0}))
    if state == "done":
        (folder / "DONE").write_text(json.dumps({"final": {}}))


def missing(outputs: Path) -> pd.DataFrame:
    return everything.missing(load.load_runs(outputs), whole=False)


def words(command: str) -> list[str]:
    """Return the overrides of a command as the shell hands them over."""
    return [word for word in shlex.split(command.partition(" # ")[0])[2:] if word != "-m"]


@pytest.mark.parametrize(
    "overrides",
    [
        [*PRESET, "seed=1"],
        ["data=stsb", "algo=expected_reinforce", "optimizer.lr=1e-3", "data.rewards.wrong_modified=0.5"],
        ["algo=apa", "optimizer.build.betas=[0.8,0.9]", "data.source=hub", "seed=2", "sweep.name=other"],
        ["+sweep=heuristics", "algo=ppo", "heuristic=temperature", "heuristic.temperature=2", "data=imdb"],
    ],
)
def test_the_command_for_an_unfinished_run_makes_this_run_and_its_parent(
    composer: Composer, overrides: list[str], tmp_path: Path
) -> None:
    job = composer.job(overrides)
    family = [job, *job.parents]
    for each in family:
        write(tmp_path, each, "failed")
    rows = missing(tmp_path)
    commands = {key: rows.loc[rows["reason"].str.contains(key), "command"].item() for key in (j.key for j in family)}
    for each in family:
        again = composer.job(words(commands[each.key]))
        assert (again.key, again.config["sweep"]) == (each.key, each.config["sweep"])
        assert coverage.GUESSED not in commands[each.key]


def test_the_companion_of_a_reduced_run_is_as_reduced_and_starts_from_the_same_weights(
    composer: Composer, tmp_path: Path
) -> None:
    rft = composer.job([*PRESET, "seed=1"])
    write(tmp_path, rft, "done")
    row = missing(tmp_path).set_index("algo").loc["sft"]
    sft = composer.job(words(row["command"]))
    assert (sft.config["algo"]["name"], sft.config["seed"]) == ("sft", 1)
    assert sft.config["init_from"] == rft.config["init_from"]
    assert sft.config["algo"]["loop"] == rft.config["algo"]["loop"]
    assert row["variant"] == "optimizer=adam preset=stsb_two_cores"


def test_apa_beside_ppo_keeps_the_budget_and_leaves_the_values_of_the_loss(composer: Composer, tmp_path: Path) -> None:
    ppo = composer.job(["algo=ppo", "algo.loop.iterations=7", "algo.loss.gamma=0.9", "eval.every=3"])
    write(tmp_path, ppo, "done")
    rows = missing(tmp_path).set_index("algo")
    apa = composer.job(words(rows.at["apa", "command"]))
    assert (apa.config["algo"]["name"], apa.config["algo"]["loop"]["iterations"]) == ("apa", 7)
    assert apa.config["eval"]["every"] == 3
    sft = composer.job(words(rows.at["sft", "command"]))  # whose loop has other keys
    assert (sft.config["algo"]["name"], sft.config["eval"]["every"]) == ("sft", 3)


def test_a_preset_of_a_loop_is_no_part_of_the_command_for_another_loop(composer: Composer, tmp_path: Path) -> None:
    write(tmp_path, composer.job(["data=imdb", "algo=ppo", "experiment=apa/like_for_like", "eval.every=3"]), "done")
    rows = missing(tmp_path).set_index("algo")
    sft = composer.job(words(rows.at["sft", "command"]))
    assert (sft.config["algo"]["name"], sft.config["data"]["name"], sft.config["eval"]["every"]) == ("sft", "imdb", 3)
    assert "experiment=apa/like_for_like" in words(rows.at["apa", "command"])


def test_plain_finetuning_beside_a_heuristic_leaves_its_values(composer: Composer, tmp_path: Path) -> None:
    write(tmp_path, composer.job(["heuristic=temperature", "heuristic.temperature=2", "eval.every=3"]), "done")
    rows = missing(tmp_path)
    plain = composer.job(words(rows.loc[(rows["heuristic"] == "none") & (rows["algo"] == "ppo,apa"), "command"].item()
                               .replace("algo=ppo,apa", "algo=ppo")))  # fmt: skip
    assert plain.config["heuristic"]["name"] == "none" and plain.config["eval"]["every"] == 3
    assert plain.config["data"]["rollout"]["temperature"] == 1.0


def test_a_command_for_runs_that_kept_no_overrides_says_so(tmp_path: Path) -> None:
    builder.write_run(tmp_path, builder.config("imdb", "ppo", "none", 1, scale="paper"), "failed")
    commands = list(missing(tmp_path)["command"])
    assert commands and all(command.endswith(coverage.GUESSED) for command in commands)
    assert words(commands[0]) == ["algo=ppo", "data=imdb", "model=gpt2_mini", "scale=paper", "seed=1"]


def test_a_run_that_kept_none_borrows_the_overrides_of_another_seed_of_its_cell(tmp_path: Path) -> None:
    builder.write_run(tmp_path, builder.config("imdb", "ppo", "none", 0) | {"overrides": ["data=imdb", "x.y=3"]})
    builder.write_run(tmp_path, builder.config("imdb", "ppo", "none", 1), "failed")
    row = missing(tmp_path).set_index("seeds").loc["1"]
    assert row["command"] == "python src/train.py data=imdb x.y=3 seed=1"


def sweep_of(words: str) -> str | None:
    """Return the sweep that words name."""
    return next((word.partition("=")[2] for word in words.split() if word.startswith("+sweep=")), None)


def jobs_of(words: str, algos: str = "") -> list[list[str]]:
    """Return the overrides of a job of every grid of a sweep, of those with one of some algorithms if a grid has them.

    A job has the first value of every axis; without a sweep it is one job.
    """
    first = [word.partition(",")[0] for word in words.split() if not word.startswith("+sweep=")]
    if (sweep := sweep_of(words)) is None:
        return [first]
    file = yaml.safe_load((CONF / "sweep" / f"{sweep}.yaml").read_text())
    sweeper = file if "grids" in file else file["hydra"]["sweeper"]
    grids = sweeper["grids"]
    if wanted := [grid | {"algo": algos} for grid in grids if algos in str(grid.get("algo")).split(",")]:
        grids = wanted[:1]
    axes = [{**sweeper.get("params", {}), **grid} for grid in grids]
    own = [f"sweep.name={sweep}"] if "hydra" in file else []
    return [[*first, *own, *(f"{k}={_first(v)}" for k, v in each.items())] for each in axes]


def _first(value: object) -> str:
    return "null" if value is None else str(value).partition(",")[0]


WISHES = {(each.about, each.algo, each.words): each for file in everything.files() for each in file.WANTED}


@pytest.mark.parametrize("wanted", WISHES.values(), ids=[" ".join(wish) for wish in WISHES])
def test_the_sweep_that_a_figure_names_makes_runs_that_it_wants(
    wanted: Wanted, composer: Composer, tmp_path: Path
) -> None:
    """One job of each grid: a figure of several settings may want runs that are not in the first grid."""
    jobs = {job.key: job for job in map(composer.job, jobs_of(wanted.words, wanted.algo))}
    for job in jobs.values():
        write(tmp_path, job, "done")
    found = wanted.of(load.load_runs(tmp_path))
    assert 1 <= len(found) == found["run_key"].nunique() and set(found["run_key"]) <= set(jobs)


@pytest.mark.parametrize("sweep", ["apa_lambda", "apa_dolly", "ppo_kl_control", "apa_offline", "judge"])
def test_a_sweep_is_asked_for_though_all_others_that_share_runs_with_it_are_there(
    sweep: str, composer: Composer, tmp_path: Path
) -> None:
    """Figures 1, 6, 7, 8 and 9 have runs of other sweeps; without a run of their own sweep they are not drawn."""
    (wanted,) = {each.words: each for each in WISHES.values() if sweep_of(each.words) == sweep}.values()
    sharing = {"apa_dolly": ["apa_hh", "apa_lambda"], "judge": ["apa_stack"]}.get(sweep, ["apa_hh"])
    jobs = [composer.job(words) for other in sharing for words in jobs_of(f"+sweep={other}")]
    for job in {job.key: job for job in jobs}.values():
        write(tmp_path, job, "done")
    runs_there = load.load_runs(tmp_path)
    command = f"python src/train.py -m +sweep={sweep}"
    assert wanted.of(runs_there).empty and command in set(everything.missing(runs_there, whole=True)["command"])
    own = composer.job(jobs_of(f"+sweep={sweep}")[-1 if sweep == "ppo_kl_control" else 0])
    if (folder := next(tmp_path.glob(f"*/*-{own.key}"), None)) is None:
        write(tmp_path, own, "done")
    else:  # found done by this sweep, where another one has put it
        note_elsewhere(tmp_path, sweep, {own.key: folder})
    assert command not in set(everything.missing(load.load_runs(tmp_path), whole=True)["command"])


def test_every_command_names_one_sweep(tmp_path: Path) -> None:
    commands = everything.missing(load.load_runs(tmp_path), whole=True)["command"]
    sweeps = [sweep for command in commands if (sweep := sweep_of(command))]
    assert {"apa_hh", "apa_dolly", "apa_lambda", "ppo_kl_control", "apa_offline", "apa_tldr", "judge"} <= set(sweeps)
    assert len(sweeps) == len(set(sweeps)) and not any("," in sweep for sweep in sweeps)


@pytest.mark.parametrize("algo", sorted(path.stem for path in (CONF / "algo").glob("*.yaml")))
def test_the_config_of_every_algorithm_says_what_its_steps_count(algo: str, composer: Composer, tmp_path: Path) -> None:
    for data in ("imdb", "mnist", "one_token", "corpus_causal", "imdb_labels"):
        with contextlib.suppress(UserError):  # some algorithms do not train on this kind of data
            write(tmp_path, composer.job([f"algo={algo}", f"data={data}"]), "done")
    runs = load.load_runs(tmp_path)
    assert len(runs)
    for family, counts in zip(runs["family"], runs["counts"], strict=True):
        assert counts in ({"iteration", "optimiser step", "epoch"} if family in TRAINS else {"step"})


def test_one_gold_reward_model_serves_all_seeds(composer: Composer, tmp_path: Path) -> None:
    for seed in (0, 1):
        job = composer.job(["data=tldr", "algo=ppo", "gold=reward_model", "heuristic=none", f"seed={seed}"])
        for each in (job, *job.parents):
            if not (tmp_path / "default" / f"{each.name}-{each.key}").exists():
                write(tmp_path, each, "done")
    assert missing(tmp_path)["algo"].tolist() == ["apa"], "PPO's companion, and no reward model"
    for seed in (1, 2):  # of the same pairs, which nobody learns from: that of seed 0 is there
        job = composer.job(["data=tldr", "algo=reward_model", "data.loader.seed=1", "start=base", f"seed={seed}"])
        write(tmp_path, job, "done")
    asked = missing(tmp_path)
    assert "0" not in asked[asked["algo"] == "reward_model"]["seeds"].tolist()
