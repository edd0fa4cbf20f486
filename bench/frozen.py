"""Time of an iteration and peak memory where parts of a GPT-2 of full size train, with and without what is shared.

    python bench/frozen.py [--rounds N] [--value head|separate] [MODE ...]

An iteration samples 8 responses of 24 tokens to 4 prompts of 64 tokens, scores them with policy and reference, and
takes two passes of PPO in microbatches of 4 rows. Weights are random: neither time nor memory depends on them. Each
measurement is a process of its own, of one thread, and times are CPU times; modes take turns, so that other work on the
machine meets all alike.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PROMPTS, SAMPLES, PROMPT_TOKENS, RESPONSE_TOKENS, EPOCHS, MICROBATCH = 4, 2, 64, 24, 2, 4


@dataclass(frozen=True, kw_only=True)
class Mode:
    """What trains, and what is shared."""

    unfrozen: int | None = None
    rank: int | None = None
    share: bool = True
    recompute: bool = False


MODES = {
    "full": Mode(),
    "full-recomputed": Mode(recompute=True),
    "lora": Mode(rank=8),
    "lora-copies": Mode(rank=8, share=False),
    "top1": Mode(unfrozen=1),
    "top1-copies": Mode(unfrozen=1, share=False),
    "top2": Mode(unfrozen=2),
    "top2-copies": Mode(unfrozen=2, share=False),
}


def measure(mode: Mode, value: str) -> dict[str, float]:
    """Time an iteration."""
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    from rftlab.algorithms.kl_control import AdaptiveKL
    from rftlab.algorithms.ppo import PPO
    from rftlab.assets import asset_folder
    from rftlab.loops.experience import with_rewards
    from rftlab.loops.networks import NetworkSet, Numerics, trunk_mib
    from rftlab.loops.update import accumulate_gradient, minibatches_of
    from rftlab.models import LoRA, Policy, adapt, freeze_below, value_function
    from rftlab.ranks import Ranks
    from rftlab.sampling.sample import sample
    from rftlab.types import Experience, Sampling

    torch.set_num_threads(1)
    torch.manual_seed(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    config = GPT2Config(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    tokenizer: Any = AutoTokenizer.from_pretrained(asset_folder("tokenizer"))
    policy = Policy(GPT2LMHeadModel(config), tokenizer, "causal")
    policy.recompute = mode.recompute
    freeze_below(policy, mode.unfrozen)
    stream = torch.Generator().manual_seed(0)
    if mode.rank is not None:
        adapt(policy, LoRA(rank=mode.rank, alpha=16.0, targets=None), stream)
    ppo: Any = PPO(
        clip_range=0.2, value_clip_range=0.2, value_coef=0.5, entropy_coef=0.0, gamma=1.0, gae_lambda=0.95,
        entropy="exact", kl_coef=0.0,
        whiten_advantages="none", kl=AdaptiveKL(initial=0.05, target=6.0, rate=0.5, unit="response"),
    )  # fmt: skip
    critic = value_function(policy, value, "linear", stream)
    networks = NetworkSet(policy, critic, ppo.needs, Numerics(microbatch_size=MICROBATCH), share=mode.share)
    optimizer = torch.optim.AdamW([p for p in networks.parameters() if p.requires_grad], lr=1e-5)
    sampling = Sampling(
        temperature=1.0, top_k=0, top_p=1.0, min_new_tokens=RESPONSE_TOKENS, max_new_tokens=RESPONSE_TOKENS
    )
    prompts = torch.randint(2, 1000, (PROMPTS, PROMPT_TOKENS), generator=stream)
    mask = torch.ones_like(prompts, dtype=torch.bool)
    started = time.process_time()
    noise = torch.rand((PROMPTS * SAMPLES, RESPONSE_TOKENS), generator=stream, dtype=torch.float64)
    scores = torch.randn(PROMPTS * SAMPLES, generator=stream)
    responses = sample(policy, prompts, mask, sampling, SAMPLES, noise)
    experience = Experience(
        prompt_ids=prompts, prompt_mask=mask, response_ids=responses.response_ids,
        response_mask=responses.response_mask, prompt_index=responses.prompt_index,
        unit=torch.arange(PROMPTS * SAMPLES), scores=scores,
        temperature=1.0,
    )  # fmt: skip
    sampled = time.process_time()
    experience = networks.annotate(experience)
    experience = ppo.credit(with_rewards(experience, scores, 0.05))
    for _ in range(EPOCHS):
        for rows in minibatches_of(PROMPTS * SAMPLES)(experience, stream):
            accumulate_gradient(ppo, networks, experience.rows(rows), trimmed=False, ranks=Ranks())
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    ended = time.process_time()
    found = {"iteration_s": ended - started, "after_sampling_s": ended - sampled}
    found["trunk_mib"] = trunk_mib(experience) or 0.0
    found["peak_mib"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    found["saved_mib"] = sum({t.data_ptr(): t.nbytes for t in networks.saved().values()}.values()) / 2**20
    return found


def main() -> None:
    """Print the medians of each mode, and the ratio of its times to those of the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modes", nargs="*", default=list(MODES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--value", choices=("head", "separate"), default="head")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(MODES[arguments.modes[0]], arguments.value)))
        return
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    results: dict[str, list[dict[str, float]]] = {mode: [] for mode in arguments.modes}
    for _ in range(arguments.rounds):
        for mode in arguments.modes:
            command = [sys.executable, __file__, "--one", "--value", arguments.value, mode]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            results[mode].append(json.loads(done.stdout.splitlines()[-1]))
    first = results[arguments.modes[0]]
    for mode, rows in results.items():
        median = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
        ratios = {
            name: statistics.median(row[name] / other[name] for row, other in zip(rows, first, strict=True))
            for name in ("iteration_s", "after_sampling_s")
        }
        values = "  ".join(f"{name} {value:.2f}" for name, value in median.items())
        times = ", ".join(f"{ratio:.2f}" for ratio in ratios.values())
        print(f"{mode:16} {values}  times of {arguments.modes[0]}: {times}")


if __name__ == "__main__":
    main()
