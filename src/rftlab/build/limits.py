"""How many texts lose tokens at the limits of their task; a run says so once, as what is cut is never learned."""

import logging
import sys
from collections.abc import Iterator

from rftlab.loops.lab import Task
from rftlab.models import Policy

SEEN = 200  # texts of a split that are looked at, so that a start costs no second

log = logging.getLogger("rftlab")


def tell_cut(task: Task, policy: Policy) -> None:
    """Say in the log how many prompts and gold texts are longer than their limits, in the policy's own tokens."""
    over = [found for found in cut(task, policy) if found[2]] if policy.family != "classifier" else []
    if over:
        said = ", ".join(f"{what} of {split} {count}" for what, split, count in over)
        log.info("longer than the limit of data.prompt or data.target, of the first %d of each split: %s", SEEN, said)


def cut(task: Task, policy: Policy) -> Iterator[tuple[str, str, int]]:
    """Count the texts of each split that lose tokens: (what they are, split, count)."""
    for split in ("train", "validation", "test"):
        examples = getattr(task.splits, split)[:SEEN]
        prompts = policy.encode_prompts([e.prompt for e in examples], sys.maxsize, task.truncation_side)[1]
        yield "prompts", split, int((prompts.sum(1) > task.max_prompt_tokens).sum())
        targets = [target for example in examples for target in example.targets[:1]]
        gold = policy.encode_targets(targets, sys.maxsize, task.append_eos)[1]
        yield "targets", split, int((gold.sum(1) > task.max_target_tokens).sum())
