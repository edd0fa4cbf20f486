#!/usr/bin/env bash
# transformers 5.23.0, torch 2.13.0: a decoder's *ForSequenceClassification (here Llama) finds the token whose state it scores
# by comparing ids with config.pad_token_id, not by the attention mask. Where pad and EOS are one token, as in most chat
# models, a reward model that is given text + EOS scores the token before the EOS, mask or no mask, without a word; with
# another pad id in the config the same weights give another score for the same unpadded row.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 transformers==5.23.0
"$folder/venv/bin/python" - <<'PY'
import torch
from transformers import LlamaConfig, LlamaForSequenceClassification

EOS = 2
torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, num_labels=1,
    initializer_range=0.5, pad_token_id=EOS, eos_token_id=EOS,
)
model = LlamaForSequenceClassification(config).eval()
ids = torch.tensor([[5, 6, 7, EOS]])
with torch.no_grad():
    scored = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, 0]
    states = model.model(input_ids=ids).last_hidden_state
    at_eos, before = (model.score(states[0, place])[0] for place in (-1, -2))
    model.config.pad_token_id = 0
    with_other_pad = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, 0]
print(f"score {scored:.4f}; of the EOS {at_eos:.4f}; of the token before it {before:.4f}; pad=0: {with_other_pad:.4f}")
assert torch.allclose(scored, before) and not torch.allclose(scored, at_eos)
assert torch.allclose(with_other_pad, at_eos)
print("as described")
PY
