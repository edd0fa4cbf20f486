"""Evaluation of a policy on the splits of its task, and its per-prompt reward statistics."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from rftlab.diagnostics import PromptStatistics, prompt_statistics
from rftlab.loops.lab import Lab
from rftlab.sampling.sample import generate, sample
from rftlab.streams import stream, stream_seed
from rftlab.types import Example, Responses

SPLITS = ("train", "validation", "test")


def subset(examples: Sequence[Example], n: int, *purpose: str | int) -> list[Example]:
    """Take a fixed random subset of at most n examples; the same one in every run on this data."""
    order = np.random.default_rng(stream_seed(0, "subset", *purpose)).permutation(len(examples))
    return [examples[int(i)] for i in order[:n]]


@torch.no_grad()
def evaluate(lab: Lab, step: int) -> dict[str, float]:
    """Decode every split as the dataset is evaluated and score it; logs the metrics and a few responses.

    Returns:
        `eval/<split>/reward` and `eval/<split>/length` (tokens), or the token loss where the task has no reward.
    """
    metrics: dict[str, float] = {}
    for split in SPLITS:
        examples = subset(getattr(lab.task.splits, split), lab.evaluation.sizes[split], split)
        if not examples:
            continue
        if lab.task.reward is None or lab.task.evaluation is None:
            metrics |= {f"eval/{split}/{name}": value for name, value in _token_loss(lab, examples).items()}
        else:
            metrics |= {
                f"eval/{split}/{name}": value for name, value in _decode_and_score(lab, examples, split, step).items()
            }
    lab.session.run.log(step, metrics)
    return metrics


def _decode_and_score(lab: Lab, examples: list[Example], split: str, step: int) -> dict[str, float]:
    assert lab.task.reward is not None and lab.task.evaluation is not None
    texts: list[str] = []
    lengths: list[int] = []
    for start in range(0, len(examples), lab.evaluation.batch_size):
        lab.session.stop.check()
        batch = examples[start : start + lab.evaluation.batch_size]
        prompt_ids, prompt_mask = encode(lab, batch)
        generator = stream(
            lab.session.seed, "evaluation", split, start
        )  # the same noise at every evaluation: less variance between them
        responses = generate(lab.policy, prompt_ids, prompt_mask, lab.task.evaluation, generator)
        texts += lab.policy.decode(responses.response_ids, responses.response_mask)
        lengths += responses.response_mask.sum(dim=1).tolist()
    scores = lab.task.reward([e.prompt for e in examples], texts, [e.targets for e in examples])
    kept = slice(lab.evaluation.n_logged)
    log_samples(lab, {"step": step, "split": split}, examples[kept], texts[kept], scores[kept])
    return {"reward": float(np.mean(scores)), "length": float(np.mean(lengths))}


def _token_loss(lab: Lab, examples: list[Example]) -> dict[str, float]:
    loss, right, tokens = 0.0, 0, 0
    for start in range(0, len(examples), lab.evaluation.batch_size):
        lab.session.stop.check()
        batch = examples[start : start + lab.evaluation.batch_size]
        prompt_ids, prompt_mask = encode(lab, batch)
        ids, mask = encode_targets(lab, [e.targets[0] for e in batch])
        logprobs = lab.policy(prompt_ids, prompt_mask, ids, mask).logprobs
        loss -= float(logprobs[mask].sum())
        right += int((logprobs[mask] > np.log(0.5)).sum())
        tokens += int(mask.sum())
    return {"loss": loss / tokens, "confident": right / tokens}


def encode(lab: Lab, examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokenize the prompts of the examples as the task formats them; (ids, mask), both (B p)."""
    return lab.policy.encode_prompts([e.prompt for e in examples], lab.task.max_prompt_tokens, lab.task.truncation_side)


