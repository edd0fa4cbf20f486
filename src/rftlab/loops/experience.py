"""The one loop of every algorithm on texts: collect experience, credit it, update on it, evaluate, save.

It knows no algorithm by name. An algorithm says what it needs, how responses are credited and what its loss is; a
collector says where responses come from; a schedule says how much there is of each.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from rftlab.errors import UserError
from rftlab.loops.collect import Collector, Place
from rftlab.loops.evaluation import evaluate, look_before, probe
from rftlab.loops.finish import finish
from rftlab.loops.guard import refuse_broken_network, refuse_divergence
from rftlab.loops.lab import Lab
from rftlab.loops.metrics import (
    KL_PER,
    KL_WINDOW,
    advantage_std,
    mean_of,
    negative_kl,
    of_whole_policy,
    rollout_metrics,
)
from rftlab.loops.networks import NetworkSet, Numerics, trunk_mib
from rftlab.loops.score_scaling import RunningScores, scale_scores
from rftlab.loops.update import Cut, accumulate_gradient, joined
from rftlab.models import reference_of, save_weights, value_function
from rftlab.models.action_values import ActionHeads
from rftlab.ops import Total, alone, kl_k1, score_at_last_token, token_rewards, whiten
from rftlab.sampling.lockstep import guided_by
from rftlab.streams import stream
from rftlab.types import Algorithm, Experience, Forward


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How much of everything: iterations, passes, sizes, optimiser steps."""

    word: Literal["iteration", "step"]  # what a reader calls an iteration
    iterations: int
    samples_per_prompt: int
    update_epochs: int  # passes over the experience of an iteration, each in a fresh order
    cut: Cut  # of a pass into minibatches
    numerics: Numerics
    steps: int  # optimiser steps of the whole run, over which the learning rate is scheduled
    trimmed: bool  # microbatches lose their padding; not where they must be read in the shape in which they were scored
    score_scaling: Literal["none", "running"] = "none"
    score_clip: float | None = None
    drift: bool = False  # evaluations tell the KL to the start, which no rollout of the run does


