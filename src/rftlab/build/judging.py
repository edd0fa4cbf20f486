"""A comparison of two finished runs: the same prompts, both policies' responses, both orders, a judge, the numbers."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rftlab.bars import make_console, track
from rftlab.build.held_out import with_held_out
from rftlab.build.labs import splits_of, task_of
from rftlab.build.policies import finished_run, policy_of, refuse_without_policy, responses_of, stored_responses
from rftlab.build.training import device_of
from rftlab.config.make import make
from rftlab.config.sources import own_files
from rftlab.errors import UserError
from rftlab.judges.cost import cost_of
from rftlab.judges.question import Answer, Question, Unanswered
from rftlab.judges.report import asked_of, cost_lines, measured, report_lines
from rftlab.loops.evaluation import places_of, subset
from rftlab.loops.lab import Task
from rftlab.runs import RunRecord
from rftlab.runs.comparisons import (
    Comparison,
    VerdictFile,
    content_key,
    open_comparison,
    responses_file,
    store_report,
)
from rftlab.stop import StopFlag
from rftlab.types import BeamSearch, Example, Sampling

VERSION = 1  # of the content of a comparison; raise it when the same words mean another one
NOT_CONTENT = {  # keys of judges that say how it is asked, not what
    "shared", "batch_size", "at_chance", "key_env", "concurrency", "timeout_s", "retries", "backoff_s", "most_wait_s",
    "give_up_after", "price_input", "price_output",
}  # fmt: skip
GUESSES = ("word", "text")  # stand for a token of responses that nobody has sampled yet; four characters, as most have

log = logging.getLogger("rftlab")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is compared, before anything is sampled."""

    config: Mapping[str, Any]
    judge: dict[str, Any]  # its node, complete
    records: tuple[RunRecord, RunRecord]  # in the order of their keys
    task: Task
    decoding: Sampling | BeamSearch
    examples: list[Example]  # whose prompts are answered

    @property
    def outputs(self) -> Path:
        """The folder of all runs."""
        return Path(self.config["paths"]["outputs"])

    def file(self, record: RunRecord) -> Path:
        """Say where the responses of a run lie: those of every comparison with this seed and split."""
        said = {
            "run": record.key,
            "split": self.config["split"],
            "seed": self.config["seed"],
            "decoding": {"kind": type(self.decoding).__name__, **asdict(self.decoding)},
            "stop": list(self.task.stop),
        }
        return responses_file(self.outputs, said)


def compare(config: Mapping[str, Any], a: str, b: str, stop: StopFlag) -> list[str]:
    """Compare two runs as the config says, and say it in lines; what is stored is not done again.

    Raises:
        StopRequested: What was sampled and judged is kept.
        UserError: A run, its data, its policy or the judge cannot be had, or the two cannot be compared.
    """
    plan, ordered = planned(config, a, b)
    if config["dry_run"]:
        known = [stored_responses(plan.file(record)) for record in plan.records]
        longest = [guess * plan.decoding.max_new_tokens for guess in GUESSES]
        texts = [
            [found.get(place, guess) for place in places_of(plan.examples)]
            for found, guess in zip(known, longest, strict=True)
        ]
        return [*_headline(plan, ordered), *cost_lines(plan.judge, cost_of(plan.judge, _both_orders(plan, *texts)))]
    responses = [_responses(plan, record, stop) for record in plan.records]
    comparison = _opened(plan, *responses)
    questions = _both_orders(plan, *responses)
    _judge(plan, comparison, questions, stop)
    report = _numbers(plan, comparison, questions, plan.records[0].key)
    store_report(comparison, report)
    shown = _numbers(plan, comparison, questions, ordered[0].key)
    return [*_headline(plan, ordered), *report_lines(shown), f"stored in {comparison.folder}"]


# --- what is compared ---------------------------------------------------------------------------------------------


def planned(config: Mapping[str, Any], a: str, b: str) -> tuple[Plan, tuple[RunRecord, RunRecord]]:
    """Find the runs, see that they can be compared, and choose the prompts; also the runs in the order given.

    Raises:
        UserError: They cannot.
    """
    outputs = Path(config["paths"]["outputs"])
    given = finished_run(a, outputs), finished_run(b, outputs)
    if given[0].key == given[1].key:
        raise UserError(f"{a} and {b}, one run", "two", "the command")
    for record in given:
        if "loader" not in record.config["data"]:
            raise UserError(f"{record.key}, a run on {record.config['data']['name']}", "a run on texts", "the command")
        refuse_without_policy(record)
    first, second = sorted(given, key=lambda record: record.key)
    judge = dict(config["judge"])
    if "shared" in judge:
        judge = with_held_out(judge, given, outputs)
    mirror = config["paths"]["hub_mirror"]
    tasks = [_task(record.config, mirror, config["split"]) for record in (first, second)]
    decoding = _refuse_unlike(tasks, (first, second), config["split"])
    examples = _prompts(config, tasks)
    if (judge.get("reference") is not None) and any(not example.targets for example in examples):
        raise UserError(
            f"judge.reference with data={tasks[0].name}, whose rows have no gold text", "null", "judge.reference"
        )
    plan = Plan(
        config=config, judge=judge, records=(first, second), task=tasks[0], decoding=decoding, examples=examples
    )
    return plan, given


