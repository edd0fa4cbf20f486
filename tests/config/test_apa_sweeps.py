"""The sweeps of the APA lab: all compose at three scales, share what they can, and are listed where sweeps are."""

from functools import cache

import pytest
from test_keys_of_members import jobs_of

from rftlab.config.options import CONF, help_text, options
from rftlab.errors import UserError
from rftlab.sweeps.job import Job

SWEEPS = ["apa_hh", "apa_stack", "apa_tldr", "apa_dolly", "apa_lambda", "ppo_kl_control", "apa_offline", "judge"]
SIZES = {"apa_hh": 3, "apa_tldr": 2, "apa_offline": 2}  # models at scale=paper


@cache
def jobs(sweep: str, scale: str) -> list[Job]:
    return jobs_of([f"+sweep={sweep}", f"scale={scale}"])


def keys(sweep: str, scale: str = "mini") -> set[str]:
    return {job.key for job in jobs(sweep, scale)}


def gold_of(job: Job) -> str | None:
    gold = job.config["gold"]
    return gold and gold["run"]


@pytest.mark.parametrize("scale", ["mini", "small", "paper"])
@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_sweep_composes_at_every_scale_under_its_own_name(sweep: str, scale: str) -> None:
    found = jobs(sweep, scale)
    assert {(job.config["scale"], job.config["sweep"]["name"]) for job in found} == {(scale, sweep)}
    assert len({job.key for job in found}) == len(found)
    models = {job.config["model"]["name"] for job in found}
    assert len(models) == (SIZES.get(sweep, 1) if scale == "paper" else 1)


@pytest.mark.parametrize("scale", ["mini", "small"])
def test_runs_that_two_sweeps_name_are_made_once(scale: str) -> None:
    assert keys("apa_dolly", scale) <= keys("apa_hh", scale) | keys("apa_lambda", scale)
    assert len(keys("apa_lambda", scale) & keys("apa_hh", scale)) == 3
    assert len(keys("ppo_kl_control", scale) & keys("apa_hh", scale)) == 3
    stack = {run.key for job in jobs("apa_stack", scale) for run in (job, *job.parents)}
    assert keys("judge", scale) <= stack


@pytest.mark.parametrize("scale", ["mini", "small", "paper"])
def test_the_judge_is_the_gold_reward_of_the_runs_it_judges(scale: str) -> None:
    (judge,) = [job for job in jobs("judge", scale) if job.config["algo"]["name"] == "reward_model"]
    golds = {gold_of(job) for sweep in ("judge", "apa_stack") for job in jobs(sweep, scale)} - {None}
    assert golds == (set() if scale == "paper" else {judge.key})


@pytest.mark.parametrize("scale", ["mini", "small", "paper"])
@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_run_that_samples_has_a_gold_reward_which_all_seeds_share_but_at_the_scale_of_the_paper(
    sweep: str, scale: str
) -> None:
    golds = [gold_of(job) for job in jobs(sweep, scale) if job.config["algo"]["name"] in {"ppo", "apa", "awr"}]
    assert None not in golds if scale != "paper" else set(golds) <= {None}
    assert len(set(golds)) <= 1


def test_sft_and_reward_model_are_one_of_each_per_seed_and_the_gold_reward_is_one() -> None:
    for data, sweeps in {"hh": SWEEPS[:1] + SWEEPS[3:7], "tldr": ["apa_tldr"], "stack_exchange": ["apa_stack"]}.items():
        found = [job for sweep in sweeps for job in jobs(sweep, "mini")]
        runs = {run.key: run for job in found for run in job.parents}
        (gold,) = {gold_of(job) for job in found} - {None}
        assert runs.pop(gold).config["data"]["loader"]["seed"] == 1
        assert sorted((run.config["algo"]["name"], run.config["seed"]) for run in runs.values()) == [
            (algo, seed) for algo in ("reward_model", "sft") for seed in (0, 1, 2)
        ], data  # fmt: skip


