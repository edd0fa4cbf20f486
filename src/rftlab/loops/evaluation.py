"""Evaluation of a policy on the splits of its task, and its per-prompt reward statistics."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float64

from rftlab.diagnostics import PromptStatistics, prompt_statistics
from rftlab.errors import UserError
from rftlab.loops.first_looks import Draw, Drawn, FirstLooks, key_of
from rftlab.loops.lab import Lab, Task
from rftlab.models import Policy
from rftlab.ops import kl_k1, kl_k3
from rftlab.sampling.sample import generate, prompts_at_once
from rftlab.sampling.stop import cut_at, text_before
from rftlab.streams import row_noise, stream_seed
from rftlab.types import BeamSearch, Example, Responses, Reward, Sampling

T = TypeVar("T")
SPLITS = ("train", "validation", "test")
SUFFIX = {"common": "", "own": "_own"}  # of the metrics, by decoding


def subset(examples: Sequence[T], n: int, *purpose: str | int) -> list[T]:
    """Take a fixed random subset of at most n examples or pairs; the same one in every run on this data."""
    order = np.random.default_rng(stream_seed(0, "subset", *purpose)).permutation(len(examples))
    return [examples[int(i)] for i in order[:n]]


@torch.no_grad()
def evaluate(lab: Lab, step: int) -> dict[str, float]:
    """Decode every split as the dataset is evaluated and score it; logs the metrics and a few responses.

    Returns:
        `eval/<split>/reward` and `eval/<split>/length` (tokens), or the token loss where the task has no reward;
        `.../gold` where the task has a gold reward; `eval_own/...` too where the evaluation samples otherwise than the
        rollout, and `.../reward_b1` where the policy decodes shifted, too; `policy/kl...` where `lab.start` is given,
        and what `lab.held_out` gives.
    """
    metrics: dict[str, float] = {}
    for split in SPLITS:
        examples = subset(getattr(lab.task.splits, split), lab.evaluation.sizes[split], split)
        if not examples:
            continue
        if lab.task.reward is None or lab.task.evaluation is None:
            metrics |= {f"eval/{split}/{name}": value for name, value in _token_loss(lab, examples, split).items()}
        else:
            for which, decoding in decodings(lab.task.evaluation, lab.task.rollout).items():
                for shift, policy in {"": lab.policy, **lab.shifted}.items():
                    where = {"step": step, "split": split, "decoding": f"{which}{shift}"}
                    looks = None if shift else lab.first_looks  # what shifts a policy is no weight of it
                    seen = replace(lab, policy=policy, first_looks=looks)
                    found = _decode_and_score(seen, examples, decoding, where)
                    place = f"eval{SUFFIX[which]}/{split}"
                    metrics |= {f"{place}/{name}{shift}": value for name, value in found.items()}
    if lab.start is not None:
        metrics |= drift(lab, lab.start)
    if lab.held_out is not None:
        metrics |= lab.held_out()
    lab.session.run.log(step, metrics)
    return metrics


def drift(lab: Lab, start: Policy) -> dict[str, float]:
    """Estimate the KL to the start of a run that samples no rollouts, on responses of its own to validation prompts.

    Returns:
        `policy/kl`, `policy/kl_k3` (nats per response) and `policy/kl_token`, of responses sampled as in a rollout.
    """
    rollout = lab.task.rollout
    assert rollout is not None
    examples = subset(lab.task.splits.validation, lab.evaluation.sizes["validation"], "validation")
    places, size = places_of(examples), lab.evaluation.batch_size
    k1, k3, tokens = 0.0, 0.0, 0
    for first in range(0, len(examples), size):
        lab.session.stop.check()
        part = slice(first, first + size)
        noise = row_noise(lab.session.seed, "drift", places=places[part], samples=1, steps=rollout.max_new_tokens)
        prompts = encode(lab, examples[part])
        responses = cut_at(lab.policy, generate(lab.policy, *prompts, rollout, 1, noise), lab.task.stop)
        row, mask = (*prompts, responses.response_ids, responses.response_mask), responses.response_mask
        now, before = (policy(*row, rollout.temperature).logprobs for policy in (lab.policy, start))
        k1, k3 = k1 + float(kl_k1(now, before)[mask].sum()), k3 + float(kl_k3(now, before)[mask].sum())
        tokens += int(mask.sum())
    rows = max(1, len(examples))
    return {"policy/kl": k1 / rows, "policy/kl_k3": k3 / rows, "policy/kl_token": k1 / max(1, tokens)}


def decodings(common: Sampling | BeamSearch, rollout: Sampling | None) -> dict[str, Sampling | BeamSearch]:
    """Name the ways in which a policy is looked at: `common` to all runs on the data, and its `own` if that differs.

    A run at another temperature would otherwise bring its own thermometer. A beam search has no temperature.
    """
    differs = isinstance(common, Sampling) and rollout is not None and rollout != common
    return {"common": common} | ({"own": rollout} if differs else {})


def _decode_and_score(
    lab: Lab, examples: list[Example], decoding: Sampling | BeamSearch, where: Mapping[str, object]
) -> dict[str, float]:
    # the same noise at every evaluation: less variance between them
    look, first = ("evaluation", str(where["split"])), where["step"] == 0
    answers = answer(lab, examples, places_of(examples), decoding, 1, *look, first=first)
    scores = reward(lab, answers)
    gold = None if lab.task.gold is None else scored(lab.task.gold, answers)
    kept = slice(lab.evaluation.n_logged)
    log_samples(lab, where, examples[kept], answers.texts[kept], scores[kept], None if gold is None else gold[kept])
    means = {"reward": float(np.mean(scores)), "length": float(np.mean(answers.lengths))}
    return means | ({} if gold is None else {"gold": float(np.mean(gold))})


def _token_loss(lab: Lab, examples: list[Example], split: str) -> dict[str, float]:
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
    if tokens == 0:
        found = f"no token in the gold texts of {len(examples)} evaluated rows of the split {split}"
        raise UserError(found, "a text in one of them at least", f"data or eval.n_{split}")
    return {"loss": loss / tokens, "confident": right / tokens}


def encode(lab: Lab, examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokenize the prompts of the examples as the task formats them; (ids, mask), both (B p)."""
    return encode_for(lab.policy, lab.task, examples)


