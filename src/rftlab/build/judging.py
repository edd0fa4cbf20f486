"""A comparison of two finished runs, or of all policies of a sweep: responses, both orders, a judge, the numbers."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

from rftlab.bars import make_console, track
from rftlab.build.held_out import with_held_out
from rftlab.build.judging_plan import Plan, Rows, plan_of, refuse_pair
from rftlab.build.labs import task_of
from rftlab.build.policies import finished_run, policy_of, responses_of, stored_responses
from rftlab.build.training import device_of
from rftlab.config.make import make
from rftlab.config.sources import own_files
from rftlab.errors import UserError
from rftlab.judges.cost import cost_of, total_of
from rftlab.judges.question import Answer, Judge, Question, Unanswered
from rftlab.judges.report import asked_of, cost_lines, measured, report_lines
from rftlab.judges.sweep_report import Judged, sweep_lines
from rftlab.loops.evaluation import places_of
from rftlab.loops.lab import Task
from rftlab.runs import RunRecord
from rftlab.runs.comparisons import (
    Comparison,
    VerdictFile,
    content_key,
    open_comparison,
    store_report,
    stored_verdicts,
)
from rftlab.stop import StopFlag
from rftlab.sweeps.policies import Pair, pairs_of
from rftlab.types import BeamSearch, Sampling

VERSION = 1  # of the content of a comparison; raise it when the same words mean another one
NOT_CONTENT = {  # keys of judges that say how it is asked, not what
    "shared", "batch_size", "at_chance", "key_env", "concurrency", "timeout_s", "retries", "backoff_s", "most_wait_s",
    "give_up_after", "price_input", "price_output",
}  # fmt: skip
GUESSES = ("word", "text")  # stand for a token of responses that nobody has sampled yet; four characters, as most have

log = logging.getLogger("rftlab")


def compare(config: Mapping[str, Any], a: str, b: str, stop: StopFlag) -> list[str]:
    """Compare two runs as the config says, and say it in lines; what is stored is not done again.

    Raises:
        StopRequested: What was sampled and judged is kept.
        UserError: A run, its data, its policy or the judge cannot be had, or the two cannot be compared.
    """
    outputs = Path(config["paths"]["outputs"])
    given = finished_run(a, outputs), finished_run(b, outputs)
    if given[0].key == given[1].key:
        raise UserError(f"{a} and {b}, one run", "two", "the command")
    refuse_pair(given)
    plan = plan_of(config, given, _held_out(config, given), Rows(config["paths"]["hub_mirror"], config["split"]))
    if config["dry_run"]:
        return [*_headline(plan, given), *cost_lines(plan.judge, cost_of(plan.judge, _to_ask(plan)))]
    comparison, report = _compared(plan, given[0].key, partial(_loaded, plan), stop)
    return [*_headline(plan, given), *report_lines(report), f"stored in {comparison.folder}"]


def compare_sweep(config: Mapping[str, Any], sweep: str, stop: StopFlag) -> list[str]:
    """Compare every policy of a sweep with every other of its seed, and say it in lines over the seeds.

    What cannot be compared is named below the numbers; the other pairs are compared all the same.

    Raises:
        StopRequested: What was sampled and judged is kept.
        UserError: There is no pair, or the judge cannot be had.
    """
    found = pairs_of(Path(config["paths"]["outputs"]), sweep)
    plans, refused = _planned(config, found.there)
    lacking = [*found.lacking, *refused]
    if not plans:
        raise UserError(f"sweep={sweep} without a pair to compare{'; '.join(['', *lacking])}", "two policies", "sweep")
    judges = {plan.task.name: plan for _, plan in plans}
    about = [line for plan in judges.values() for line in _about(plan)]
    if config["dry_run"]:
        costs = [cost_of(plan.judge, _to_ask(plan)) for _, plan in plans]
        first = f"{len(plans)} pairs of the sweep {sweep}"
        return [first, *about, *cost_lines(plans[0][1].judge, total_of(costs)), *lacking]
    loaded = {name: cache(partial(_loaded, plan)) for name, plan in judges.items()}  # one for all pairs on its data
    rows = []
    for number, (pair, plan) in enumerate(plans, 1):
        log.info("pair %d of %d: %s and %s, seed %d", number, len(plans), pair.a, pair.b, pair.seed)
        _, report = _compared(plan, pair.records[0].key, loaded[plan.task.name], stop)
        rows.append(Judged(panel=pair.panel, a=pair.a, b=pair.b, seed=pair.seed, report=report))
    return [*about, *sweep_lines(rows), *lacking]


# --- what is compared ---------------------------------------------------------------------------------------------


def _held_out(config: Mapping[str, Any], judged: Sequence[RunRecord]) -> dict[str, Any]:
    """Complete the node of the judge; one that is a reward model is held out of all that these runs learned.

    Raises:
        UserError: There is none.
    """
    judge = dict(config["judge"])
    return with_held_out(judge, judged, Path(config["paths"]["outputs"])) if "shared" in judge else judge


def _planned(config: Mapping[str, Any], pairs: Sequence[Pair]) -> tuple[list[tuple[Pair, Plan]], list[str]]:
    """Plan the pairs of a sweep; also say which cannot be compared, and why.

    Raises:
        UserError: There is no judge.
    """
    able, refused = [], dict[str, None]()
    for pair in pairs:
        try:
            refuse_pair(pair.records)
            able.append(pair)
        except UserError as error:
            refused[f"left out: {error}"] = None
    records = {pair.records[0].config["data"]["name"]: dict[str, RunRecord]() for pair in able}
    for pair in able:
        records[pair.records[0].config["data"]["name"]] |= {record.key: record for record in pair.records}
    judges = {data: _held_out(config, list(each.values())) for data, each in records.items()}
    rows = Rows(config["paths"]["hub_mirror"], config["split"])
    plans = []
    for pair in able:
        try:
            plans.append((pair, plan_of(config, pair.records, judges[pair.records[0].config["data"]["name"]], rows)))
        except UserError as error:
            refused[f"left out: {error}"] = None
    return plans, list(refused)


def _to_ask(plan: Plan) -> list[Question]:
    """Give the questions that are still to be asked, with guesses for responses that nobody has sampled yet."""
    known = [stored_responses(plan.file(record)) for record in plan.records]
    longest = [guess * plan.decoding.max_new_tokens for guess in GUESSES]
    places = places_of(plan.examples)
    texts = [[found.get(place, guess) for place in places] for found, guess in zip(known, longest, strict=True)]
    questions = _both_orders(plan, *texts)
    if any(place not in found for found in known for place in places):
        return questions
    about, _ = _content(plan, *texts)
    stored = {asked_of(verdict) for verdict in stored_verdicts(plan.outputs, about)}
    return [question for question in questions if (question.place, _first(plan, question)) not in stored]


def _compared(plan: Plan, side: str, load: Callable[[], Judge], stop: StopFlag) -> tuple[Comparison, dict[str, Any]]:
    """Sample, judge and store what is missing; the numbers are from the side of a run.

    Raises:
        StopRequested: What was sampled and judged is kept.
        UserError: A policy or the judge cannot be had.
    """
    responses = [_responses(plan, record, stop) for record in plan.records]
    about, rows = _content(plan, *responses)
    comparison = open_comparison(plan.outputs, about, rows)
    questions = _both_orders(plan, *responses)
    _judge(plan, comparison, questions, load, stop)
    store_report(comparison, _numbers(plan, comparison, questions, plan.records[0].key))
    return comparison, _numbers(plan, comparison, questions, side)


# --- responses and questions --------------------------------------------------------------------------------------


def _responses(plan: Plan, record: RunRecord, stop: StopFlag) -> list[str]:
    device, mirror = device_of(plan.config["runtime"]["device"]), plan.config["paths"]["hub_mirror"]
    load = partial(policy_of, record, plan.outputs, mirror and Path(mirror), device)
    task = _task_for(plan.task, record)
    seed, size, file = plan.config["seed"], plan.config["batch_size"], plan.file(record)

    def bar(items: Iterable[int], label: str) -> Iterable[int]:
        return _bar(plan, items, f"responses of {record.key}")

    return responses_of(load, task, plan.examples, plan.decoding, seed, size, file, bar, stop)


def _task_for(task: Task, record: RunRecord) -> Task:
    """Give the task with the formatting of prompts that a run has: two policies may be asked in two formats."""
    return task_of(record.config, task.splits, None)


def _content(plan: Plan, first: Sequence[str], second: Sequence[str]) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Say what is compared, of which the key is made, the runs, the judge and all texts; and the texts."""
    rows = [
        {"place": place, "prompt": example.prompt, plan.records[0].key: one, plan.records[1].key: other}
        for place, example, one, other in zip(places_of(plan.examples), plan.examples, first, second, strict=True)
    ]
    about: dict[str, Any] = {
        "version": VERSION,
        "runs": [record.key for record in plan.records],
        "names": [record.name for record in plan.records],
        "judge": {key: value for key, value in plan.judge.items() if key not in NOT_CONTENT},
        "files": own_files({"model": {"policy": _model_of(plan.judge)}}),
        "data": plan.task.name,
        "split": plan.config["split"],
        "seed": plan.config["seed"],
        "prompts": len(rows),
        "decoding": {"kind": type(plan.decoding).__name__, **asdict(plan.decoding)},
        "references": [example.targets[0] for example in plan.examples] if plan.judge.get("reference") else None,
        "texts": content_key({"texts": rows}),
    }
    return about, rows


