"""Turn finished pretraining runs into the embedded assets: `python -m rftlab.entry.export --outputs outputs`."""

import argparse
import sys
from pathlib import Path

import torch

from rftlab import runs
from rftlab.assets import asset_folder
from rftlab.errors import UserError
from rftlab.models import load_policy, load_weights, save_pretrained_folder
from rftlab.streams import stream

MAX_BYTES = 3_000_000  # an asset travels with the repository


def export(record: runs.RunRecord) -> Path:
    """Write the final weights of a pretraining run over the asset that it was built from, in 16-bit floats."""
    model = record.config["model"]["policy"]
    policy = load_policy(
        source=model["source"],
        family=model["family"],
        tokenizer=model["tokenizer"],
        init="random",
        dtype=model["dtype"],
        generator=stream(record.config["seed"], "initialisation"),
    )
    load_weights(policy, record.folder / "final" / "model.safetensors")
    folder = asset_folder(model["source"].removeprefix("asset:"))
    save_pretrained_folder(policy, folder, torch.float16, tokenizer=False)
    size = (folder / "model.safetensors").stat().st_size
    if size > MAX_BYTES:
        raise UserError(f"{size} bytes of weights in {folder}", f"at most {MAX_BYTES}", "the model's config.json")
    return folder


def main() -> None:
    """Export every finished run of the sweep `assets`; exit code 2 where there is none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outputs", type=Path, default=Path("outputs"))
    arguments = parser.parse_args()
    records = [r for r in runs.find_runs(arguments.outputs, "assets") if r.done]
    if not records:
        sys.exit(f"error: no finished run in {arguments.outputs / 'assets'}; expected pretraining runs; run make assets")
    for record in records:
        print(f"{record.name}-{record.key} -> {export(record)}")


if __name__ == "__main__":
    main()
