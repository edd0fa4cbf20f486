"""Online reinforcement finetuning: sample responses, score them, update on them; no algorithm is known by name here."""

import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from rftlab.loops import checkpoint
from rftlab.loops.draw import draw
from rftlab.loops.evaluation import encode, evaluate, probe, score
from rftlab.loops.finish import finish
from rftlab.loops.lab import Lab
from rftlab.loops.score_scaling import RunningScores, scale_scores
from rftlab.loops.update import (
    KL_WINDOW,
    accumulate_gradient,
    batch_of,
    mean_of,
    negative_kl,
    refuse_divergence,
    rollout_metrics,
    sampling_metrics,
)
from rftlab.models import ActorCritic, Policy, reference_of, with_value
from rftlab.ranges import Positive
from rftlab.sampling.sample import sample
from rftlab.streams import stream
from rftlab.types import Algorithm, Responses, Rollout


@dataclass(kw_only=True)
class State:
    """What an iteration takes over from those before it; all of it goes into a checkpoint."""

    iteration: int
    networks: ActorCritic
    optimizer: torch.optim.Optimizer
    kl_coef: float
    scaling: RunningScores

    def save(self, lab: Lab) -> None:
        """Write a checkpoint of the finished iteration."""
        lab.session.run.flush()
        checkpoint.save(
            lab.session.run.folder,
            self.iteration,
            {
                "networks": self.networks.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "kl_coef": self.kl_coef,
                "scaling": self.scaling.to_dict(),
            },
        )

    def restore(self, lab: Lab) -> None:
        """Go to the newest checkpoint of the run folder, if there is one."""
        if (saved := checkpoint.latest(lab.session.run.folder)) is None:
            return
        self.iteration, state = saved
        self.networks.load_state_dict(state["networks"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.kl_coef = state["kl_coef"]
        self.scaling = RunningScores.from_dict(state["scaling"])


@dataclass(frozen=True, kw_only=True)
class Online:
    """Alternate rollouts and updates.

    Draws of prompts, samples and minibatches depend on the run seed and the iteration alone, so a resumed run continues
    bit by bit where the checkpoint was written.
    """

    iterations: Positive[int]
    prompts_per_iteration: Positive[int]
    samples_per_prompt: Positive[int]
    update_epochs: Positive[int]
    minibatch_size: Positive[int]
    microbatch_size: Positive[int]
    score_scaling: Literal["none", "running"]
    score_clip: Positive[float] | None

    def run(self, lab: Lab, algorithm: Algorithm) -> dict[str, float]:
        """Train, evaluating before, during and after; resumes from the newest checkpoint of the run folder.

        Returns:
            The final metrics.
        """
        reference = reference_of(lab.policy)
        networks = with_value(lab.policy, lab.value_kind, lab.value_head, stream(lab.session.seed, "value head"))
        state = State(
            iteration=0,
            networks=networks,
            optimizer=lab.optimizer.make(networks),
            kl_coef=algorithm.initial_kl_coef,
            scaling=RunningScores.empty(),
        )
        state.restore(lab)
        if state.iteration == 0:
            before = probe(lab, "before", 0)
            lab.session.describe(self._line(0, evaluate(lab, 0) | before))
        metrics: dict[str, float] = {}
        recent_kl: deque[float] = deque(maxlen=KL_WINDOW)
        for iteration in lab.session.bar(
            range(state.iteration + 1, self.iterations + 1), "iterations", self.iterations, state.iteration
        ):
            started = time.perf_counter()
            rollout, sampled_metrics = self._collect(lab, networks, reference, iteration)
            sampled = time.perf_counter()
            metrics = self._update(lab, algorithm, state, rollout, iteration) | sampled_metrics
            refuse_divergence(metrics)
            recent_kl.append(metrics["policy/kl"])
            if (warning := negative_kl(recent_kl)) is not None:
                lab.session.describe(warning)
            state.iteration = iteration
            timing = {"time/rollout_s": sampled - started, "time/iteration_s": time.perf_counter() - started}
            lab.session.run.log(iteration, metrics | timing)
            if iteration % lab.evaluation.every == 0 and iteration < self.iterations:
                lab.session.describe(self._line(iteration, evaluate(lab, iteration) | metrics))
            if lab.evaluation.probes(iteration, self.iterations):
                probe(lab, "during", iteration)
            if iteration < self.iterations and (
                lab.session.stop.requested or iteration % lab.session.checkpoint_every == 0
            ):
                state.save(lab)
                lab.session.stop.check()
        final = finish(lab, self.iterations)
        lab.session.describe(self._line(self.iterations, final | metrics))
        return metrics | final

    def _collect(
        self, lab: Lab, networks: ActorCritic, reference: Policy, iteration: int
    ) -> tuple[Rollout, dict[str, float]]:
        """Sample and score responses to fresh prompts, with the log-probabilities and values of everyone concerned."""
        assert lab.task.rollout is not None
        drawn = draw(lab.task.splits.train, self.prompts_per_iteration, lab.session.seed, iteration - 1)
        examples = [example for example, _ in drawn]
        prompt_ids, prompt_mask = encode(lab, examples)
        sampling, generator = lab.task.rollout, stream(lab.session.seed, "sampling", iteration)
        responses = sample(networks.policy, prompt_ids, prompt_mask, sampling, self.samples_per_prompt, generator)
        _, scores = score(lab, examples, responses)
        rollout = self._read(prompt_ids, prompt_mask, responses, scores, networks, reference, sampling.temperature)
        return rollout, sampling_metrics(responses)

    @torch.no_grad()
    def _read(
        self,
        prompt_ids: Int[Tensor, "b p"],
        prompt_mask: Tensor,
        responses: Responses,
        scores: Float[np.ndarray, " n"],
        networks: ActorCritic,
        reference: Policy,
        temperature: float,
    ) -> Rollout:
        """Score the sampled ids by the same code path that the update uses, so that the first ratio is 1."""
        old, ref = [], []
        for rows in torch.arange(len(scores)).split(self.microbatch_size):
            prompts, index = responses.prompt_index[rows].unique(return_inverse=True)
            row = (
                prompt_ids[prompts],
                prompt_mask[prompts],
                responses.response_ids[rows],
                responses.response_mask[rows],
            )
            old.append(networks(*row, temperature, index))
            ref.append(reference(*row, temperature, index).logprobs)
        return Rollout(
            prompt_ids=prompt_ids[responses.prompt_index],
            prompt_mask=prompt_mask[responses.prompt_index],
            response_ids=responses.response_ids,
            response_mask=responses.response_mask,
            old_logprobs=torch.cat([o.logprobs for o in old]),
            ref_logprobs=torch.cat(ref),
            values=torch.cat([o.values for o in old]),
            scores=torch.as_tensor(scores, dtype=torch.float32, device=prompt_ids.device),
            prompt_index=responses.prompt_index,
        )

    def _update(
        self, lab: Lab, algorithm: Algorithm, state: State, rollout: Rollout, iteration: int
    ) -> dict[str, float]:
        """Take the optimiser steps of one rollout; returns the metrics of the iteration."""
        assert lab.task.rollout is not None
        state.scaling = state.scaling.update(rollout.scores)
        scaled = scale_scores(rollout.scores, state.scaling, scaling=self.score_scaling, clip=self.score_clip)
        rewards = algorithm.rewards(replace(rollout, scores=scaled), state.kl_coef)
        advantages, returns = algorithm.advantages(rewards, rollout)
        n = len(rollout.scores)
        steps = self.update_epochs * (n // self.minibatch_size)
        step = (iteration - 1) * steps
        updates: list[dict[str, float]] = []
        for epoch in range(self.update_epochs):
            order = torch.randperm(n, generator=stream(lab.session.seed, "minibatches", iteration, epoch)).to(
                rollout.scores.device
            )
            for rows in order.split(self.minibatch_size):
                step += 1
                metrics = accumulate_gradient(
                    algorithm,
                    state.networks,
                    algorithm.prepare(batch_of(rollout, advantages, returns, rows)),
                    rollout.prompt_index[rows],
                    lab.task.rollout.temperature,
                    self.microbatch_size,
                )
                norm = lab.optimizer.step(state.optimizer, state.networks, step, steps * self.iterations)
                updates.append(metrics | {"grad/norm": norm})
        metrics = mean_of(updates) | rollout_metrics(
            rollout, returns, self.samples_per_prompt, lab.evaluation.std_below
        )
        metrics["kl_control/beta"] = state.kl_coef
        metrics["optimizer/lr"] = lab.optimizer.lr_at(step, steps * self.iterations)
        state.kl_coef = algorithm.update_kl_coef(state.kl_coef, metrics["policy/kl"])
        return metrics

    def _line(self, iteration: int, metrics: dict[str, float]) -> str:
        names = {
            "eval/train/reward": "train",
            "eval/validation/reward": "validation",
            "eval/test/reward": "test",
            "policy/kl": "KL",
            "probe/share_vanishing": "vanishing",
        }
        values = "  ".join(f"{short} {metrics[name]:.3f}" for name, short in names.items() if name in metrics)
        return f"iteration {iteration}/{self.iterations}  {values}"