def _model_of(judge: Mapping[str, Any]) -> dict[str, Any]:
    """Give the part of a judge's node that may name folders of the user's own."""
    return {name: judge[name] for name in ("source", "tokenizer") if judge.get(name) is not None}


def _both_orders(plan: Plan, first: Sequence[str], second: Sequence[str]) -> list[Question]:
    """Make the questions: none about responses that are one text, and one order for a judge that sees none."""
    orders = (False,) if _symmetric(plan.judge) else (False, True)
    return [
        Question(
            place=place,
            prompt=example.prompt,
            first=other if swapped else one,
            second=one if swapped else other,
            reference=example.targets[0] if example.targets else None,
            swapped=swapped,
        )
        for place, example, one, other in zip(places_of(plan.examples), plan.examples, first, second, strict=True)
        if one != other
        for swapped in orders
    ]


def _symmetric(judge: Mapping[str, Any]) -> bool:
    """Say whether a judge reads one response at a time: those that are asked in words do not."""
    return "template" not in judge


# --- verdicts and numbers -----------------------------------------------------------------------------------------


def _judge(
    plan: Plan, comparison: Comparison, questions: Sequence[Question], load: Callable[[], Judge], stop: StopFlag
) -> None:
    """Ask what is not stored yet, and store every verdict as it comes.

    Raises:
        StopRequested: In between.
        UserError: The judge cannot be had, or gives no answers.
    """
    stop.check()
    with VerdictFile(comparison.folder) as file:
        stored = {asked_of(verdict) for verdict in comparison.verdicts()}
        waiting = [q for q in questions if (q.place, _first(plan, q)) not in stored]
        if stored and waiting:
            log.info("%d verdicts are there, %d are missing", len(questions) - len(waiting), len(waiting))
        if not waiting:
            return
        for line in cost_lines(plan.judge, cost_of(plan.judge, waiting)):
            log.info(line)
        answers = load().verdicts(waiting, lambda: stop.requested)
        unanswered: dict[str, int] = {}
        for question, answer in _bar(plan, answers, "verdicts", len(waiting)):
            if isinstance(answer, Unanswered):
                unanswered[answer.why] = unanswered.get(answer.why, 0) + 1
            else:
                file.add(_line(plan, (question, answer)))
        for why, count in unanswered.items():
            log.warning("%d questions without an answer: %s", count, why)
    stop.check()


