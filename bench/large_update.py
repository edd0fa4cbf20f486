"""Updates at a vocabulary of 50,257, GPT-2 widths and random weights, against an earlier build: memory, and bfloat16.

    python bench/large_update.py [--rounds N] [--layers 12] [--rows 64] [memory] [bfloat16]

`memory`: one optimiser step of PPO with a separate critic on `rows` responses of 128 tokens, 4 to each prompt of 64;
the earlier build as it came, this one with the head in parts and blocks computed twice. `bfloat16`: columns and one
update of 32 rows of 64 + 48 tokens where the top two of 12 blocks train; this side in bfloat16, the other in float32.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sides import BASE, Bar, Side, compare, report, tree_of


def update(
    layers: int,
    prompts: int,
    tokens: int,
    value: str | None,
    unfrozen: int | None = None,
    compute: str = "float32",
    head_chunk: int | None = None,
    recompute: bool = False,
    width: int = 768,
    vocabulary: int = 50257,
) -> Callable[[], dict[str, float]]:
    """Prepare columns and one optimiser step on 4 responses to each prompt."""
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    from rftlab.algorithms.kl_control import AdaptiveKL
    from rftlab.algorithms.ppo import PPO
    from rftlab.assets import asset_folder
    from rftlab.loops.experience import with_rewards
    from rftlab.loops.networks import NetworkSet, Numerics
    from rftlab.loops.update import accumulate_gradient
    from rftlab.models import Policy, freeze_below, value_function
    from rftlab.ranks import Ranks
    from rftlab.types import Experience

    torch.manual_seed(0)
    config = GPT2Config(
        n_layer=layers, n_embd=width, n_head=max(1, width // 64), vocab_size=vocabulary, bos_token_id=0, eos_token_id=0,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    tokenizer: Any = AutoTokenizer.from_pretrained(asset_folder("tokenizer"))
    policy = Policy(GPT2LMHeadModel(config), tokenizer, "causal", getattr(torch, compute))
    if hasattr(policy, "plain"):
        from rftlab.models import fuse

        fuse(policy.lm)
    policy.recompute = recompute
    freeze_below(policy, unfrozen)
    ppo: Any = PPO(
        clip_range=0.2, value_clip_range=0.2, value_coef=0.5, entropy_coef=0.0, gamma=1.0, gae_lambda=0.95,
        entropy="exact", kl_coef=0.0, whiten_advantages="none",
        kl=AdaptiveKL(initial=0.05, target=6.0, rate=0.5, unit="response"),
    )  # fmt: skip
    n, stream = 4 * prompts, torch.Generator().manual_seed(0)
    critic = value_function(policy, value or "head", "linear", stream)
    networks = NetworkSet(policy, critic, ppo.needs, Numerics(microbatch_size=n, head_chunk=head_chunk))
    optimizer = torch.optim.AdamW([p for p in networks.parameters() if p.requires_grad], lr=1e-6)
    experience = Experience(
        prompt_ids=torch.randint(2, vocabulary, (prompts, 64), generator=stream),
        prompt_mask=torch.ones((prompts, 64), dtype=torch.bool),
        response_ids=torch.randint(2, vocabulary, (n, tokens), generator=stream),
        response_mask=torch.ones((n, tokens), dtype=torch.bool),
        prompt_index=torch.arange(prompts).repeat_interleave(4), unit=torch.arange(n),
        scores=(scores := torch.randn(n, generator=stream)), temperature=1.0,
    )  # fmt: skip

    def step() -> dict[str, float]:
        known = networks.annotate(experience)
        known = ppo.credit(with_rewards(known, scores, 0.05))
        first = accumulate_gradient(ppo, networks, known, trimmed=False, ranks=Ranks())[0]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return {"first_kl_old": float(first.metrics["policy/approx_kl_old"])}

    return step


def main() -> None:
    """Measure the rows that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("what", nargs="*", default=["memory", "bfloat16"])
    asked = parser.parse_args()
    with tree_of(BASE) as old:
        rows = [_row(what, old, asked.layers, asked.rows, asked.rounds) for what in asked.what]
    report("large_update", rows)


def _row(what: str, old: Path, layers: int, n: int, rounds: int) -> dict[str, Any]:
    if what == "memory":
        settings = {"layers": layers, "prompts": n // 4, "tokens": 128, "value": "separate"}
        less = {"head_chunk": 512, "recompute": True}
        name, bar = f"update, V=50,257, {n} x 128, {layers} layers", Bar("share", 0.25, "added_mib")
    else:
        settings = {"layers": 12, "prompts": 8, "tokens": 48, "value": None, "unfrozen": 2}
        less = {"compute": "bfloat16"}
        name, bar = "columns and update, 124M, top two blocks, bfloat16", Bar("times", 6.0)
    sides = [Side(name="now", settings=less), Side(name=BASE, tree=old)]
    return compare(name, bar, sides, __file__, "update", settings=settings, rounds=rounds)


if __name__ == "__main__":
    main()
