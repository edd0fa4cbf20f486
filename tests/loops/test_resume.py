"""A run that was interrupted goes on where its checkpoint was written, and ends as if nothing had happened."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from by_config import built, on_texts
from losses import apa, awr, ilql, in_tokens, offline, online, ppo, reinforce, supervised
from safetensors.torch import load_file
from scored import with_responses
from toy import Killed, die

from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.algorithms.sft import SFT
from rftlab.errors import UserError
from rftlab.files import read_lines
from rftlab.loops import checkpoint
from rftlab.loops.lab import Lab
from rftlab.loops.offline import Offline
from rftlab.loops.online import Online
from rftlab.loops.supervised import Supervised
from rftlab.models import Policy
from rftlab.runs import read_run
from rftlab.stop import StopFlag, StopRequested
from rftlab.types import Algorithm

PER_TOKEN = AdaptiveKL(initial=0.05, target=0.1, rate=0.5, unit="token")
OF_POLICY = {"reward/mean": [(1, 0), (2, 1), (2, 2), (2, 3)]}  # logged where the policy stood that was sampled from
SMALL = {
    "sizes": {"train": 1, "validation": 1, "test": 1},
    "probe_prompts": 2,
    "probe_prompts_during": 1,
}  # of quick_lab
STEPS = 2  # of the optimiser, per iteration of the online loop; each run dies in its second iteration
RUNS = {
    "ppo": (online(update_epochs=1, microbatch_size=4), ppo(), 2 * STEPS, "reward/mean"),
    "ppo in tokens": (in_tokens(), ppo(kl=PER_TOKEN), 2 * STEPS, "reward/mean"),
    "apa": (online(update_epochs=1, microbatch_size=4), apa(), 2 * STEPS, "reward/mean"),
    "awr": (online(update_epochs=1, microbatch_size=4), awr(), 2 * STEPS, "reward/mean"),
    "reinforce": (online(update_epochs=1, microbatch_size=4), reinforce(), 2 * STEPS, "reward/mean"),
    "offline awr": (offline(), awr(), 2, "policy/loss"),
    "ilql": (offline(values="refreshed"), ilql(), 2, "ilql/q_loss"),
    "offline apa, values refreshed": (offline(values="refreshed"), apa(), 2, "policy/loss"),
    "sft": (supervised(steps=3, microbatch_size=4), SFT(), 2, "sft/loss"),
}


def run_until(lab: Lab, loop: Online | Supervised | Offline, loss: Algorithm | SFT, error: type[Exception]) -> None:
    with pytest.raises(error):
        loop.run(lab, loss)
    lab.session.run.stop()


def leaves(tree: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Name every tensor and number in nested mappings and lists."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, f"{name}/{key}")
    elif isinstance(tree, list | tuple):
        for i, value in enumerate(tree):
            yield from leaves(value, f"{name}/{i}")
    else:
        yield name, tree


def assert_equal(one: object, other: object) -> None:
    """Compare two nested states bit by bit."""
    first, second = dict(leaves(one)), dict(leaves(other))
    assert first.keys() == second.keys()
    for name, value in first.items():
        same = torch.equal(value, second[name]) if isinstance(value, torch.Tensor) else value == second[name]
        assert same, name


def untimed(folder: Path) -> list[tuple[int, str, float]]:
    return [metric for metric in read_run(folder).metrics() if not metric[1].startswith("time/")]


def responses(folder: Path) -> list[dict]:
    return [{key: row[key] for key in row if key != "attempt"} for row in read_run(folder).samples()]


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
@pytest.mark.parametrize("name", list(RUNS))
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(
    quick_lab: Callable[..., Lab], family: str, name: str
) -> None:
    loop, loss, death, metric = RUNS[name]
    whole = quick_lab("whole", family=family)
    final = loop.run(whole, loss)

    broken = quick_lab("broken", family=family, watch={"at": death, "then": die})
    folder = broken.session.run.folder
    run_until(broken, loop, loss, Killed)
    saved = checkpoint.latest(folder)
    assert saved is not None and saved[0] == 1
    resumed = quick_lab("broken", family=family)
    assert loop.run(resumed, loss) == final

    lines = [(line["attempt"], line["step"], line["metrics"]) for line in read_lines(folder / "metrics.jsonl")]
    for name, steps in (("optimizer/lr", [(1, 1), (2, 2), (2, 3)]), (metric, OF_POLICY.get(metric))):
        found = [(attempt, step) for attempt, step, metrics in lines if name in metrics]
        assert steps is None or found == steps, name  # nothing was done twice, and nothing left out
    assert len(resumed.optimizer.build.steps) == len(whole.optimizer.build.steps) * 2 // 3
    assert whole.task.reward.checkpoint is not None and whole.task.reward.checkpoint[0] == 3
    assert_equal(whole.task.reward.checkpoint, resumed.task.reward.checkpoint)  # all networks, the optimiser, the rest
    weights = [load_file(lab.session.run.folder / "final" / "model.safetensors") for lab in (whole, resumed)]
    assert_equal(*weights)
    assert untimed(whole.session.run.folder) == untimed(folder)
    assert responses(whole.session.run.folder) == responses(folder)
    assert read_run(whole.session.run.folder).prompts().equals(read_run(folder).prompts())


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
@pytest.mark.parametrize("name", list(on_texts()))
def test_every_algorithm_with_a_config_resumes_bit_for_bit(
    quick_lab: Callable[..., Lab], family: str, name: str
) -> None:
    """It dies in the last of three iterations, with what the two before have left: moments, copies, beta, position."""

    def lab_in(folder: str, **watch: object) -> Lab:
        return with_responses(quick_lab(folder, family=family, watch=watch))

    loop, loss = built(name)
    whole = lab_in("whole")
    final = loop.run(whole, loss)
    steps = len(whole.optimizer.build.steps)
    assert steps % 3 == 0
    broken = lab_in("broken", at=steps * 2 // 3 + 1, then=die)
    run_until(broken, loop, loss, Killed)
    saved = checkpoint.latest(broken.session.run.folder)
    assert saved is not None and saved[0] == 2
    resumed = lab_in("broken")
    again = loop.run(resumed, loss)
    assert len(resumed.optimizer.build.steps) == steps // 3, "nothing was done twice"
    assert_equal(final, again)
    for one, other in zip(whole.optimizer.build.steps[-steps // 3 :], resumed.optimizer.build.steps, strict=True):
        assert torch.equal(one.everything, other.everything) and one.lr == other.lr
    folders = [lab.session.run.folder for lab in (whole, resumed)]
    assert_equal(*(load_file(folder / "final" / "model.safetensors") for folder in folders))
    assert untimed(folders[0]) == untimed(folders[1])


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
@pytest.mark.parametrize("name", ["ppo", "sft"])
def test_a_run_that_died_of_memory_goes_on_with_smaller_batches(
    quick_lab: Callable[..., Lab], make_policy: Callable[[str], Policy], family: str, name: str
) -> None:
    def out_of_memory() -> None:
        raise MemoryError

    loop, loss, death, metric = RUNS[name]
    whole = quick_lab("whole", family=family)
    loop.run(whole, loss)
    broken = quick_lab("broken", family=family, watch={"at": death, "then": out_of_memory})
    folder = broken.session.run.folder
    run_until(broken, loop, loss, MemoryError)
    resumed = quick_lab("broken", family=family, evaluation={**SMALL, "batch_size": 1})
    replace(loop, microbatch_size=1).run(resumed, loss)

    steps = [line["step"] for line in read_lines(folder / "metrics.jsonl") if metric in line["metrics"]]
    first = 0 if metric == "reward/mean" else 1  # rollouts are told of the policy that sampled
    assert (
        steps == list(range(first, 4))
        and len(resumed.optimizer.build.steps) == len(whole.optimizer.build.steps) * 2 // 3
    )
    assert responses(whole.session.run.folder) == responses(folder)  # what was sampled before and after the death
    one, other = (load_file(lab.session.run.folder / "final" / "model.safetensors") for lab in (whole, resumed))
    start = make_policy(family).lm.state_dict()
    moved, apart = (sum(float((one[key] - to[key]).square().sum()) ** 0.5 for key in one) for to in (start, other))
    assert moved > 0.1 and apart < 0.01 * moved  # AdamW may turn the sign of a step of rounding


@pytest.mark.parametrize("name", ["ppo", "sft"])
def test_a_run_that_is_asked_to_stop_saves_its_iteration_first(quick_lab: Callable[..., Lab], name: str) -> None:
    loop, loss, *_ = RUNS[name]
    lab = quick_lab("asked", checkpoint_every=1000, watch={"at": 1})
    lab.optimizer.build.then = lambda: lab.session.stop.request("preempted")
    run_until(lab, loop, loss, StopRequested)
    saved = checkpoint.latest(lab.session.run.folder)
    assert saved is not None and saved[0] == 1


class StopAtCheck(StopFlag):
    """Be asked to stop right before a loop looks whether it was, for the `at`-th time."""

    def __init__(self, at: int | None) -> None:
        super().__init__()
        self.at, self.checks = at, 0

    def check(self) -> None:
        self.checks += 1
        if self.checks == self.at:
            self.request("preempted")
        super().check()


@pytest.mark.parametrize("name", ["ppo", "sft"])
def test_wherever_a_run_is_asked_to_stop_no_iteration_is_done_twice(quick_lab: Callable[..., Lab], name: str) -> None:
    """In the middle of an evaluation or of a look at the probe set, too; checkpoints are far apart."""
    loop, loss, *_ = RUNS[name]
    looks = {**SMALL, "every": 1, "probe_every": 2, "batch_size": 2}

    def lab_with(folder: str, at: int | None) -> Lab:
        lab = quick_lab(folder, checkpoint_every=1000, evaluation=looks)
        return replace(lab, session=replace(lab.session, stop=StopAtCheck(at)))

    whole = lab_with("whole", None)
    final = loop.run(whole, loss)
    stopped = set()
    for at in range(whole.session.stop.checks, 0, -4):  # some of the places, from the last on
        lab = lab_with(f"stopped {at}", at)
        folder = lab.session.run.folder
        run_until(lab, loop, loss, StopRequested)
        stopped.add(max((step for step, name, _ in untimed(folder) if name == "optimizer/lr"), default=0))
        assert loop.run(lab_with(f"stopped {at}", None), loss) == final
        lines = [line["step"] for line in read_lines(folder / "metrics.jsonl") if "optimizer/lr" in line["metrics"]]
        assert lines == [1, 2, 3], at
        assert untimed(whole.session.run.folder) == untimed(folder)
        said, expected = ({json.dumps(row) for row in responses(of)} for of in (folder, whole.session.run.folder))
        assert said == expected  # a look that was interrupted is taken again: its responses may stand there twice
        assert read_run(whole.session.run.folder).prompts().equals(read_run(folder).prompts())
    assert {2, 3} <= stopped


@pytest.mark.parametrize("name", ["ppo", "sft"])
def test_checkpoints_are_as_far_apart_as_asked(quick_lab: Callable[..., Lab], name: str) -> None:
    loop, loss, death, _ = RUNS[name]
    late = death + (STEPS if name == "ppo" else 1)
    lab = quick_lab("seldom", checkpoint_every=2, watch={"at": late, "then": die})
    run_until(lab, loop, loss, Killed)
    saved = checkpoint.latest(lab.session.run.folder)
    assert saved is not None and saved[0] == 2
    assert [path.name for path in (lab.session.run.folder / "checkpoints").iterdir()] == ["step_00000002.pt"]


def test_a_checkpoint_of_another_version_is_refused_in_words(quick_lab: Callable[..., Lab]) -> None:
    lab = quick_lab("old")
    checkpoint.save(lab.session.run.folder, 1, {"draws": 1, "step": 4})
    with pytest.raises(UserError, match=r"a checkpoint with draws, step; expected one with position, step, networks"):
        online().run(lab, ppo())