@dataclass(kw_only=True)
class State:
    """What an iteration takes over from those before it; all of it goes into a checkpoint."""

    iteration: int
    position: int  # in the order of prompts
    step: int
    networks: NetworkSet
    optimizer: torch.optim.Optimizer
    kl_coef: float
    scaling: RunningScores
    updates: dict[str, float]  # metrics of the last iteration's updates

    def to_dict(self) -> dict[str, Any]:
        """Give tensors and plain data for a checkpoint."""
        return {
            "position": self.position,
            "step": self.step,
            "networks": self.networks.saved(),
            "optimizer": self.optimizer.state_dict(),
            "kl_coef": self.kl_coef,
            "scaling": self.scaling.to_dict(),
            "updates": self.updates,
        }

    def restore(self, iteration: int, saved: dict[str, Any]) -> None:
        """Go to the state of a checkpoint.

        Raises:
            UserError: It holds something else, as those of other versions of this code may.
        """
        if saved.keys() != self.to_dict().keys():
            found = f"a checkpoint with {', '.join(saved)}"
            raise UserError(found, f"one with {', '.join(self.to_dict())}", "checkpoints/ of the run folder: remove it")
        self.iteration, self.position, self.step = iteration, saved["position"], saved["step"]
        self.networks.restore(saved["networks"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.kl_coef = saved["kl_coef"]
        self.scaling = RunningScores.from_dict(saved["scaling"])
        self.updates = saved["updates"]


def train(
    lab: Lab,
    algorithm: Algorithm,
    collector: Collector,
    schedule: Schedule,
    at_start: Callable[[NetworkSet], None] | None = None,
    held_out: Callable[[NetworkSet], dict[str, float]] | None = None,
) -> dict[str, float]:
    """Train, evaluating before, during and after; resume from the newest checkpoint of the run folder.

    What is drawn depends on the run seed and the place in the run alone, so a resumed run continues bit by bit where
    the checkpoint was written. `at_start` is called with the networks of the start, also by a run that resumes, and
    `held_out` with those of the moment in every evaluation.

    Returns:
        The final metrics.
    """
    session, total = lab.session, schedule.iterations
    state = start(lab, algorithm, schedule)
    lab = sampling_with(lab, state.networks)
    lab = replace(lab, shifted=state.networks.shifted())
    told_by_rollouts = collector.samples and algorithm.needs.reference
    if schedule.drift or (lab.evaluation.kl_to_start and not told_by_rollouts):
        lab = replace(lab, start=state.networks.reference or reference_of(lab.policy))
    if held_out is not None:
        lab = replace(lab, held_out=partial(held_out, state.networks))
    if at_start is not None:
        at_start(state.networks)
    told: dict[str, float] = {}  # an evaluation that waits for the rollout of the same policy
    if (saved := session.resume()) is not None:
        state.restore(*saved)
        told = look(lab, schedule, state, collector)  # the attempt before may have ended while it looked
    else:
        before = look_before(lab)
        session.describe(describe(schedule, 0, evaluate(lab, 0) | before))
    recent_kl: deque[float] = deque(maxlen=KL_WINDOW)
    places = range(state.iteration + 1, total + 1)
    for iteration in session.bar(places, f"{schedule.word}s", total=total, initial=state.iteration):
        started = time.perf_counter()
        rollout = gather(lab, algorithm, collector, schedule, state)
        timing = {"time/rollout_s": time.perf_counter() - started} if collector.samples else {}
        refuse_divergence(rollout.metrics, state.step + 1)
        if told:
            session.describe(describe(schedule, iteration - 1, told | rollout.metrics))
        state.updates = update(lab, algorithm, schedule, state, rollout.learned, iteration, rollout.new)
        rollout = replace(rollout, new=None)  # with all that its gradient needed
        if "policy/kl" in rollout.metrics:
            recent_kl.append(rollout.metrics["policy/kl"])
            if (warning := negative_kl(recent_kl)) is not None:
                session.describe(warning)
            if algorithm.kl is not None:
                state.kl_coef = algorithm.kl.update(state.kl_coef, rollout.metrics[KL_PER[algorithm.kl.unit]])
        state.iteration, state.position = iteration, state.position + rollout.prompts
        state.networks.after_iteration(iteration)
        log_rollout(lab, iteration - 1, rollout)
        session.run.log(iteration, state.updates | timing | {f"time/{schedule.word}_s": time.perf_counter() - started})
        saves = session.due(iteration) or iteration == total or any(looks(lab, iteration, total))
        if saves or collector.samples:
            refuse_broken(state, rollout.experience)
        if saves:  # before the looks, which take long and may be interrupted
            session.save(iteration, state.to_dict())
        told = look(lab, schedule, state, collector)
    metrics = state.updates
    if collector.samples:
        rollout = gather(lab, algorithm, collector, schedule, state, last=True)
        refuse_divergence(rollout.metrics, state.step)
        log_rollout(lab, total, rollout)
        metrics = metrics | rollout.metrics
    final = finish(lab, total)
    if state.networks.heads is not None:
        save_weights(state.networks.heads, session.run.folder / "final" / "heads.safetensors")
    session.describe(describe(schedule, total, final | metrics))
    return metrics | final


def looks(lab: Lab, iteration: int, total: int) -> tuple[bool, bool]:
    """Tell whether the policy after this iteration of `total` is evaluated, and whether it is probed."""
    return iteration % lab.evaluation.every == 0 and iteration < total, lab.evaluation.probes(iteration, total)


def look(lab: Lab, schedule: Schedule, state: State, collector: Collector) -> dict[str, float]:
    """Evaluate and probe where it is due; give what waits for the rollout of the same policy to be told."""
    evaluates, probes = looks(lab, state.iteration, schedule.iterations)
    found = evaluate(lab, state.iteration) if evaluates else {}
    if found and not collector.samples:
        lab.session.describe(describe(schedule, state.iteration, found))
        found = {}
    if probes:
        probe(lab, "during", state.iteration)
    return found


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """The experience of an iteration, credited, with the numbers that describe the policy that it comes from."""

    experience: Experience  # all of it, which is what `metrics` describe
    learned: Experience  # what the updates see of it
    metrics: dict[str, float]
    prompts: int
    new: Forward | None = None  # what the only microbatch of the updates reads, where there is but one


def gather(
    lab: Lab, algorithm: Algorithm, collector: Collector, schedule: Schedule, state: State, *, last: bool = False
) -> Rollout:
    """Collect experience with the policy as it is now, add the columns that are asked for, and credit it.

    Where all of it is learned once, in one microbatch, the pass of the update is the one that reads it here. Of the
    `last` rollout nothing is learned.
    """
    collected = collector.collect(lab, Place(iteration=state.iteration + 1, position=state.position))
    new = None
    if not last and collected.kept is None and learned_once(lab, algorithm, schedule, state, collected.experience):
        experience, new = state.networks.read_once(collected.experience, algorithm.needs.entropy)
    else:
        experience = state.networks.annotate(collected.experience)
    experience = credit(lab, algorithm, schedule, state, experience)
    metrics = rollout_metrics(
        experience, schedule.samples_per_prompt, lab.evaluation.std_below, lab.ranks, sampled=collector.samples
    )
    held = trunk_mib(experience)
    told = collected.metrics if held is None else collected.metrics | {"memory/trunk_mib": held}
    return Rollout(
        experience=experience,
        learned=experience if collected.kept is None else experience.rows(collected.kept),
        metrics=metrics | told,
        prompts=collected.prompts,
        new=new,
    )


def learned_once(lab: Lab, algorithm: Algorithm, schedule: Schedule, state: State, experience: Experience) -> bool:
    """Tell whether the updates are one pass over one microbatch, which then is the policy that sampled."""
    needs, n = algorithm.needs, len(experience.unit)
    if schedule.update_epochs > 1 or schedule.trimmed or not 0 < n <= schedule.numerics.microbatch_size:
        return False
    if not needs.old_logprobs or needs.mask is not None or needs.action_values is not None:
        return False
    return len(schedule.cut(experience, stream(lab.session.seed, "minibatches", state.iteration + 1, 0))) == 1


@torch.no_grad()
def refuse_broken(state: State, experience: Experience) -> None:
    """Stop a run whose networks have become useless; they are asked about one row, the longest of a supervised step."""
    row = experience.rows(torch.tensor([len(experience.unit) - 1], device=experience.unit.device))
    scored = state.networks(row, "none")
    said = scored.logprobs if scored.values is None else torch.stack([scored.logprobs, scored.values])
    refuse_broken_network(state.networks, said, state.step)


def log_rollout(lab: Lab, iteration: int, rollout: Rollout) -> None:
    """Log what a rollout says of the policy after `iteration` iterations of updates, from which it was sampled.

    This comes after the updates on it, together with their metrics: a run that is killed in between logs it once.
    """
    if rollout.metrics:
        lab.session.run.log(iteration, rollout.metrics)


def start(lab: Lab, algorithm: Algorithm, schedule: Schedule) -> State:
    """Make the networks that the algorithm needs, and the state before the first iteration."""
    value = None
    if algorithm.needs.value:
        value = value_function(lab.policy, lab.value_kind, lab.value_head, stream(lab.session.seed, "value head"))
    heads = None
    if algorithm.needs.action_values is not None:
        vocabulary = lab.policy.lm.get_output_embeddings().weight.shape[0]
        heads = ActionHeads(lab.policy.hidden_size, vocabulary, stream(lab.session.seed, "action values"))
        heads = heads.to(lab.policy.device)
    networks = NetworkSet(lab.policy, value, algorithm.needs, schedule.numerics, heads, share=lab.share_trunk)
    return State(
        iteration=0,
        position=0,
        step=0,
        networks=networks,
        optimizer=lab.optimizer.make(networks),
        kl_coef=0.0 if algorithm.kl is None else algorithm.kl.initial,
        scaling=RunningScores.empty(),
        updates={},
    )


def sampling_with(lab: Lab, networks: NetworkSet) -> Lab:
    """Let rollouts be sampled under the mask that the networks have, if they have one."""
    rollout = lab.task.rollout
    return lab if rollout is None else replace(lab, start_decoder=guided_by(networks.guide(rollout.temperature)))


def credit(lab: Lab, algorithm: Algorithm, schedule: Schedule, state: State, experience: Experience) -> Experience:
    """Turn scores into token rewards, scaled and with the KL penalty, and let the algorithm credit the tokens."""
    if experience.scores is None:
        return algorithm.credit(experience)
    state.scaling = state.scaling.update(experience.scores, lab.ranks.sum)
    scores = scale_scores(experience.scores, state.scaling, scaling=schedule.score_scaling, clip=schedule.score_clip)
    penalised = algorithm.kl is not None and algorithm.needs.reference
    return algorithm.credit(with_rewards(experience, scores, state.kl_coef if penalised else None))


def with_rewards(experience: Experience, scores: Float[Tensor, " n"], kl_coef: float | None) -> Experience:
    """Add the column `rewards`: the score on the last token, minus kl_coef (log pi_old - log pi_ref) on every token.

    `kl_coef` is None where the reward has no KL penalty; no reference is needed then.
    """
    mask = experience.response_mask
    if kl_coef is None:
        return experience.with_(rewards=score_at_last_token(scores, mask))
    kl = kl_k1(of_whole_policy(experience.columns), experience["ref_logprobs"])
    return experience.with_(rewards=token_rewards(scores, kl, mask, kl_coef))


def update(
    lab: Lab,
    algorithm: Algorithm,
    schedule: Schedule,
    state: State,
    experience: Experience,
    iteration: int,
    new: Forward | None = None,
) -> dict[str, float]:
    """Take the optimiser steps of one iteration; give the means of their metrics.

    `new` is what the networks say of the only step, where that is known.

    The schedule goes on by the steps of a full iteration, also where few rows, or none, were kept: the learning rate is
    a function of how far the run is, and the last iteration ends where it ends.
    """
    there = len(experience.unit) > 0
    if there and algorithm.whiten_advantages == "rollout":
        experience = whitened(experience, lab.ranks.sum)
    updates: list[dict[str, float]] = []
    spreads: list[Tensor] = []
    for epoch in range(schedule.update_epochs if there else 0):
        generator = stream(lab.session.seed, "minibatches", iteration, epoch)
        for rows in schedule.cut(experience, generator):
            state.step += 1
            minibatch = experience.rows(rows)
            if algorithm.whiten_advantages == "minibatch":
                minibatch = whitened(minibatch, lab.ranks.sum)
                spreads.append(advantage_std(minibatch, lab.ranks.sum))
            outputs = accumulate_gradient(
                algorithm, state.networks, minibatch, trimmed=schedule.trimmed, ranks=lab.ranks, new=new
            )
            metrics = joined(outputs, lab.optimizer.clip(state.networks), lab.ranks)
            refuse_divergence(metrics, state.step)
            lab.optimizer.step(state.optimizer, state.step, schedule.steps)
            state.networks.after_step()
            updates.append({name: value for name, value in metrics.items() if name != "loss"})
    metrics = mean_of(updates, outputs[0].maxima) if updates else {}
    state.step = iteration * schedule.steps // schedule.iterations
    if there and "advantages" in experience.columns:
        spreads = spreads or [advantage_std(experience, lab.ranks.sum)]
        metrics["advantage/std"] = float(torch.stack(spreads).mean())
    metrics["optimizer/lr"] = lab.optimizer.lr_at(state.step, schedule.steps)
    if experience.scores is not None:
        metrics["kl_control/beta"] = state.kl_coef
    return metrics


def whitened(experience: Experience, total: Total = alone) -> Experience:
    """Shift and scale the advantages of all rows together to mean 0 and std 1; `total` sums over processes."""
    return experience.with_(advantages=whiten(experience["advantages"], experience.response_mask, total))


def describe(schedule: Schedule, iteration: int, metrics: dict[str, float]) -> str:
    """Say an evaluation in one line."""
    names = {"policy/kl": "KL", "probe/share_vanishing": "vanishing", "eval/validation/pair_accuracy": "held-out pairs"}
    for split in ("train", "validation", "test"):
        names |= {f"eval/{split}/reward": split, f"eval/{split}/loss": f"{split} loss"}
    names |= {"eval/test/gold": "test gold"}
    values = "  ".join(f"{short} {metrics[name]:.3f}" for name, short in names.items() if name in metrics)
    return f"{schedule.word} {iteration}/{schedule.iterations}  {values}"
