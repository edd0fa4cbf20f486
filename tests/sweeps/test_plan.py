"""The plan of a sweep: which jobs are started, in what order, and what they are estimated to cost."""

import io
import itertools
from pathlib import Path

import pytest
from rich.console import Console

from rftlab import runs
from rftlab.errors import UserError
from rftlab.runs.cost import shape, total_steps
from rftlab.sweeps.outcome import outcomes
from rftlab.sweeps.plan import estimate, make_plan, neighbours
from rftlab.sweeps.table import counted_once, show_outcomes, show_plan, totals
from sweeps.jobs import end, finish, make_job


def states(plan) -> dict[str, str]:
    return {row.job.name: row.state for row in plan.rows}


def test_only_what_is_neither_done_nor_under_way_is_started(tmp_path: Path) -> None:
    made = {name: make_job(tmp_path, name) for name in ("new", "done", "failed", "stopped", "lost", "queued")}
    finish(made["done"])
    for state in ("failed", "stopped"):
        end(made[state], state)
    end(made["lost"], "running")
    plan = make_plan(made.values(), tmp_path, queued={made["queued"].key})
    assert states(plan) == {
        "new": "new", "done": "done", "failed": "failed", "stopped": "resume", "lost": "resume", "queued": "queued",
    }  # fmt: skip
    assert {row.job.name for row in plan.to_do} == {"new", "failed", "stopped", "lost"}


