"""Sweeps over all datasets of texts leave none out."""

from test_keys_of_members import jobs_of

from rftlab.commands.datasets import names

NOT_IN_EVERY_MIRROR = {"fetaqa"}


def test_the_spectrum_diagnoses_every_dataset_of_texts_alike() -> None:
    jobs = jobs_of(["+sweep=spectrum"])
    assert sorted(job.config["data"]["name"] for job in jobs) == names()
    for job in jobs:
        loop = job.config["algo"]["loop"]
        assert (loop["n_prompts"], loop["samples_per_prompt"], loop["bound_prompts"]) == (100, 10, 0)
        assert loop["reward_low"] is loop["reward_high"] is None  # 0.05 in units of each reward


def test_axes_of_the_command_line_choose_among_the_datasets_of_the_spectrum() -> None:
    jobs = jobs_of(["+sweep=spectrum", "data=commongen,hh", "algo.loop.n_prompts=7"])
    assert [(job.config["data"]["name"], job.config["algo"]["loop"]["n_prompts"]) for job in jobs] == [
        ("commongen", 7), ("hh", 7),
    ]  # fmt: skip


def test_sft_and_ppo_run_on_the_real_rows_of_every_dataset_of_texts() -> None:
    jobs = jobs_of(["+sweep=real_rows", "data.source=hub"])
    asked = sorted(
        (job.config["data"]["loader"].get("form", job.config["data"]["name"]), job.config["algo"]["name"])
        for job in jobs
    )
    forms = {*names()} - NOT_IN_EVERY_MIRROR - {"hh"} | {"replies", "dialogues"}  # hh is two datasets of the hub
    assert asked == sorted((name, algo) for name in forms for algo in ("sft", "ppo"))
    assert {job.config["data"]["source"] for job in jobs} == {"hub"}
