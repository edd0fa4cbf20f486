"""Tiny mirrors of the classification datasets, written as the hub has them, and calls of their loaders."""

from pathlib import Path
from types import ModuleType

import datasets
from PIL import Image

from rftlab.data import cifar10, mnist, stsb

FEATURES = {
    mnist: datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(10)),
    cifar10: datasets.Features(img=datasets.Image(), label=datasets.ClassLabel(10)),
    stsb: datasets.Features(
        sentence1=datasets.Value("string"),
        sentence2=datasets.Value("string"),
        label=datasets.Value("float32"),
        idx=datasets.Value("int32"),
    ),
}
SPLITS = {mnist: ("train", "test"), cifar10: ("train", "test"), stsb: ("train", "validation")}
LOADERS = (mnist, cifar10, stsb)


def load(module: ModuleType, mirror: Path | None = None, hub_id: str = "org/set", **changes):
    """Call a loader, on bundled rows unless a mirror is given."""
    arguments = {
        "source": "bundled" if mirror is None else "hub",
        "hub_id": hub_id,
        "hub_config": None if mirror is None else "default",
        "hub_mirror": mirror,
        "n_train": None,
        "n_test": None,
        "seed": 0,
    }
    return module.load(**(arguments | changes))


def write(folder: Path, features: datasets.Features, **splits: list[dict]) -> None:
    """Lay out rows as a mirror does: a YAML header that names the data files, and one parquet file per split."""
    folder.mkdir(parents=True)
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split, rows in splits.items():
        columns = {key: [row[key] for row in rows] for key in features}
        datasets.Dataset.from_dict(columns, features=features).to_parquet(folder / f"{split}.parquet")
        lines += [f"  - split: {split}", f"    path: {split}.parquet"]
    (folder / "README.md").write_text("\n".join([*lines, "---"]))


def write_rows(mirror: Path, module: ModuleType, rows: list[dict]) -> None:
    """Write the same rows as both splits of `org/set`."""
    write(mirror / "org" / "set", FEATURES[module], **dict.fromkeys(SPLITS[module], rows))


def picture(module: ModuleType, value: int = 0, side: int | None = None) -> Image.Image:
    """Make an image of one grey value."""
    form = module.FORMAT
    return Image.new("L", (side or form.side,) * 2, value).convert(form.mode)