@pytest.mark.parametrize("sweep", ["apa_hh", "apa_stack", "apa_tldr"])
def test_ppo_apa_and_awr_differ_in_their_objective_alone(sweep: str) -> None:
    by_algo = {job.config["algo"]["name"]: job.config for job in jobs(sweep, "mini")}
    for config in by_algo.values():
        for key in ("data", "model", "optimizer", "reward", "parent"):
            assert config[key] == by_algo["apa"][key]
        assert config["algo"]["loop"] == by_algo["apa"]["algo"]["loop"]
    assert set(by_algo) == {"ppo", "apa", "awr"} and by_algo["awr"]["eval"]["kl_to_start"]


def test_values_of_the_paper_stand_in_the_sweeps() -> None:
    assert {job.config["seed"] for sweep in ("apa_tldr", "apa_dolly") for job in jobs(sweep, "paper")} == {0, 100}
    stack = {job.config["algo"]["name"]: job.config["algo"]["loss"] for job in jobs("apa_stack", "paper")}
    assert (stack["ppo"]["kl"]["initial"], stack["ppo"]["kl"]["target"]) == (0.1, 6.0)
    assert (stack["apa"]["lam"], stack["awr"]["lam"]) == (0.1, 1.0)
    for job in jobs("apa_hh", "paper"):
        loop = job.config["algo"]["loop"]
        steps = loop["iterations"] * loop["update_epochs"] * loop["prompts_per_iteration"] // loop["minibatch_size"]
        assert steps == 20000
    rates = {job.config["model"]["name"]: job.config["optimizer"]["lr"] for job in jobs("apa_hh", "paper")
             if job.config["algo"]["name"] == "ppo"}  # fmt: skip
    assert rates == {"pythia_125m_sft": 8e-6, "pythia_1b_sft": 1e-6, "pythia_6b_sft": 8e-6}


def test_offline_batches_are_those_of_the_released_code_where_nothing_is_whitened() -> None:
    """ILQL: 4 rows at 125M, 1 at 1B; of APA and AWR there 4 and 2, which are too few to whiten over."""
    found = {(job.config["algo"]["name"], job.config["model"]["name"]): job.config["algo"]["loop"]
             for job in jobs("apa_offline", "paper")}  # fmt: skip
    batches = {key: loop["batch_size"] for key, loop in found.items()}
    names = {"ilql": (4, 1), "offline_apa": (8, 8), "offline_awr": (8, 8)}
    assert batches == {(algo, f"pythia_{size}_sft"): batch for algo, both in names.items()
                       for size, batch in zip(("125m", "1b"), both, strict=True)}  # fmt: skip
    assert {loop["steps"] for loop in found.values()} == {20000}


@pytest.mark.parametrize("sweep", ["apa_hh", "apa_dolly"])
def test_phases_of_any_size_are_looked_at_every_1000_steps_and_move_beta_at_the_same_horizon(sweep: str) -> None:
    """Zhu et al. 2023, Figures 3 and 4, and their released code: beta moves by the responses of a phase over 10,000."""
    for job in jobs(sweep, "paper"):
        algo = job.config["algo"]
        per_phase = algo["loop"]["prompts_per_iteration"] * algo["loop"]["samples_per_prompt"]
        steps = algo["loop"]["update_epochs"] * per_phase // algo["loop"]["minibatch_size"]
        assert job.config["eval"]["every"] * steps == job.config["eval"]["probe_every"] * steps == 992
        if algo["name"] == "ppo":
            assert algo["loss"]["kl"]["rate"] == pytest.approx(per_phase / 10_000)


def test_grids_of_a_scale_go_with_one_scale_alone() -> None:
    with pytest.raises(UserError, match="grids depend on the scale; expected one scale; change scale"):
        jobs_of(["+sweep=apa_hh", "scale=mini,paper"])
    assert len(jobs_of(["+sweep=seeds", "scale=mini,paper", "data=imdb"])) == 6


def test_axes_of_the_command_line_replace_those_of_a_scale() -> None:
    found = jobs_of(["+sweep=apa_hh", "scale=paper", "model=pythia_1b_sft", "seed=5"])
    assert {(job.config["model"]["name"], job.config["seed"]) for job in found} == {("pythia_1b_sft", 5)}


def test_every_sweep_is_listed_in_the_help_and_has_its_command() -> None:
    listed = help_text().partition("+sweep=NAME")[2].partition(":")[0].split()
    assert set(options("sweep")) == set(listed)
    for name in SWEEPS:
        assert f"+sweep={name}" in (CONF / "sweep" / f"{name}.yaml").read_text()
