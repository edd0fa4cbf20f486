"""Numbers that describe a classifier as a policy: exact reward mean and std, accuracy, norms."""

from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rftlab.diagnostics.bounds import reward_moments
from rftlab.loops.label_lab import LabelLab
from rftlab.types import LabelBatch

EVALUATION_BATCH = 512


class Averages:
    """Means over the inputs of an epoch, from the means over its minibatches, or parts of them, and their sizes."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._weights: dict[str, int] = {}

    def add(self, weight: int, values: Mapping[str, float]) -> None:
        """Add means over `weight` inputs."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + weight * value
            self._weights[name] = self._weights.get(name, 0) + weight

    def means(self) -> dict[str, float]:
        """Return all means."""
        return {name: value / self._weights[name] for name, value in self._sums.items()}


def describe_group(
    batch: LabelBatch, loss: Float[Tensor, " n"], mask: Bool[Tensor, " n"] | None = None
) -> dict[str, float]:
    """Give reward, reward std, accuracy and objective (minus the loss) of a batch or a part of it: means over inputs.

    Reward and std are exact: V(x) = sum over y of p r, STD(x) = sqrt(sum over y of p (r - V)^2).
    """
    rows = slice(None) if mask is None else mask
    logprobs, rewards = batch.logprobs.detach()[rows], batch.rewards[rows]
    mean, std, _ = reward_moments(logprobs, rewards)
    right = (logprobs.argmax(-1, keepdim=True) == batch.targets[rows]).any(-1)
    values = {"reward": mean, "reward_std": std, "accuracy": right.float(), "objective": -loss.detach()[rows]}
    return {name: float(value.mean()) for name, value in values.items()}


def norm_of(tensors: Iterable[Tensor]) -> float:
    """Give the joint L2 norm of tensors."""
    norms = torch.stack([tensor.detach().norm() for tensor in tensors])
    return float(norms.norm())


@torch.no_grad()
def evaluate(lab: LabelLab, epoch: int) -> dict[str, float]:
    """Describe the train inputs, each group of them and the test inputs, and log it.

    Returns:
        `eval/<train|small_std|large_std|test>/<reward|reward_std|accuracy>`; `loss` is of the gold labels.
    """
    task = lab.task
    lab.network.eval()
    train, test = _logprobs(lab, task.inputs), _logprobs(lab, task.test_inputs)
    metrics = _describe("eval/train", train, task.rewards, task.targets)
    for name, mask in task.groups.items():
        if bool(mask.any()):
            metrics |= _describe(f"eval/{name}", train[mask], task.rewards[mask], task.targets[mask])
    metrics |= _describe("eval/test", test, task.test_rewards, task.test_targets)
    lab.session.run.log(epoch, metrics)
    return metrics


def _logprobs(lab: LabelLab, inputs: Tensor) -> Float[Tensor, "n k"]:
    return torch.cat([lab.network(part).log_softmax(-1) for part in inputs.split(EVALUATION_BATCH)])


def _describe(prefix: str, logprobs: Tensor, rewards: Tensor, targets: Tensor) -> dict[str, float]:
    mean, std, _ = reward_moments(logprobs, rewards)
    right = (logprobs.argmax(-1, keepdim=True) == targets).any(-1).float()
    loss = -logprobs.gather(-1, targets).mean(-1)
    values = {"reward": mean, "reward_std": std, "accuracy": right, "loss": loss}
    return {f"{prefix}/{name}": float(value.mean()) for name, value in values.items()}
