"""A held-out reward model as judge: the response with the higher score is better."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rftlab.judges.question import Answer, Choice, Question, Verdict
from rftlab.ranges import Given, NonNegative, Positive, RunKey, UnitInterval
from rftlab.rewards.learned import load as load_reward
from rftlab.types import Reward

PLACE = "judge"  # in the config
SMALLEST = 64  # questions at a time at least: the scores of a batch are stored together


@dataclass(frozen=True, kw_only=True)
class RewardModelJudge:
    """Compares scores; it reads one response at a time, so no order can matter."""

    reward: Reward
    margin: float

    symmetric = True
    wants_reference = False

    def verdicts(self, questions: Sequence[Question], stopped: Callable[[], bool]) -> Iterator[Answer]:
        """Score both responses of some questions at a time."""
        for start in range(0, len(questions), SMALLEST):
            if stopped():
                return
            asked = questions[start : start + SMALLEST]
            prompts, nothing = [question.prompt for question in asked], [()] * len(asked)
            first = self.reward(prompts, [question.first for question in asked], nothing)
            second = self.reward(prompts, [question.second for question in asked], nothing)
            for question, a, b in zip(asked, first.tolist(), second.tolist(), strict=True):
                yield question, Verdict(choice=choice_of(a - b, self.margin), said=f"{a:.6g} and {b:.6g}")


def choice_of(difference: float, margin: float) -> Choice:
    """Call the response with the higher score better; scores at most `margin` apart are a tie."""
    if abs(difference) <= margin:
        return "tie"
    return "first" if difference > 0 else "second"


def load(
    *,
    run: RunKey | None,
    margin: NonNegative[float],
    shared: UnitInterval[float],
    batch_size: Positive[int],
    at_chance: bool,
    outputs: Given[Path],
    data: Given[str],
    hub_mirror: Given[Path | None],
    device: Given[str | torch.device] = "cpu",
) -> Any:
    """Load the reward model of a finished run; `build.held_out` has found it and looked at its pairs (`shared`).

    Raises:
        UserError: There is no such run, it is not finished, trains no reward model, or may be no better than chance.
    """
    reward = load_reward(
        run=run,
        batch_size=batch_size,
        at_chance=at_chance,
        outputs=outputs,
        data=data,
        hub_mirror=hub_mirror,
        device=device,
        place=PLACE,
    )
    return RewardModelJudge(reward=reward, margin=margin)
