"""Samples per second: `rftlab.sampling.sample.sample` against `transformers.generate` on repeated prompts.

    python bench/rollout.py [--threads 1] [--samples 10] [--repeats 5]

Both sides draw from the same model, with the same settings, in the same process, in turns; the ratio is the median over
the pairs. Two kinds of prompts: random tokens, and the bundled datasets with the prompts, the sampling settings (but no
minimum length) and the batch of `src/diagnose.py`. The embedded models, given random tokens, hardly ever end a response
before the limit; the random models have a bias on EOS, so that responses end after about ten tokens. The table goes to
`outputs/bench/rollout.md`.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import nn
from transformers import (
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from rftlab.assets import FOLDER
from rftlab.models import Policy, load_policy
from rftlab.models.policy import Family
from rftlab.sampling.sample import prompts_at_once, sample
from rftlab.streams import row_noise
from rftlab.types import Sampling

CONF = Path(__file__).parents[1] / "conf"
VOCAB = 1024
SETTINGS = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_new_tokens=0, max_new_tokens=32)
HEADER = (
    "| model | parameters | prompts | prompts x samples | prompt tokens | new tokens | mean response "
    "| rftlab samples/s | generate samples/s | ratio |"
)


def random_policy(family: str) -> Policy:
    """Build a random model of about a million parameters, with a bias on EOS."""
    torch.manual_seed(0)
    lm: Any
    if family == "seq2seq":
        lm = T5ForConditionalGeneration(
            T5Config(
                vocab_size=VOCAB, d_model=128, d_kv=32, d_ff=256, num_layers=3, num_heads=4, dropout_rate=0.0,
                decoder_start_token_id=0,  # ty: ignore[unknown-argument]
            )
        )  # fmt: skip
    else:
        lm = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=VOCAB, n_embd=128, n_layer=4, n_head=4, n_positions=512, bos_token_id=1, eos_token_id=1,
                pad_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
            )
        )  # fmt: skip
    head = nn.Linear(128, VOCAB)
    head.weight.data = lm.get_output_embeddings().weight.data
    head.bias.data = torch.zeros(VOCAB).index_fill(0, torch.tensor([1]), 4.5)
    lm.lm_head = head
    raw = Tokenizer(WordLevel({"<pad>": 0, "</s>": 1}))  # prompts are ids already: only the special tokens count
    words = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="</s>")
    return Policy(lm, words, family)


def policy_of(name: str, family: Family) -> Policy:
    if name == "random":
        return random_policy(family)
    return load_policy(
        source=f"asset:{name}",
        family=family,
        tokenizer="asset:tokenizer",
        init="pretrained",
        dtype="float32",
        compute_dtype="float32",
    )


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one call of either side samples."""

    name: str
    ids: torch.Tensor
    mask: torch.Tensor
    samples: int
    sampling: Sampling

    @property
    def rows(self) -> int:
        return len(self.ids) * self.samples


def random_batch(family: str, prompts: int, samples: int, length: int) -> Batch:
    """Make prompts between half and the whole of `length`, padded as the family pads."""
    lengths = torch.linspace(length // 2, length, prompts).long().unsqueeze(1)
    mask = torch.arange(length) < lengths
    ids = torch.randint(2, VOCAB, mask.shape, generator=torch.Generator().manual_seed(0)).masked_fill(~mask, 0)
    if family == "causal":
        ids, mask = ids.flip(1), mask.flip(1)
    return Batch(name="random tokens", ids=ids, mask=mask, samples=samples, sampling=SETTINGS)


def dataset_batch(policy: Policy, name: str) -> Batch:
    """Take one batch of train prompts of a bundled dataset, as `src/diagnose.py` samples it."""
    data, loop = OmegaConf.load(CONF / "data" / f"{name}.yaml"), OmegaConf.load(CONF / "algo" / "diagnose.yaml").loop
    responses = OmegaConf.load(CONF / "train.yaml").eval.batch_size
    few = {"n_train": prompts_at_once(responses, loop.samples_per_prompt), "n_validation": 1, "n_test": 1}
    examples = instantiate(data.loader, source="bundled", hub_mirror=None, **few).train
    prompts = [example.prompt for example in examples]
    ids, mask = policy.encode_prompts(prompts, data.prompt.max_tokens, data.prompt.truncation_side)
    sampling = Sampling(**{**data.rollout, "min_new_tokens": 0})
    return Batch(name=name, ids=ids, mask=mask, samples=loop.samples_per_prompt, sampling=sampling)


def ours(policy: Policy, batch: Batch, seed: int) -> float:
    draw = {"places": range(len(batch.ids)), "samples": batch.samples, "steps": batch.sampling.max_new_tokens}
    out = sample(policy, batch.ids, batch.mask, batch.sampling, batch.samples, row_noise(seed, "bench", **draw))
    return out.response_mask.sum(-1).float().mean().item()


def peer(policy: Policy, batch: Batch, seed: int) -> None:
    start = {"decoder_start_token_id": 0} if policy.family == "seq2seq" else {}
    config = GenerationConfig(
        do_sample=True, temperature=batch.sampling.temperature, top_k=batch.sampling.top_k, top_p=batch.sampling.top_p,
        max_new_tokens=batch.sampling.max_new_tokens, pad_token_id=policy.pad_id, eos_token_id=policy.eos_id, **start,
    )  # fmt: skip
    torch.manual_seed(seed)
    lm: Any = policy.lm
    lm.generate(
        input_ids=batch.ids.repeat_interleave(batch.samples, 0),
        attention_mask=batch.mask.repeat_interleave(batch.samples, 0),
        generation_config=config,
    )


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(name: str, policy: Policy, batch: Batch, repeats: int) -> str:
    """Time both sides in turns and format one table row."""
    mean_length = ours(policy, batch, seed=0)
    peer(policy, batch, seed=0)
    pairs = []
    for seed in range(1, repeats + 1):
        own = seconds(lambda s=seed: ours(policy, batch, seed=s))
        pairs.append((own, seconds(lambda s=seed: peer(policy, batch, seed=s))))
    own, other = (batch.rows / statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    size = sum(p.numel() for p in policy.parameters()) / 1e6
    return (
        f"| {name} {policy.family} | {size:.1f}M | {batch.name} | {len(batch.ids)} x {batch.samples} "
        f"| {batch.ids.shape[1]} | {batch.sampling.max_new_tokens} | {mean_length:.1f} "
        f"| {own:.0f} | {other:.0f} | {ratio:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("outputs/bench/rollout.md"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    lines = [HEADER, "|" + "---|" * HEADER.count(" |")]
    models: list[tuple[str, Family]]
    models = [("t5_mini", "seq2seq"), ("gpt2_mini", "causal"), ("random", "seq2seq"), ("random", "causal")]
    for name, family in models:
        embedded = (FOLDER / name / "config.json").is_file()
        if name != "random" and not embedded:
            continue
        policy = policy_of(name, family)
        batches = [random_batch(family, arguments.prompts, arguments.samples, length) for length in (32, 128)]
        batches += [dataset_batch(policy, data) for data in ("narrativeqa", "imdb") if embedded]
        for batch in batches:
            lines.append(measure(name, policy, batch, arguments.repeats))
            print(lines[-1], flush=True)
    title = f"torch {torch.__version__}, {arguments.threads} thread(s)"
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join(["# Rollout speed", "", title, "", *lines, ""]))


if __name__ == "__main__":
    main()
