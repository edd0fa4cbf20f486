"""Pretraining computes as transformers does, bit for bit, so that `make assets` gives the same models again."""

from pathlib import Path

import pytest
import torch
from config.test_config import plan

from rftlab.build.labs import build
from rftlab.loops.session import Session
from rftlab.runs import Run
from rftlab.stop import StopFlag


@pytest.mark.parametrize("data", ["corpus_spans", "corpus_causal"])
@pytest.mark.parametrize("algo", ["pretrain", "sft"])
def test_only_pretraining_is_plain(tmp_path: Path, data: str, algo: str) -> None:
    few = ("data.loader.n_train=40", "data.loader.n_validation=8", "model.policy.init=random", "optimizer.lr=1e-4")
    config = plan(f"algo={algo}", f"data={data}", *few).config
    session = Session(
        run=Run.claim(tmp_path, config), seed=0, checkpoint_every=1, progress=False, describe=print, stop=StopFlag()
    )
    policy = build(config, session, torch.device("cpu"), None).policy
    kinds = {type(module).__name__ for module in policy.modules()}
    assert policy.plain == (algo == "pretrain")
    assert bool(kinds & {"NewGELUActivation", "T5LayerNorm"}) == policy.plain
    rows = policy.encode_prompts(["a b", "c"], 8, "left"), policy.encode_targets(["d e f", "g"], 8, True)
    ids, mask = rows[1]
    said, hidden = policy.read(*rows[0], ids, mask, 1.0, None, "none")
    plain = policy.logits(hidden[mask]).log_softmax(-1).gather(-1, ids[mask].unsqueeze(-1)).squeeze(-1)
    assert torch.equal(said.logprobs[mask], plain) or not policy.plain
