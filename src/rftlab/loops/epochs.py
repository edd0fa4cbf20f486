"""Training of classifiers on exact losses: all inputs stay in memory, and two groups of them are watched apart.

The controlled experiments of Razin et al. 2024, section 4.2.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rftlab.loops.guard import refuse_broken_network, refuse_divergence
from rftlab.loops.label_lab import LabelLab
from rftlab.loops.label_metrics import Averages, describe_group, evaluate, norm_of
from rftlab.models import save_weights
from rftlab.ranges import Positive
from rftlab.streams import stream, stream_seed
from rftlab.types import LabelAlgorithm, LabelBatch


@dataclass(frozen=True, kw_only=True)
class Epochs:
    """Pass over the train inputs in minibatches; each is measured right before its own update."""

    epochs: Positive[int]
    batch_size: Positive[int]
    measure_every: Positive[int]  # epochs between two lines of group statistics

    def run(self, lab: LabelLab, algorithm: LabelAlgorithm) -> dict[str, float]:
        """Train, evaluating before, during and after; resumes from the newest checkpoint of the run folder.

        Returns:
            The final metrics.
        """
        session = lab.session
        optimizer = lab.optimizer.make(lab.network)
        done = self._resume(lab, optimizer)
        if done == 0:
            session.describe(describe(0, self.epochs, evaluate(lab, 0)))
        for epoch in session.bar(range(done + 1, self.epochs + 1), "epochs", total=self.epochs, initial=done):
            started = time.perf_counter()
            measured = epoch == 1 or epoch % self.measure_every == 0
            averages = Averages()
            batches = self._batches(lab, epoch)
            for number, rows in enumerate(batches):
                loss = gradient(lab, algorithm, rows, (epoch, number), averages if measured else None)
                step, total = (epoch - 1) * len(batches) + number + 1, self.epochs * len(batches)
                found = torch.stack([loss, lab.optimizer.clip(lab.network)]).tolist()  # the one wait of the step
                numbers = dict(zip(("loss", "grad/norm"), found, strict=True))
                refuse_divergence(numbers, step)
                lab.optimizer.step(optimizer, step, total)
                averages.add(len(rows), {"grad/norm": numbers["grad/norm"]})
            if measured:
                session.run.log(epoch, averages.means() | {"time/step_s": time.perf_counter() - started})
            evaluated = epoch % lab.evaluate_every == 0 and epoch < self.epochs
            if evaluated or epoch == self.epochs or session.due(epoch):
                refuse_broken(lab, epoch * len(batches))
            if evaluated:
                metrics = evaluate(lab, epoch)
                if epoch % (10 * lab.evaluate_every) == 0:  # thousands of epochs: a line for some of them
                    session.describe(describe(epoch, self.epochs, metrics))
            if epoch < self.epochs and session.due(epoch):  # what comes after the last one is short
                session.save(epoch, {"network": lab.network.state_dict(), "optimizer": optimizer.state_dict()})
        final = evaluate(lab, self.epochs)
        session.describe(describe(self.epochs, self.epochs, final))
        save_weights(lab.network, session.run.folder / "final" / "model.safetensors")
        return final

    def _resume(self, lab: LabelLab, optimizer: torch.optim.Optimizer) -> int:
        if (saved := lab.session.resume()) is None:
            return 0
        epoch, state = saved
        lab.network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        return epoch

    def _batches(self, lab: LabelLab, epoch: int) -> list[Int[Tensor, " b"]]:
        """Cut the order of an epoch, a function of seed and epoch alone, into minibatches; every epoch has as many.

        A single input that is left over joins the last minibatch: batch normalisation has no statistics of one.
        """
        n = len(lab.task.inputs)
        order = np.random.default_rng(stream_seed(lab.session.seed, "order", epoch)).permutation(n)
        parts = list(torch.from_numpy(order).to(lab.task.inputs.device).split(self.batch_size))
        if len(parts) > 1 and len(parts[-1]) == 1:
            parts[-2:] = [torch.cat(parts[-2:])]
        return parts


def gradient(
    lab: LabelLab,
    algorithm: LabelAlgorithm,
    rows: Int[Tensor, " b"],
    place: tuple[int, int],
    averages: Averages | None,
) -> Float[Tensor, ""]:
    """Leave the gradient of a minibatch's mean loss in the parameters, and what describes it in the averages.

    `place` is the minibatch's epoch and number, from which the noise of sampled labels is drawn. Returns the mean loss.
    """
    task = lab.task
    lab.network.train()
    noise = torch.rand(len(rows), generator=stream(lab.session.seed, "labels", *place)).to(rows.device)
    batch = LabelBatch(
        logprobs=lab.network(task.inputs[rows]).log_softmax(-1),
        rewards=task.rewards[rows],
        targets=task.targets[rows],
        noise=noise,
    )
    loss = algorithm.label_loss(batch)
    groups = {name: mask[rows] for name, mask in task.groups.items() if bool(mask[rows].any())}
    if averages is None:
        loss.mean().backward()
    else:
        measure(lab.network, batch, loss, groups, averages)
    return loss.detach().mean()


@torch.no_grad()
def refuse_broken(lab: LabelLab, step: int) -> None:
    """Stop a run whose network has become useless; it is asked about one input."""
    lab.network.eval()
    refuse_broken_network(lab.network, lab.network(lab.task.inputs[:1]), step)


def measure(
    network: torch.nn.Module,
    batch: LabelBatch,
    loss: Float[Tensor, " b"],
    groups: Mapping[str, Bool[Tensor, " b"]],
    averages: Averages,
) -> None:
    """Compute the gradient of the mean loss, and add to the averages what describes the batch and its groups."""
    size = norm_of(network.parameters())
    whole = describe_group(batch, loss)
    numbers = {"reward/mean": whole["reward"], "reward/std": whole["reward_std"], "train/accuracy": whole["accuracy"]}
    averages.add(len(loss), numbers | {"policy/loss": -whole["objective"], "param/norm": size})
    if not groups:
        loss.mean().backward()
        return
    norms = backward_by_group(network, loss, groups)
    for name, mask in groups.items():
        numbers = describe_group(batch, loss, mask)
        numbers |= {"grad_norm": norms[name], "grad_norm_relative": norms[name] / size}
        averages.add(int(mask.sum()), {f"{name}/{key}": value for key, value in numbers.items()})


def backward_by_group(
    network: torch.nn.Module, loss: Float[Tensor, " b"], groups: Mapping[str, Bool[Tensor, " b"]]
) -> dict[str, float]:
    """Leave the gradient of the mean loss in the parameters, and give the norm of each group's own mean gradient.

    The groups are disjoint and cover the batch, so their gradients, weighted with their sizes, add up to that of the
    batch: one forward pass serves all. Layers that mix inputs (batch normalisation) see the statistics of the whole
    batch, and update their running averages once.
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    norms = {}
    for name, mask in groups.items():
        gradients = torch.autograd.grad(loss[mask].mean(), parameters, retain_graph=True)
        norms[name] = norm_of(gradients)
        share = float(mask.float().mean())
        for parameter, gradient in zip(parameters, gradients, strict=True):
            weighted = gradient * share
            parameter.grad = weighted if parameter.grad is None else parameter.grad.add_(weighted)
    return norms


def describe(epoch: int, total: int, metrics: Mapping[str, float]) -> str:
    """Say an evaluation in one line: the reward of every part, and the accuracy on the test inputs."""
    rewards = {key.split("/")[1]: value for key, value in metrics.items() if key.endswith("/reward")}
    values = "  ".join(f"{part} {value:.3f}" for part, value in rewards.items())
    return f"epoch {epoch}/{total}  reward: {values}  test accuracy {metrics['eval/test/accuracy']:.3f}"