def test_a_live_run_is_left_alone(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    with runs.Run.claim(job.folder, job.config):
        assert states(make_plan([job], tmp_path)) == {"run": "running"}
    assert states(make_plan([job], tmp_path)) == {"run": "resume"}


def test_a_run_that_another_sweep_has_finished_is_done(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    finish(job)
    job.folder.parent.rename(tmp_path / "other")
    (row,) = make_plan([job], tmp_path).rows
    assert (row.state, row.folder.parent.name) == ("done", "other")


def test_parents_come_first_once_and_only_where_a_child_still_needs_them(tmp_path: Path) -> None:
    parent, spared = make_job(tmp_path, "sft"), make_job(tmp_path, "sft-of-a-done-child")
    children = [make_job(tmp_path, f"ppo{i}", parent) for i in range(3)]
    done = make_job(tmp_path, "done", spared)
    finish(done)
    plan = make_plan([*children, done], tmp_path)
    assert [row.job.name for row in plan.rows] == ["sft", "ppo0", "ppo1", "ppo2", "done"]
    assert [row.is_parent for row in plan.rows] == [True, False, False, False, False]


def test_a_job_that_the_grid_names_twice_counts_once(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    assert len(make_plan([job, make_job(tmp_path)], tmp_path).rows) == 1


def test_a_run_named_in_two_wordings_counts_once_and_the_table_says_so(tmp_path: Path) -> None:
    wordings = [["kl.target=6"], ["kl.target=6.0"], [], ["kl.target=6"]]
    plan = make_plan([make_job(tmp_path, overrides=words) for words in wordings], tmp_path)
    assert [row.job.config["overrides"] for row in plan.rows] == [wordings[0]]  # the first wording is the run's
    console = Console(record=True, width=160, file=io.StringIO())
    show_plan(console, plan, {}, short=True)
    said = console.export_text().splitlines()[-4:]
    assert said[0].startswith("1 job: 1 new")
    assert [line.partition("counts once")[2] for line in said[1:]] == [
        ": as kl.target=6 and as kl.target=6.0", ": as kl.target=6 and as it is", "",
    ]  # fmt: skip
    many = make_plan([make_job(tmp_path) for _ in range(9)], tmp_path)
    assert counted_once(many)[-1] == "5 more are named again and count once"


def test_a_parent_that_the_grid_names_too_is_run_first_and_as_the_grid_says(tmp_path: Path) -> None:
    parent = make_job(tmp_path, "sft", resources={"mem_gb": None})
    named = make_job(tmp_path, "sft", resources={"mem_gb": 9})
    assert named.key == parent.key
    child = make_job(tmp_path, "ppo", parent)
    for order in ([child, named], [named, child]):
        plan = make_plan(order, tmp_path)
        assert [row.job.name for row in plan.rows] == ["sft", "ppo"]
        assert plan.rows[0].job is named and not plan.again


def test_every_row_comes_after_its_parents_whatever_the_grid_names_and_in_which_order(tmp_path: Path) -> None:
    sft = make_job(tmp_path, "sft")
    responses = make_job(tmp_path, "responses", sft)
    model = make_job(tmp_path, "model", responses)
    children = [make_job(tmp_path, f"ppo{i}", sft, model) for i in range(2)]
    for named in itertools.permutations([sft, model, *children]):
        plan = make_plan(named, tmp_path)
        assert [row.job.name for row in plan.rows][:3] == ["sft", "responses", "model"]
        assert [row.is_parent for row in plan.rows] == [True, True, True, False, False]
        assert len(estimate(plan, tmp_path, gpus=0)) == 5
    finish(model)
    assert [row.job.name for row in make_plan(children, tmp_path).rows] == ["sft", "model", "ppo0", "ppo1"]
    console = Console(record=True, width=200, file=io.StringIO())
    show_plan(console, make_plan(children, tmp_path), {}, short=False)
    assert f"{sft.key} {model.key}" in console.export_text()


def test_the_estimate_is_seconds_per_step_of_like_runs_times_the_steps_left(tmp_path: Path) -> None:
    like = shape(make_job(tmp_path).config)
    for number, seconds in enumerate((10.0, 20.0, 60.0)):
        finish(make_job(tmp_path, f"done{number}"), seconds, like)
    whole, half = make_job(tmp_path, "whole", iterations=36), make_job(tmp_path, "half", iterations=36)
    end(half, "stopped", step=18)
    plan = make_plan([whole, half], tmp_path)
    costs = estimate(plan, tmp_path, gpus=0)
    assert (costs[whole.key].hours, costs[half.key].hours) == pytest.approx((0.2, 0.1))
    assert "0.3 h on a CPU" in totals(plan, costs)


def test_jobs_that_ask_for_gpus_are_summed_in_gpu_hours_of_runs_on_gpus(tmp_path: Path) -> None:
    like = shape(make_job(tmp_path).config)
    finish(make_job(tmp_path, "on-cpu"), 100.0, like)
    job = make_job(tmp_path, "new", iterations=36)
    plan = make_plan([job], tmp_path)
    costs = estimate(plan, tmp_path, gpus=1)
    assert (costs[job.key].hours, costs[job.key].elsewhere) == (1.0, True)
    assert totals(plan, costs).endswith("1.0 h on a CPU (measured there; these ask for a GPU)")
    finish(make_job(tmp_path, "on-gpu"), 50.0, like, device="NVIDIA A100-SXM4-80GB")
    assert totals(plan, estimate(plan, tmp_path, gpus=1)).endswith("0.5 GPU h on NVIDIA A100-SXM4-80GB")
    assert totals(plan, estimate(plan, tmp_path, gpus=0)).endswith("1.0 h on a CPU")
    own = make_job(tmp_path, "own", iterations=36, resources={"gpus_per_node": 2})
    (cost,) = estimate(make_plan([own], tmp_path), tmp_path, gpus=0).values()
    assert (cost.hours, cost.unit) == (1.0, "GPU")


def test_measurements_of_two_kinds_of_gpu_are_never_mixed(tmp_path: Path) -> None:
    like = shape(make_job(tmp_path).config)
    for number, (seconds, device) in enumerate([(50.0, "NVIDIA A100"), (50.0, "NVIDIA A100"), (10.0, "NVIDIA H100")]):
        finish(make_job(tmp_path, f"done{number}"), seconds, like, device=device)
    plain = make_job(tmp_path, "plain", iterations=36, resources={"gpus_per_node": 8})
    fast = make_job(tmp_path, "fast", iterations=36, resources={"gpus_per_node": 8, "gpu_type": "h100"})
    plan = make_plan([plain, fast], tmp_path)
    costs = estimate(plan, tmp_path, gpus=0)
    assert (costs[plain.key].hours, costs[plain.key].device) == (pytest.approx(4.0), "NVIDIA A100")
    assert (costs[fast.key].hours, costs[fast.key].device) == (pytest.approx(0.8), "NVIDIA H100")
    assert "4.0 GPU h on NVIDIA A100, 0.8 GPU h on NVIDIA H100" in totals(plan, costs)


def test_a_column_of_costs_says_what_it_counts(tmp_path: Path) -> None:
    like = shape(make_job(tmp_path).config)
    finish(make_job(tmp_path, "done"), 1.0, like)
    plan = make_plan([make_job(tmp_path, "short"), make_job(tmp_path, "long", iterations=3600)], tmp_path)
    console = Console(record=True, width=160, file=io.StringIO())
    show_plan(console, plan, estimate(plan, tmp_path, gpus=0), short=False)
    head, short, long, _ = console.export_text().splitlines()
    assert head.split()[-1] == "estimate" and short.endswith("0.1 min") and long.endswith("1.0 h")


def test_the_estimate_is_unknown_without_a_run_of_the_same_shape(tmp_path: Path) -> None:
    finish(make_job(tmp_path, "done"), 10.0, "another shape")
    plan = make_plan([make_job(tmp_path)], tmp_path)
    assert list(estimate(plan, tmp_path, gpus=0).values()) == [None]
    assert "unknown for 1" in totals(plan, estimate(plan, tmp_path, gpus=0))


def test_what_does_not_change_the_time_of_a_step_does_not_change_the_shape(tmp_path: Path) -> None:
    base = make_job(tmp_path).config
    assert shape({**base, "seed": 9, "optimizer": {"lr": 1.0}}) == shape(base)
    more = {**base["algo"], "loop": {**base["algo"]["loop"], "iterations": 99}}
    assert shape({**base, "algo": more}) == shape(base)
    larger = {**base["algo"], "loop": {**base["algo"]["loop"], "prompts_per_iteration": 99}}
    assert shape({**base, "algo": larger}) != shape(base)


def test_choosing_prompts_costs_responses_and_other_heuristics_cost_nothing(tmp_path: Path) -> None:
    base = make_job(tmp_path).config
    heuristics = [{"name": "none"}, {"name": "entropy", "coef": 0.1}]
    heuristics += [{"name": "chosen", "prompts": {"max_rounds": rounds}} for rounds in (3, 9)]
    heuristics += [{"name": "chosen", "prompts": {"samples": 4}}]
    plain, entropy, *chosen = (shape({**base, "heuristic": heuristic}) for heuristic in heuristics)
    assert plain == entropy and len({plain, *chosen}) == 4


def test_supervised_steps_are_a_share_of_the_whole(tmp_path: Path) -> None:
    loop = {"steps": 100, "step_fraction": 0.25}
    assert total_steps({"algo": {"loop": loop}}) == 25
    assert total_steps({"algo": {"loop": {"steps": 10, "step_fraction": 0.001}}}) == 1


def test_an_option_that_differs_in_many_keys_is_told_apart_by_its_name(tmp_path: Path) -> None:
    adam = {"name": "adam", "build": {"betas": [0.9, 0.999], "eps": 1e-8}, "lr": 1e-4}
    sgd = {"name": "sgd", "build": {"momentum": 0.0}, "lr": 1e-2}
    made = [make_job(tmp_path, f"run{n}", optimizer=node, seed=n % 2) for n, node in enumerate((adam, adam, sgd, sgd))]
    for job in made:
        job.config["name"] = "run"
    console = Console(record=True, width=200, file=io.StringIO())
    show_plan(console, make_plan(made, tmp_path), {}, short=False)
    text = console.export_text()
    assert text.count("optimizer.name=adam seed=") == text.count("optimizer.name=sgd seed=") == 2
    assert "build" not in text and "optimizer.lr" not in text


def test_the_table_names_every_job_by_what_tells_it_from_the_others(tmp_path: Path) -> None:
    made = [make_job(tmp_path, "a"), make_job(tmp_path, "b")]
    made += [make_job(tmp_path, f"c{lr}", optimizer={"lr": lr}) for lr in (0.1, 0.2)]
    for job in made[2:]:
        job.config["name"] = "c"
    console = Console(record=True, width=160, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        show_plan(console, make_plan(made, tmp_path), {}, short=False)
        text = console.export_text()
    assert "c optimizer.lr=0.1" in text and "c optimizer.lr=0.2" in text
    assert "a optimizer" not in text
    assert all(job.key in text for job in made)


def test_the_short_table_says_how_many_jobs_it_leaves_out(tmp_path: Path) -> None:
    made = [make_job(tmp_path, f"job{i:02}") for i in range(40)]
    console = Console(record=True, width=160, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        show_plan(console, make_plan(made, tmp_path), {}, short=True)
        text = console.export_text()
    assert "28 more" in text and "40 jobs: 40 new" in text
    assert "job00" in text and "job39" in text and "job20" not in text


def test_the_summary_names_every_failure_with_its_log(tmp_path: Path) -> None:
    good, bad, silent = (make_job(tmp_path, name) for name in ("good", "bad", "silent"))
    finish(good)
    end(bad, "failed", error="UserError: no such thing\nsecond line")
    (bad.folder / "log.txt").write_text("UserError: no such thing\n")
    ends = outcomes([good, bad, silent], {good.key: "done", bad.key: "failed", silent.key: "done"})
    assert [e.state for e in ends] == ["done", "failed", "failed"]  # who says done must have a finished run to show
    console = Console(record=True, width=300, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        show_outcomes(console, ends)
        text = console.export_text()
    assert "UserError: no such thing" in text and "second line" not in text
    assert str(bad.folder / "log.txt") in text
    assert "1 done, 2 failed" in text


def test_an_axis_that_makes_no_two_runs_is_refused(tmp_path: Path) -> None:
    one, two = (make_job(tmp_path, resources={"partition": name}) for name in ("a", "b"))
    assert one.key == two.key
    with pytest.raises(UserError, match=r"resources\.partition"):
        make_plan([one, two], tmp_path)


def test_a_new_job_names_the_nearest_run_of_its_name_and_what_changed(tmp_path: Path) -> None:
    near = make_job(tmp_path, optimizer={"lr": 0.1}, eval={"every": 5})
    far = make_job(tmp_path, optimizer={"lr": 0.3}, eval={"every": 7}, seed=9)
    other = make_job(tmp_path, "other", optimizer={"lr": 0.2}, eval={"every": 5})
    for job in (near, far, other):
        finish(job)
    new = make_job(tmp_path, optimizer={"lr": 0.2}, eval={"every": 5})
    (line,) = neighbours(make_plan([new], tmp_path), tmp_path / "sweep")
    assert near.key in line and line.endswith("differs in optimizer.lr")
    assert neighbours(make_plan([near, new], tmp_path), tmp_path / "sweep")[0].count(far.key) == 1
    assert neighbours(make_plan([near], tmp_path), tmp_path / "sweep") == []


def test_lists_in_names_are_shown_and_not_read_as_markup(tmp_path: Path) -> None:
    made = [make_job(tmp_path, "run", parts=[word]) for word in ("red", "bold")]
    console = Console(record=True, width=160, file=io.StringIO())
    show_plan(console, make_plan(made, tmp_path), {}, short=False)
    text = console.export_text()
    assert "parts=['red']" in text and "parts=['bold']" in text