def _loaded(plan: Plan) -> Judge:
    """Load the judge, with what it needs that no config holds.

    Raises:
        UserError: It cannot be had.
    """
    device, mirror = device_of(plan.config["runtime"]["device"]), plan.config["paths"]["hub_mirror"]
    network = {"hub_mirror": mirror and Path(mirror), "device": device}
    if "run" in plan.judge:
        late = {**network, "outputs": plan.outputs, "data": plan.task.name}
    else:
        late = network if "source" in plan.judge else {}
    return make(plan.judge, _convert_="all", **late)


def _first(plan: Plan, question: Question) -> str:
    return plan.records[1 if question.swapped else 0].key


def _line(plan: Plan, answer: Answer) -> dict[str, Any]:
    """Write a verdict with the keys of runs in place of first and second."""
    question, verdict = answer
    assert not isinstance(verdict, Unanswered)
    first, second = (record.key for record in (plan.records[::-1] if question.swapped else plan.records))
    preferred = {"first": first, "second": second, "tie": "tie", "unreadable": None}[verdict.choice]
    return {
        "place": question.place,
        "first": first,
        "preferred": preferred,
        "said": verdict.said,
        "tokens_in": verdict.tokens_in,
        "tokens_out": verdict.tokens_out,
    }


def _numbers(plan: Plan, comparison: Comparison, questions: Sequence[Question], key: str) -> dict[str, Any]:
    asked = {(q.place, _first(plan, q)) for q in questions}
    verdicts = [verdict for verdict in comparison.verdicts() if asked_of(verdict) in asked]
    return measured(
        verdicts,
        run=key,
        other=next(record.key for record in plan.records if record.key != key),
        prompts=len(plan.examples),
        questions=len(questions),
        orders=1 if _symmetric(plan.judge) else 2,
        resamples=plan.config["resamples"],
        seed=plan.config["seed"],
        judge=plan.judge,
    )


def _headline(plan: Plan, records: Sequence[RunRecord]) -> list[str]:
    a, b = (f"{record.name}-{record.key}" for record in records)
    return [f"A {a}", f"B {b}", *_about(plan)]


def _about(plan: Plan) -> list[str]:
    """Say who judges which prompts."""
    node = plan.judge
    who = node.get("run") or node.get("source") or node.get("model")
    asked = plan.config["prompts"]
    few = f" (all that are held out, of {asked} asked for)" if len(plan.examples) < asked else ""
    return [
        f"judged by {node['_target_'].split('.')[-2]} {who}",
        f"{len(plan.examples)} prompts{few} of the split {plan.config['split']} of data={plan.task.name}, "
        f"seed {plan.config['seed']}, {_decoded(plan.decoding)}",
    ]


def _decoded(decoding: Sampling | BeamSearch) -> str:
    values = ", ".join(f"{name} {value:g}" for name, value in asdict(decoding).items())
    return f"one response each ({'sampled' if isinstance(decoding, Sampling) else 'searched'}: {values})"


def _bar(plan: Plan, items: Any, label: str, total: int | None = None) -> Any:
    shown = plan.config["runtime"]["progress"]
    return items if shown == "never" else track(items, label, total, console=make_console(forced=shown == "always"))
