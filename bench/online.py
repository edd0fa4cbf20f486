"""Online steps of this build against GRPO and RLOO of TRL, and against an earlier build.

    python bench/online.py [--rounds N] [ROW ...]

A step of the comparison with TRL (`make peers`) samples responses of a fixed length to prompts of 64 tokens with
GPT-2-mini, scores them with a trivial reward, reads them under policy and reference, and takes one optimiser step on
all of them; both sides compute in float32. TRL has no PPO, so PPO with a critic of its own stands against its GRPO.
`narrativeqa` is an iteration of PPO as it comes, with T5-mini: two passes over 64 responses in minibatches of 32.
"""

import argparse
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sides import BASE, ROOT, Bar, Side, compare, report, tree_of

TRL = Path(os.environ.get("RFTLAB_PEERS", ROOT / ".peers")) / "trl"
GRID = {"128 x (64+16)": (16, 8, 16), "64 x (64+48)": (16, 4, 48)}  # prompts, responses to each, tokens of each


def ours(overrides: list[str]) -> Callable[[], None]:
    """Prepare iterations of a run: rollout, columns, updates; nothing is evaluated."""
    from unittest import mock

    import torch
    from hydra import compose, initialize_config_dir

    from rftlab.build.labs import build
    from rftlab.build.training import session
    from rftlab.config.make import make
    from rftlab.config.options import CONF
    from rftlab.launch import single
    from rftlab.loops import experience
    from rftlab.runs import Run
    from rftlab.stop import StopFlag

    folder = Path(tempfile.mkdtemp(prefix="rftlab-bench-"))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        words = [*overrides, "runtime.progress=never", "tracking=none"]
        cfg = compose("train", words, return_hydra_config=True)
        config = single.prepare(cfg, cfg.hydra.runtime.choices).config
    lab: Any = build(config, session(config, Run.claim(folder, config), StopFlag()), torch.device("cpu"), None)
    with mock.patch("rftlab.loops.online.train", lambda *parts: parts):
        _, algorithm, collector, schedule = make(config["algo"]["loop"]).run(lab, make(config["algo"]["loss"]))
    state = experience.start(lab, algorithm, schedule)

    def step() -> None:
        rollout = experience.gather(lab, algorithm, collector, schedule, state)
        new = (rollout.new,) if hasattr(rollout, "new") else ()
        experience.update(lab, algorithm, schedule, state, rollout.learned, state.iteration + 1, *new)
        state.iteration, state.position = state.iteration + 1, state.position + rollout.prompts

    return step


def trl(algorithm: str, prompts: int, samples: int, tokens: int) -> Callable[[], None]:
    """Prepare steps of TRL's trainer, which trains in a thread and waits between steps."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer  # ty: ignore[import-not-found]  # in .peers

    from rftlab.assets import asset_folder

    go, done = threading.Semaphore(0), threading.Semaphore(0)

    class Turns(TrainerCallback):
        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            go.acquire()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            done.release()

    config, trainer = {"grpo": (GRPOConfig, GRPOTrainer), "rloo": (RLOOConfig, RLOOTrainer)}[algorithm]
    tokenizer = AutoTokenizer.from_pretrained(asset_folder("tokenizer"), padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(asset_folder("gpt2_mini"), dtype="float32")
    rows = prompts * samples
    arguments = config(
        output_dir=tempfile.mkdtemp(prefix="rftlab-bench-"), per_device_train_batch_size=rows, num_generations=samples,
        max_completion_length=tokens, generation_kwargs={"min_new_tokens": tokens}, beta=0.05, learning_rate=1e-4,
        temperature=1.0, num_train_epochs=1000, use_cpu=True, bf16=False, gradient_checkpointing=False,
        report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, dataloader_num_workers=0,
    )  # fmt: skip
    texts = [{"prompt": text} for text in _texts(tokenizer)]

    def reward(completions: list[str], **_: Any) -> list[float]:
        return [len(set(text.split())) / max(1, len(text.split())) for text in completions]

    made = trainer(
        model=model, reward_funcs=reward, args=arguments, train_dataset=Dataset.from_list(texts),
        processing_class=tokenizer, callbacks=[Turns()],
    )  # fmt: skip
    threading.Thread(target=made.train, daemon=True).start()

    def step() -> None:
        go.release()
        done.acquire()

    return step


def _texts(tokenizer: Any) -> list[str]:
    """Cut bundled reviews to 64 tokens, as the data of our side are."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from rftlab.build.labs import splits_of
    from rftlab.config.options import CONF

    with initialize_config_dir(str(CONF), version_base="1.3"):
        config: Any = OmegaConf.to_container(compose("train", ["data=imdb", "algo=ppo"]), resolve=False)
    prompts = [example.prompt for example in splits_of(config).train]
    return [tokenizer.decode(tokenizer(prompt)["input_ids"][-64:]) for prompt in prompts[:512]]