def encode_targets(lab: Lab, targets: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokenize gold texts as the task formats them; (ids, mask), both (B t)."""
    return lab.policy.encode_targets(targets, lab.task.max_target_tokens, lab.task.append_eos)


def encode_whole(
    lab: Lab, texts: Sequence[str], max_tokens: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokenize whole texts for a causal model; (ids, mask) of the first token, both (B 1), and of the rest, both (B t).

    The first token predicts the second, and nothing predicts the first: what is learned of a text is all but that one.
    Long texts are cut on the side on which prompts are.
    """
    ids, mask = lab.policy.encode_prompts(texts, max_tokens, lab.task.truncation_side)
    to_front = mask.long().argsort(dim=1, descending=True, stable=True)  # prompts are padded on the left
    ids, mask = ids.gather(1, to_front), mask.gather(1, to_front)
    return ids[:, :1], mask[:, :1], ids[:, 1:], mask[:, 1:]


def score(lab: Lab, examples: Sequence[Example], responses: Responses) -> tuple[list[str], Float[np.ndarray, " n"]]:
    """Decode responses and reward them; row i answers `examples[responses.prompt_index[i]]`."""
    assert lab.task.reward is not None
    texts = lab.policy.decode(responses.response_ids, responses.response_mask)
    asked = [examples[i] for i in responses.prompt_index.tolist()]
    return texts, lab.task.reward([e.prompt for e in asked], texts, [e.targets for e in asked])


@torch.no_grad()
def probe(lab: Lab, phase: str, step: int) -> dict[str, float]:
    """Sample every probe prompt several times with the rollout settings and keep its reward mean and std.

    The per-prompt statistics go to `prompts.parquet` under `phase` (`before`, `during` or `after`) and `step`, their
    summary to the metrics (Razin et al. 2024, section 4.1). All phases use the same prompts, `during` the first few of
    them, and the same noise.
    """
    if lab.task.reward is None or lab.task.rollout is None:
        return {}
    n_prompts = lab.evaluation.probe_prompts_during if phase == "during" else lab.evaluation.probe_prompts
    examples = subset(lab.task.splits.train, n_prompts, "probe")
    statistics: list[PromptStatistics] = []
    samples = lab.evaluation.probe_samples
    batch_size = max(1, lab.evaluation.batch_size // 4)  # rows are batch_size / 4 * samples
    for start in lab.session.bar(range(0, len(examples), batch_size), f"reward statistics {phase}"):
        lab.session.stop.check()
        batch = examples[start : start + batch_size]
        responses, texts, scores = sample_and_score(lab, batch, samples, start)
        statistics.append(prompt_statistics(scores.reshape(len(batch), samples)))
        if start == 0:
            kept = slice(lab.evaluation.n_logged)
            asked = [batch[i] for i in responses.prompt_index[kept].tolist()]
            log_samples(lab, {"phase": phase, "step": step, "split": "train"}, asked, texts[kept], scores[kept])
    merged = PromptStatistics.concatenate(statistics)
    lab.session.run.save_prompts(prompt_rows(phase, step, examples, merged, samples))
    summary = merged.summary(lab.evaluation.std_below, lab.task.low_reward)
    metrics = {f"probe/{name}": value for name, value in summary.items()}
    lab.session.run.log(step, metrics)
    return metrics


@torch.no_grad()
def sample_and_score(
    lab: Lab, examples: Sequence[Example], samples: int, start: int
) -> tuple[Responses, list[str], Float[np.ndarray, " n"]]:
    """Answer the examples of the probe set from place `start` on, with that place's noise, and score the answers."""
    assert lab.task.rollout is not None
    prompt_ids, prompt_mask = encode(lab, examples)
    generator = stream(lab.session.seed, "probe", start)
    responses = sample(lab.policy, prompt_ids, prompt_mask, lab.task.rollout, samples, generator)
    return responses, *score(lab, examples, responses)


def prompt_rows(
    phase: str, step: int, examples: Sequence[Example], statistics: PromptStatistics, samples: int
) -> pd.DataFrame:
    """Give the rows of `prompts.parquet` of one look at the probe set."""
    return pd.DataFrame(
        {
            "phase": phase,
            "step": step,
            "split": "train",
            "prompt_id": [e.id for e in examples],
            "reward_mean": statistics.mean,
            "reward_std": statistics.std,
            "n_samples": samples,
        }
    )


def log_samples(
    lab: Lab,
    where: dict[str, object],
    examples: Sequence[Example],
    texts: Sequence[str],
    scores: Float[np.ndarray, " n"],
) -> None:
    """Append responses to `samples.jsonl`."""
    rows = zip(examples, texts, scores, strict=True)
    lab.session.run.log_samples(
        {**where, "prompt_id": e.id, "prompt": e.prompt, "response": text, "score": float(value)}
        for e, text, value in rows
    )
