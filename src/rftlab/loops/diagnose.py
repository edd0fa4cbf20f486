"""Will reinforcement finetuning work here? Reward statistics of many prompts before any training."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from rftlab.diagnostics import prompt_statistics, sampled_gradient_bound, time_passes
from rftlab.errors import UserError
from rftlab.loops.budget import Kept, Row, Tick, measure_within, spread
from rftlab.loops.evaluation import answer, encode, log_samples, places_of, prompt_rows, reward, score, subset
from rftlab.loops.lab import Lab
from rftlab.ranges import NonNegative, Positive, Samples
from rftlab.sampling.sample import prompts_at_once, sample
from rftlab.sampling.stop import cut_at
from rftlab.streams import row_noise, stream
from rftlab.types import Example


@dataclass(frozen=True, kw_only=True)
class Diagnose:
    """Sample every prompt several times with the rollout settings; if asked for, measure gradients on a few."""

    n_prompts: Positive[int]
    samples_per_prompt: Samples
    bound_prompts: NonNegative[int]  # prompts whose gradient and its bounds are measured; 0 = none
    bound_seconds: Positive[int] | None  # after which no more of them are; None = as many as they take
    bound_samples: Samples  # responses per such prompt
    bound_prefixes: Positive[int]  # prefixes per such prompt whose Jacobian is measured
    power_iterations: Positive[int]
    reward_low: float | None  # interval of the reward: the bounds and the threshold of the std scale with its width;
    reward_high: float | None  # both None where it has none, and the threshold is in units of the reward

    def run(self, lab: Lab) -> dict[str, float]:
        """Write `prompts.parquet`, every response to `samples.jsonl`, measured gradients to `cases.parquet`.

        Prompts and noise are those of the reward statistics that a training run takes before it starts.

        Returns:
            The final metrics.
        """
        assert lab.task.rollout is not None
        session, rollout = lab.session, lab.task.rollout
        examples = subset(lab.task.splits.train, self.n_prompts, "probe")
        scores, seconds, kept = self._resume(lab)
        places, size = places_of(examples), prompts_at_once(lab.evaluation.batch_size, self.samples_per_prompt)
        starts = range(len(scores), len(examples), size)
        for start in session.bar(starts, "sampling"):
            started = time.perf_counter()
            part = slice(start, start + size)
            answers = answer(lab, examples[part], places[part], rollout, self.samples_per_prompt, "probe", "before", 0)
            new = reward(lab, answers)
            self._refuse_outside(new[np.isfinite(new)])  # the report counts and leaves out the others
            seconds += time.perf_counter() - started
            scores = np.concatenate([scores, new.reshape(-1, self.samples_per_prompt)])
            log_samples(lab, {"phase": "before", "split": "train"}, answers.examples, answers.texts, new)
            session.save(len(scores), {"scores": torch.from_numpy(scores), "seconds": seconds})
        statistics, std_below = prompt_statistics(scores), self._std_below(lab)
        which = "common" if rollout == lab.task.probe else "own"
        session.run.save_prompts(prompt_rows("before", 0, which, examples, statistics, self.samples_per_prompt))
        if self.bound_prompts:
            save = partial(self._save_gradients, lab, scores, seconds)
            self._measure_gradients(lab, examples, statistics.std, seconds / scores.size, kept, save)
        final = {f"probe/{name}": value for name, value in statistics.summary(std_below, lab.task.low_reward).items()}
        train = lab.task.splits.train
        final |= {
            "preflight/n_train": len(train),
            "preflight/has_targets": float(all(example.targets for example in train)),
            "preflight/samples_per_s": scores.size / seconds,
        }
        session.run.log(len(scores), final)
        vanishing, low = final["probe/share_vanishing"], final.get("probe/share_vanishing_low")
        also = "" if low is None else f", {low:.0%} with a low mean reward too"
        session.describe(f"{vanishing:.0%} of {len(scores)} prompts have a reward std below {std_below:g}{also}")
        return final

    def _std_below(self, lab: Lab) -> float:
        """Return the std below which a gradient counts as vanishing: the threshold is one of rewards in [0, 1]."""
        width = 1.0 if self._interval is None else self._interval[1] - self._interval[0]
        return lab.evaluation.std_below * width

    @property
    def _interval(self) -> tuple[float, float] | None:
        if self.reward_low is None or self.reward_high is None:
            return None
        return self.reward_low, self.reward_high

    def _refuse_outside(self, scores: Float[np.ndarray, " n"]) -> None:
        if self._interval is None:
            return
        low, high = self._interval
        if scores.size and (scores.min() < low or scores.max() > high):
            found = f"scores from {scores.min():g} to {scores.max():g}"
            expected = f"all within {low:g} and {high:g}"
            raise UserError(found, expected, "algo.loop.reward_low or reward_high")

    def _resume(self, lab: Lab) -> tuple[Float[np.ndarray, "b g"], float, Kept]:
        if (saved := lab.session.resume()) is None:
            return np.empty((0, self.samples_per_prompt)), 0.0, Kept()
        state = saved[1]
        return state["scores"].numpy(), state["seconds"], Kept(**state.get("gradients", {}))

    def _save_gradients(self, lab: Lab, scores: Float[np.ndarray, "b g"], seconds: float, kept: Kept) -> None:
        state = {"scores": torch.from_numpy(scores), "seconds": seconds, "gradients": asdict(kept)}
        lab.session.save(len(scores) + len(kept.rows), state)

    def _measure_gradients(
        self,
        lab: Lab,
        examples: list[Example],
        stds: Float[np.ndarray, " b"],
        sample_s: float,
        kept: Kept,
        save: Callable[[Kept], None],
    ) -> None:
        """Measure gradients on prompts from the smallest to the largest std, and say before what that will cost.

        `sample_s` is what a sampled and scored response takes, in seconds.
        """
        order = np.argsort(stds, kind="stable")
        ranks = np.unique(np.linspace(0, len(examples) - 1, self.bound_prompts).round().astype(int))
        numbers = [int(order[ranks[i]]) for i in spread(len(ranks))]
        places = places_of(examples)
        if len(kept.rows) < len(numbers):
            lab.session.describe(self._cost(lab, examples[numbers[0]], len(numbers) - len(kept.rows), sample_s))
        passes = self.bound_samples + self.bound_prefixes * self.power_iterations
        all_done = measure_within(
            lab.session,
            lambda number, tick: self._case(lab, examples[number], places[number], number, tick),
            numbers,
            passes=passes,
            limit_s=self.bound_seconds,
            kept=kept,
            save=save,
        )
        if not all_done:
            done = f"gradients of {len(kept.rows)} of {len(numbers)} prompts are measured"
            lab.session.describe(f"{done}: algo.loop.bound_seconds={self.bound_seconds} are over")
        if kept.rows:
            lab.session.run.save_cases(pd.DataFrame(kept.rows))

    def _cost(self, lab: Lab, example: Example, prompts: int, sample_s: float) -> str:
        """Say what the gradients will cost, if responses are as long as allowed and all of them different."""
        rollout = lab.task.rollout
        assert rollout is not None
        asked = (rollout.max_new_tokens, rollout.temperature, self.bound_samples)
        found = time_passes(lab.policy, *encode(lab, [example]), *asked)
        passes_s = found.of_prompt(self.bound_samples, self.bound_prefixes, self.power_iterations)
        seconds = prompts * (passes_s + self.bound_samples * sample_s)
        limit = "" if self.bound_seconds is None else f", algo.loop.bound_seconds={self.bound_seconds} allows no more"
        return f"gradients and bounds of {prompts} prompts: about {seconds:.0f} s{limit}"

    def _case(self, lab: Lab, example: Example, place: str, number: int, tick: Tick) -> Row:
        """Measure the gradient on one prompt, with responses of its own."""
        assert lab.task.rollout is not None and self._interval is not None  # see config.checks
        whole = replace(lab.task.rollout, top_k=0, top_p=1.0, min_new_tokens=0)  # the policy that the gradient is of
        prompt = encode(lab, [example])
        draw = {"places": [place], "samples": self.bound_samples, "steps": whole.max_new_tokens}
        noise = row_noise(lab.session.seed, "gradient", **draw)
        drawn = sample(lab.policy, *prompt, whole, self.bound_samples, noise, lab.evaluation.batch_size)
        responses = cut_at(lab.policy, drawn, lab.task.stop)
        _, scores = score(lab, [example], responses)
        self._refuse_outside(scores)
        bound = sampled_gradient_bound(
            lab.policy, *prompt, responses, scores,
            temperature=whole.temperature,
            max_new_tokens=whole.max_new_tokens,
            reward_range=self._interval,
            prefixes=self.bound_prefixes,
            power_iterations=self.power_iterations,
            generator=stream(lab.session.seed, "gradient", number),
            tick=tick,
        )  # fmt: skip
        return {"input_id": example.id, **asdict(bound)}