def row(name: str, grid: str, rounds: int) -> dict[str, Any]:
    """Measure one row: our algorithm against a peer of its own name, PPO against GRPO."""
    prompts, samples, tokens = GRID[grid]
    n = prompts * samples
    algo = {"ppo": "ppo", "ppo-head": "ppo", "grpo": "grpo", "rloo": "rloo"}[name]
    words = [
        f"algo={algo}", "data=imdb", "reward=lexical_diversity", f"data.rollout.min_new_tokens={tokens}",
        f"data.rollout.max_new_tokens={tokens}", f"algo.loop.prompts_per_iteration={prompts}",
        f"algo.loop.samples_per_prompt={samples}", "algo.loop.update_epochs=1", f"algo.loop.minibatch_size={n}",
        f"algo.loop.microbatch_size={n}",
    ]  # fmt: skip
    if name == "ppo-head":
        words.append("model.value.kind=head")
    peer = {"algorithm": "rloo" if algo == "rloo" else "grpo", "prompts": prompts, "samples": samples, "tokens": tokens}
    sides = [
        Side(name="rftlab", function="ours", settings={"overrides": words}),
        Side(name=f"TRL {peer['algorithm'].upper()}", function="trl", settings=peer, paths=(TRL,)),
    ]
    bar = {"ppo": 2.0 if tokens == 16 else 1.6, "ppo-head": 3.0}.get(name, 3.5)
    return compare(f"online step, {name}, {grid}", Bar("times", bar), sides, __file__, "ours", rounds=rounds)


def narrativeqa(old: Path, rounds: int, extra: list[str]) -> dict[str, Any]:
    """Measure an iteration of the default PPO on NarrativeQA against an earlier build."""
    words = ["algo=ppo", "data=narrativeqa"]
    sides = [
        Side(name="now", function="ours", settings={"overrides": [*words, *extra]}),
        Side(name=BASE, tree=old, function="ours", settings={"overrides": words}),
    ]
    name = f"online step, T5-mini, NarrativeQA {' '.join(extra)}".strip()
    return compare(name, Bar("times", 2.5), sides, __file__, "ours", rounds=rounds)


def main() -> None:
    """Measure the rows that are asked for."""
    rows = [f"{name} {grid}" for grid in GRID for name in ("ppo", "ppo-head", "grpo", "rloo")]
    rows += ["narrativeqa", "narrativeqa-by-prompt"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("rows", nargs="*", default=rows, help=", ".join(rows))
    asked = parser.parse_args()
    found = []
    for each in asked.rows:
        if each.startswith("narrativeqa"):
            extra = ["algo.loop.minibatch_of=prompts"] if each.endswith("by-prompt") else []
            with tree_of(BASE) as old:
                found.append(narrativeqa(old, asked.rounds, extra))
        else:
            name, _, grid = each.partition(" ")
            found.append(row(name, grid, asked.rounds))
    report("online", found)


if __name__ == "__main__":
    main()
