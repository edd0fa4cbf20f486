"""Supervised finetuning and pretraining: one pass of (prompt, target) pairs after the other."""

import time
from dataclasses import dataclass

import torch

from rftlab.algorithms.sft import SFT
from rftlab.loops import checkpoint
from rftlab.loops.draw import draw, prefix
from rftlab.loops.evaluation import encode, encode_targets, evaluate, probe
from rftlab.loops.finish import finish
from rftlab.loops.lab import Lab
from rftlab.loops.update import trim
from rftlab.ranges import Fraction, Positive
from rftlab.types import Example


@dataclass(frozen=True, kw_only=True)
class Supervised:
    """Minimise the negative log-likelihood of gold texts, on a share of the prompts and for a share of the steps.

    Every target of a prompt is a pair of its own: each pass over the prompts takes the next one.
    """

    steps: Positive[int]
    step_fraction: Fraction[float]
    sample_fraction: Fraction[float]
    batch_size: Positive[int]
    microbatch_size: Positive[int]

    def run(self, lab: Lab, algorithm: SFT) -> dict[str, float]:
        """Train, evaluating before, during and after; resumes from the newest checkpoint of the run folder.

        Returns:
            The final metrics.
        """
        total = max(1, round(self.steps * self.step_fraction))
        examples = prefix(lab.task.splits.train, self.sample_fraction, lab.session.seed)
        optimizer = lab.optimizer.make(lab.policy)
        done = self._resume(lab, optimizer)
        if done == 0:
            probe(lab, "before", 0)
            lab.session.describe(describe(0, total, evaluate(lab, 0)))
        for step in lab.session.bar(range(done + 1, total + 1), "steps", total=total, initial=done):
            started = time.perf_counter()
            pairs = draw(examples, self.batch_size, lab.session.seed, step - 1)
            metrics = self._update(lab, algorithm, optimizer, pairs, step, total)
            lab.session.run.log(step, metrics | {"time/step_s": time.perf_counter() - started})
            if step % lab.evaluation.every == 0 and step < total:
                lab.session.describe(describe(step, total, evaluate(lab, step)))
            if lab.evaluation.probes(step, total):
                probe(lab, "during", step)
            if step < total and (lab.session.stop.requested or step % lab.session.checkpoint_every == 0):
                lab.session.run.flush()
                state = {"policy": lab.policy.state_dict(), "optimizer": optimizer.state_dict()}
                checkpoint.save(lab.session.run.folder, step, state)
                lab.session.stop.check()
        return finish(lab, total)

    def _resume(self, lab: Lab, optimizer: torch.optim.Optimizer) -> int:
        saved = checkpoint.latest(lab.session.run.folder)
        if saved is None:
            return 0
        step, state = saved
        lab.policy.load_state_dict(state["policy"])
        optimizer.load_state_dict(state["optimizer"])
        return step

    def _update(
        self,
        lab: Lab,
        algorithm: SFT,
        optimizer: torch.optim.Optimizer,
        pairs: list[tuple[Example, int]],
        step: int,
        total: int,
    ) -> dict[str, float]:
        prompt_ids, prompt_mask = encode(lab, [example for example, _ in pairs])
        ids, mask = encode_targets(lab, [example.targets[epoch % len(example.targets)] for example, epoch in pairs])
        denominator = int(mask.sum())
        by_length = (prompt_mask.sum(1) + mask.sum(1)).argsort()  # microbatches of like rows waste little on padding
        sums: dict[str, float] = {}
        for rows in by_length.split(self.microbatch_size):
            asked, answered = trim(prompt_ids[rows], prompt_mask[rows]), trim(ids[rows], mask[rows])
            output = algorithm.loss(lab.policy(*asked, *answered), answered[1], denominator)
            output.loss.backward()
            sums = {name: sums.get(name, 0.0) + float(value) for name, value in output.metrics.items()}
        norm = lab.optimizer.step(optimizer, lab.policy, step, total)
        return {**sums, "grad/norm": norm, "optimizer/lr": lab.optimizer.lr_at(step, total)}


def describe(step: int, total: int, metrics: dict[str, float]) -> str:
    """Say an evaluation in one line."""
    values = "  ".join(
        f"{key.removeprefix('eval/')} {value:.3f}" for key, value in metrics.items() if not key.endswith("length")
    )
    return f"step {step}/{total}  {values}"
