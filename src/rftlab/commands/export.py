"""Make the embedded assets: the tokenizer from the bundled worlds, the weights from finished pretraining runs."""

import sys
from pathlib import Path

import torch

from rftlab import runs
from rftlab.assets import asset_folder
from rftlab.data.corpus import tokenizer_texts
from rftlab.data.parts.tokenizer import train_tokenizer
from rftlab.errors import Parser, UserError
from rftlab.models import load_policy, load_policy_weights, save_pretrained_folder
from rftlab.place import as_typed
from rftlab.streams import stream

VOCABULARY = 1536
MAX_BYTES = 3_000_000  # an asset travels with the repository


def export(record: runs.RunRecord) -> Path:
    """Write the final weights of a pretraining run over the asset that it was built from, in 16-bit floats."""
    model = record.config["model"]["policy"]
    policy = load_policy(
        source=model["source"],
        family=model["family"],
        tokenizer=model["tokenizer"],
        init="random",
        dtype="float32",
        compute_dtype="float32",  # nothing is computed
        generator=stream(record.config["seed"], "initialisation"),
    )
    load_policy_weights(policy, record.folder / "final" / "model.safetensors")
    folder = asset_folder(model["source"].removeprefix("asset:"))
    save_pretrained_folder(policy, folder, torch.float16, tokenizer=False)
    size = (folder / "model.safetensors").stat().st_size
    if size > MAX_BYTES:
        raise UserError(f"{size} bytes of weights in {folder}", f"at most {MAX_BYTES}", "the model's config.json")
    return folder


def main() -> None:
    """Make one part of the assets; exit code 2 where its runs are missing."""
    parser = Parser(prog=as_typed("python -m rftlab.commands.export"), description=__doc__)
    parser.add_argument("part", choices=("tokenizer", "weights"))
    parser.add_argument(
        "--outputs", type=Path, default=Path("outputs"), help="where the runs of the sweep `assets` lie"
    )
    arguments = parser.parse_args()
    if arguments.part == "tokenizer":
        train_tokenizer(tokenizer_texts(0), VOCABULARY).save_pretrained(asset_folder("tokenizer"))
        return
    records = [r for r in runs.find_runs(arguments.outputs, "assets") if r.done]
    if not records:
        print(
            f"error: no finished run in {arguments.outputs / 'assets'}; expected some; run make assets", file=sys.stderr
        )
        sys.exit(2)
    for record in records:
        print(f"{record.name}-{record.key} -> {export(record)}")


if __name__ == "__main__":
    main()
