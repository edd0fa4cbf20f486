"""Pretraining computes as transformers does, bit for bit, so that `make assets` gives the same models again."""

from pathlib import Path

import pytest
import torch
from config.test_config import plan

from rftlab.build.labs import build
from rftlab.loops.session import Session
from rftlab.runs import Run
from rftlab.stop import StopFlag

WORK = [(data, algo) for data in ("corpus_spans", "corpus_causal") for algo in ("pretrain", "sft")]


@pytest.mark.parametrize(("data", "algo"), [*WORK, ("review_labels", "pretrain")])
def test_only_pretraining_is_plain(tmp_path: Path, data: str, algo: str) -> None:
    few = ("data.loader.n_train=40", "data.loader.n_validation=8", "model.policy.init=random", "optimizer.lr=1e-4")
    config = plan(f"algo={algo}", f"data={data}", *few).config
    session = Session(
        run=Run.claim(tmp_path, config), seed=0, checkpoint_every=1, progress=False, describe=print, stop=StopFlag()
    )
    policy = build(config, session, torch.device("cpu"), None).policy
    kinds = {type(module).__name__ for module in policy.modules()}
    assert policy.plain == (algo == "pretrain")
    labels = policy.family == "classifier"
    assert labels or bool(kinds & {"NewGELUActivation", "T5LayerNorm"}) == policy.plain
    prompts = [f"a b {i}" for i in range(40)]  # enough for a last bit to differ somewhere
    targets = ["negative", "positive"] * 20 if labels else ["d e f", "g"] * 20
    rows = policy.encode_prompts(prompts, 8, "left"), policy.encode_targets(targets, 8, True)
    ids, mask = rows[1]
    said, hidden = policy.read(*rows[0], ids, mask, 1.0, None, "none")
    logits = policy.classify(*rows[0])[1] if labels else policy.logits(hidden[mask])
    plain = logits.log_softmax(-1).gather(-1, ids[mask].unsqueeze(-1)).squeeze(-1)
    assert torch.equal(said.logprobs[mask], plain) or not policy.plain
