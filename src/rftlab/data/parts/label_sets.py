"""Labels of the controlled experiments: several per input in pretraining, one in finetuning.

For some inputs, the modified ones, the label of finetuning is outside the set of pretraining: a model that learned its
set gives that label almost no probability (Razin et al. 2024, section 4.2).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rftlab.errors import UserError
from rftlab.streams import stream


@dataclass(frozen=True, kw_only=True)
class LabelSets:
    """Labels of each train input; m labels in pretraining, the true one first."""

    pretraining: Int[Tensor, "n m"]
    finetuning: Int[Tensor, " n"]
    modified: Bool[Tensor, " n"]  # True where the finetuning label is outside the pretraining set


def assign(
    labels: Int[Tensor, " n"], classes: int, labels_per_input: int, modified_share: float, seed: int
) -> LabelSets:
    """Draw the label sets of inputs from their true labels.

    The extra labels of pretraining are drawn once per class, from a random order of the other classes. A random share
    of the inputs, `round(n * modified_share)` of them, is modified: their finetuning label is a uniform choice among
    the labels outside their pretraining set. All other inputs are finetuned on their true label.

    Args:
        labels: true classes, from 0.
        classes: number of classes.
        labels_per_input: m, the true label included.
        modified_share: share of inputs, 0 to 1.
        seed: of all draws; the same for pretraining and finetuning.

    Raises:
        UserError: no label inside or none outside the pretraining sets, or a share outside 0-1.
    """
    _check(classes, labels_per_input, modified_share)
    orders = torch.stack([_class_order(label, classes, seed) for label in range(classes)])
    inside, outside = orders[labels, :labels_per_input], orders[labels, labels_per_input:]
    n = len(labels)
    modified = torch.zeros(n, dtype=torch.bool)
    modified[torch.randperm(n, generator=stream(seed, "modified_inputs"))[: round(n * modified_share)]] = True
    choice = torch.randint(outside.shape[1], (n, 1), generator=stream(seed, "modified_labels"))
    return LabelSets(
        pretraining=inside,
        finetuning=torch.where(modified, outside.gather(1, choice).squeeze(1), labels),
        modified=modified,
    )


def reward_table(
    finetuning: Int[Tensor, " n"],
    modified: Bool[Tensor, " n"],
    classes: int,
    correct: float,
    wrong: float,
    wrong_modified: float,
) -> Float[Tensor, "n k"]:
    """Tabulate the reward of every label: `correct` for the finetuning label, else `wrong`.

    Wrong labels of modified inputs get `wrong_modified`, which sets the initial reward of those inputs.
    """
    rewards = torch.full((len(finetuning), classes), float(wrong))
    rewards[modified] = wrong_modified
    return rewards.scatter_(1, finetuning.unsqueeze(1), float(correct))


def _class_order(label: int, classes: int, seed: int) -> Int[Tensor, " k"]:
    """Put a class first and all others after it in random order."""
    others = torch.tensor([other for other in range(classes) if other != label], dtype=torch.int64)
    order = torch.randperm(classes - 1, generator=stream(seed, "extra_labels", label))
    return torch.cat([torch.tensor([label]), others[order]])


def _check(classes: int, labels_per_input: int, modified_share: float) -> None:
    if not 1 <= labels_per_input < classes:
        raise UserError(
            f"data.labels_per_input={labels_per_input} with {classes} classes",
            f"1 to {classes - 1}, which leaves a label outside every set",
            "data.labels_per_input",
        )
    if not 0 <= modified_share <= 1:
        raise UserError(f"data.modified_share={modified_share}", "a share from 0 to 1", "data.modified_share")