def encode_for(policy: Policy, task: Task, examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokenize the prompts of the examples for a policy, as the task formats them; (ids, mask), both (B p)."""
    return policy.encode_prompts(
        [e.prompt for e in examples], task.max_prompt_tokens, task.truncation_side, task.prompt_ending
    )


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


def decode(lab: Lab, responses: Responses) -> list[str]:
    """Turn responses into the texts that are scored."""
    return texts_of(lab.policy, responses, lab.task.stop)


def texts_of(policy: Policy, responses: Responses, stops: Sequence[str]) -> list[str]:
    """Turn responses into texts that end before the first stop string."""
    texts = policy.decode(responses.response_ids, responses.response_mask)
    return [text_before(text, stops) for text in texts]


def score(lab: Lab, examples: Sequence[Example], responses: Responses) -> tuple[list[str], Float[np.ndarray, " n"]]:
    """Decode responses and reward them; row i answers `examples[responses.prompt_index[i]]`."""
    assert lab.task.reward is not None
    texts = decode(lab, responses)
    asked = [examples[i] for i in responses.prompt_index.tolist()]
    return texts, lab.task.reward([e.prompt for e in asked], texts, [e.targets for e in asked])


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Responses as text; those to one example are adjacent."""

    examples: list[Example]  # one per response
    texts: list[str]
    lengths: list[int]  # tokens, EOS included


def places_of(examples: Sequence[Example]) -> list[str]:
    """Name what the noise of each example is keyed by: its id, and how often that has come before."""
    seen: Counter[str] = Counter()
    places = []
    for example in examples:
        places.append(f"{example.id}/{seen[example.id]}")
        seen[example.id] += 1
    return places


@torch.no_grad()
def answer(
    lab: Lab,
    examples: Sequence[Example],
    places: Sequence[str],
    decoding: Sampling | BeamSearch,
    samples: int,
    *purpose: str | int,
    label: str | None = None,
    first: bool = False,
) -> Answers:
    """Answer each example `samples` times, batch by batch, with a progress bar where there is a `label`.

    The noise of a response is a function of run seed, purpose, place and number of the sample, so the batches matter to
    rounding alone. A `first` look at a policy that nothing has trained yet takes what another run has drawn.
    """
    size, looks = prompts_at_once(lab.evaluation.batch_size, samples), lab.first_looks if first else None
    draw = Draw(
        seed=lab.session.seed, purpose=purpose, places=places, samples=samples, decoding=decoding, stop=lab.task.stop,
        prompts_at_once=size,
    )  # fmt: skip
    drawn = _drawn(lab, examples, draw, label) if looks is None else _shared(lab, looks, examples, draw, label)
    each = [e for e in examples for _ in range(samples)]
    return Answers(examples=each, texts=drawn.texts, lengths=drawn.lengths)


def _shared(lab: Lab, looks: FirstLooks, examples: Sequence[Example], draw: Draw, label: str | None) -> Drawn:
    key = key_of(lab.policy, looks.weights_of(lab.policy), *encode(lab, examples), draw)
    if (found := looks.find(key, len(examples) * draw.samples)) is None:
        found = _drawn(lab, examples, draw, label)
        looks.keep(key, found)
    elif label is not None:
        lab.session.describe(f"{label}: {len(found.texts):,} responses that another run has drawn from these weights")
    return found


def _drawn(lab: Lab, examples: Sequence[Example], draw: Draw, label: str | None) -> Drawn:
    texts: list[str] = []
    lengths: list[int] = []
    size, steps = draw.prompts_at_once, draw.decoding.max_new_tokens
    starts = range(0, len(examples), size)
    for start in starts if label is None else lab.session.bar(starts, label):
        lab.session.stop.check()
        part = slice(start, start + size)
        noise = row_noise(draw.seed, *draw.purpose, places=draw.places[part], samples=draw.samples, steps=steps)
        found = respond(lab.policy, lab.task, examples[part], draw.decoding, draw.samples, noise)
        texts += found[0]
        lengths += found[1]
    return Drawn(texts=texts, lengths=lengths)


def respond(
    policy: Policy,
    task: Task,
    examples: Sequence[Example],
    decoding: Sampling | BeamSearch,
    samples: int,
    noise: Float64[torch.Tensor, "n t"],
) -> tuple[list[str], list[int]]:
    """Answer a batch of prompts; the texts as they are scored, and their lengths in tokens, EOS included."""
    whole = generate(policy, *encode_for(policy, task, examples), decoding, samples, noise)
    responses = cut_at(policy, whole, task.stop)
    return texts_of(policy, responses, task.stop), responses.response_mask.sum(dim=1).tolist()


def reward(lab: Lab, answers: Answers) -> Float[np.ndarray, " n"]:
    """Score every answer."""
    assert lab.task.reward is not None
    return scored(lab.task.reward, answers)


def scored(by: Reward, answers: Answers) -> Float[np.ndarray, " n"]:
    """Score every answer by some reward."""
    asked = answers.examples
    return by([e.prompt for e in asked], answers.texts, [e.targets for e in asked])


def look_before(lab: Lab) -> dict[str, float]:
    """Probe the policy before training; a second time, `again`, where the run is to know what two draws of it say."""
    before = probe(lab, "before", 0)
    if lab.evaluation.probe_null:
        probe(lab, "again", 0)
    return before


def probe(lab: Lab, phase: str, step: int) -> dict[str, float]:
    """Sample every probe prompt several times as the data is probed and keep its reward mean and std.

    The per-prompt statistics go to `prompts.parquet` under `phase` (`before`, `again`, `during` or `after`) and `step`,
    their summary to the metrics (Razin et al. 2024, section 4.1), but for `again`, whose step is that of `before`. All
    looks are at the same prompts, those `during` at the first few of them, and each has noise of its own: what one
    finds by chance the next does not find again. Where the rollout samples otherwise, the policy is looked at with the
    rollout's sampling, too: decoding `own`, metrics `probe_own/...`.
    """
    if lab.task.reward is None or lab.task.probe is None:
        return {}
    n_prompts = lab.evaluation.probe_prompts_during if phase == "during" else lab.evaluation.probe_prompts
    examples, samples = subset(lab.task.splits.train, n_prompts, "probe"), lab.evaluation.probe_samples
    places, metrics, rows = places_of(examples), {}, []
    ways = decodings(lab.task.probe, None if phase == "again" else lab.task.rollout)
    for which, decoding in ways.items():
        look, label = ("probe", phase, step), f"reward statistics {phase}"
        answers = answer(lab, examples, places, decoding, samples, *look, label=label, first=step == 0)
        scores = reward(lab, answers)
        kept = slice(lab.evaluation.n_logged)
        where = {"phase": phase, "step": step, "split": "train", "decoding": which}
        log_samples(lab, where, answers.examples[kept], answers.texts[kept], scores[kept])
        statistics = prompt_statistics(scores.reshape(len(examples), samples))
        rows.append(prompt_rows(phase, step, which, examples, statistics, samples))
        summary = statistics.summary(lab.evaluation.std_below, lab.task.low_reward)
        metrics |= {f"probe{SUFFIX[which]}/{name}": value for name, value in summary.items()}
    lab.session.run.save_prompts(pd.concat(rows, ignore_index=True))
    if phase != "again":
        lab.session.run.log(step, metrics)
    return metrics


def prompt_rows(
    phase: str, step: int, decoding: str, examples: Sequence[Example], statistics: PromptStatistics, samples: int
) -> pd.DataFrame:
    """Give the rows of `prompts.parquet` of one look at the probe set."""
    return pd.DataFrame(
        {
            "phase": phase,
            "step": step,
            "split": "train",
            "decoding": decoding,
            "prompt_id": [e.id for e in examples],
            "reward_mean": statistics.mean,
            "reward_std": statistics.std,
            "n_samples": samples,
        }
    )


def log_samples(
    lab: Lab,
    where: Mapping[str, object],
    examples: Sequence[Example],
    texts: Sequence[str],
    scores: Float[np.ndarray, " n"],
    gold: Float[np.ndarray, " n"] | None = None,
) -> None:
    """Append responses to `samples.jsonl`, with their gold scores where there are any."""
    more = [{} for _ in scores] if gold is None else [{"gold": float(value)} for value in gold]
    rows = zip(examples, texts, scores, more, strict=True)
    lab.session.run.log_samples(
        {**where, "prompt_id": e.id, "prompt": e.prompt, "response": text, "score": float(value), **extra}
        for e, text, value, extra in rows
    )
