"""P(positive) by a sequence classifier, the reward of IMDB."""

import logging
from pathlib import Path

import torch

from rftlab.errors import UserError
from rftlab.ranges import Given, Positive
from rftlab.rewards.classifier import SOURCE, Classifier, read_classifier

POSITIVE = 1  # class index, in the embedded classifier and in lvwerra/distilbert-imdb
log = logging.getLogger("rftlab")


def load(
    *,
    source: str,
    tokenizer: str | None,
    max_tokens: Positive[int],
    batch_size: Positive[int],
    at_chance: bool,
    hub_mirror: Given[Path | None],
    device: Given[str | torch.device] = "cpu",
) -> Classifier:
    """Load a classifier from `asset:NAME`, a folder, the mirror or the hub, in float32 with dropout off.

    `at_chance` allows real reviews to be scored with the embedded classifier, which knows the generated ones alone
    (accuracy 0.515 on 1,000 real ones); composition refuses the pair without it, and the log says so with it.

    Raises:
        UserError: the classifier or its tokenizer cannot be found, or it does not have two classes.
    """
    if at_chance:
        log.warning(
            "the reward, %s, tells real reviews apart no better than chance: no score of them means much", source
        )
    model, vocabulary = read_classifier(source, tokenizer, max_tokens, hub_mirror)
    if model.config.num_labels != 2:
        raise UserError(
            f"the classifier {source} has {model.config.num_labels} classes",
            "two: negative and positive",
            SOURCE,
        )
    return Classifier(
        model=model.to(device).eval(),
        label=POSITIVE,
        tokenizer=vocabulary,
        max_tokens=max_tokens,
        batch_size=batch_size,
    )