def _task(config: Mapping[str, Any], mirror: str | None, split: str) -> Task:
    """Read the rows of a run, from the mirror that this command names where it names one.

    The run had so many held-out rows as its evaluations needed; here every row of the split may be chosen.
    """
    loader = config["data"]["loader"]
    whole = {f"n_{split}": None} if split != "train" and f"n_{split}" in loader else {}
    here = {
        **config,
        "data": {**config["data"], "loader": {**loader, **whole}},
        "paths": {**config["paths"], **({"hub_mirror": mirror} if mirror else {})},
    }
    return task_of(here, splits_of(here), None)


def _refuse_unlike(tasks: Sequence[Task], records: Sequence[RunRecord], split: str) -> Sampling | BeamSearch:
    """Refuse two runs that would not answer the same prompts in the same way; give the decoding that they share.

    Raises:
        UserError: What differs.
    """
    keys = " and ".join(record.key for record in records)
    prompts = [[(example.id, example.prompt) for example in getattr(task.splits, split)] for task in tasks]
    if prompts[0] != prompts[1]:
        found = f"{keys}, whose prompts of the split {split} differ (data={tasks[0].name}, data={tasks[1].name})"
        raise UserError(found, "runs on the same rows", "the command, split or paths.hub_mirror")
    if (tasks[0].evaluation, tasks[0].stop) != (tasks[1].evaluation, tasks[1].stop):
        raise UserError(
            f"{keys}, which are evaluated differently", "equal data.evaluation and data.stop", "the command"
        )
    if (decoding := tasks[0].evaluation) is None:
        raise UserError(f"data={tasks[0].name}, which is not answered with texts", "data that is", "the command")
    return decoding


def _prompts(config: Mapping[str, Any], tasks: Sequence[Task]) -> list[Example]:
    """Choose prompts that no run was trained on, each text once; say how many were left out, and if there are few.

    Raises:
        UserError: None is left.
    """
    split, asked = config["split"], config["prompts"]
    there = getattr(tasks[0].splits, split)
    distinct = list({example.prompt: example for example in reversed(there)}.values())[::-1]
    seen = set() if split == "train" else {example.prompt for task in tasks for example in task.splits.train}
    held_out = [example for example in distinct if example.prompt not in seen]
    if len(held_out) < len(there):
        repeated, trained = len(there) - len(distinct), len(distinct) - len(held_out)
        log.info("left out of the split %s: %d repeated prompts, %d that are trained on", split, repeated, trained)
    if split == "train":
        log.warning("split=train: the runs were trained on these prompts")
    if not held_out:
        raise UserError(f"no held-out prompt in the split {split} of data={tasks[0].name}", "some", "split")
    if len(held_out) < asked:
        log.warning(
            "%d held-out prompts in the split %s, fewer than prompts=%d: all are taken", len(held_out), split, asked
        )
    return subset(held_out, asked, "judge", split, config["seed"])


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


def _opened(plan: Plan, first: Sequence[str], second: Sequence[str]) -> Comparison:
    """Open the folder of the comparison; its key is made of the runs, the judge and all texts."""
    rows = [
        {"place": place, "prompt": example.prompt, plan.records[0].key: one, plan.records[1].key: other}
        for place, example, one, other in zip(places_of(plan.examples), plan.examples, first, second, strict=True)
    ]
    about = {
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
    return open_comparison(plan.outputs, about, rows)


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


def _judge(plan: Plan, comparison: Comparison, questions: Sequence[Question], stop: StopFlag) -> None:
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
        judge = make(plan.judge, _convert_="all", **_late(plan))
        answers = judge.verdicts(waiting, lambda: stop.requested)
        unanswered: dict[str, int] = {}
        for question, answer in _bar(plan, answers, "verdicts", len(waiting)):
            if isinstance(answer, Unanswered):
                unanswered[answer.why] = unanswered.get(answer.why, 0) + 1
            else:
                file.add(_line(plan, (question, answer)))
        for why, count in unanswered.items():
            log.warning("%d questions without an answer: %s", count, why)
    stop.check()


def _late(plan: Plan) -> dict[str, Any]:
    """Give what a judge needs that no config holds."""
    device, mirror = device_of(plan.config["runtime"]["device"]), plan.config["paths"]["hub_mirror"]
    network = {"hub_mirror": mirror and Path(mirror), "device": device}
    if "run" in plan.judge:
        return {**network, "outputs": plan.outputs, "data": plan.task.name}
    return network if "source" in plan.judge else {}


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
    node = plan.judge
    who = node.get("run") or node.get("source") or node.get("model")
    asked = plan.config["prompts"]
    few = f" (all that are held out, of {asked} asked for)" if len(plan.examples) < asked else ""
    return [
        f"A {a}",
        f"B {b}",
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
