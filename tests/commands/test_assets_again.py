"""The embedded models made again are the same bits: the recipe of `make assets`, a few steps of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from config.test_config import plan
from safetensors.torch import load_file

from rftlab import assets, runs
from rftlab.commands import export
from rftlab.launch import single
from rftlab.stop import StopFlag
from rftlab.sweeps.job import Job

ROOT = Path(__file__).parents[2]
RECIPE = yaml.safe_load((ROOT / "sweeps" / "assets.yaml").read_text())
CORPORA = RECIPE["hydra"]["sweeper"]["grids"][0]["data"].split(",")
SHORT = (
    "algo.loop.steps=3", "algo.loop.batch_size=4", "algo.loop.microbatch_size=4", "optimizer.warmup_steps=1",
    "data.loader.n_train=40", "data.loader.n_validation=8", "eval.every=1000", "tracking=none",
)  # fmt: skip
LIMIT = 12_000_000  # bytes of all shipped assets


def pretrained(data: str, outputs: Path) -> Path:
    """Take the first steps of a run of the recipe with its own threads; give the final weights."""
    threads = f"runtime.threads={RECIPE['runtime']['threads']}"
    job = plan("algo=pretrain", f"data={data}", *SHORT, threads, f"paths.outputs={outputs}")
    single.execute(Job(config=job.config, key=job.key, folder=job.folder, parents=()), StopFlag())
    return job.folder


@pytest.fixture
def same_threads() -> Iterator[None]:
    """Leave torch with as many threads as it had."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("same_threads")
@pytest.mark.parametrize("data", CORPORA)
def test_the_same_recipe_gives_the_same_bits(data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    for name in ("first", "second"):
        folder = pretrained(data, tmp_path / name)
        monkeypatch.setattr(export, "asset_folder", lambda asset, name=name: tmp_path / name / asset)
        written.append(export.export(runs.read_run(folder)) / "model.safetensors")
        kept, final = load_file(written[-1]), load_file(folder / "final" / "model.safetensors")
        assert kept and all(torch.equal(kept[key], final[key].half()) for key in kept)
    first, second = (path.read_bytes() for path in written)
    assert first == second
    shipped = assets.asset_folder(written[0].parent.name) / "model.safetensors"
    assert len(first) == shipped.stat().st_size and first != shipped.read_bytes()


def test_the_recipe_pins_slots_and_threads_and_makes_every_embedded_model() -> None:
    assert RECIPE["runtime"]["threads"] == 1 and RECIPE["hydra"]["launcher"]["slots"] == 2
    made = {plan("algo=pretrain", f"data={data}").config["model"]["policy"]["source"] for data in CORPORA}
    assert made == {f"asset:{folder.parent.name}" for folder in assets.FOLDER.glob("*/model.safetensors")}


def test_the_assets_are_small_enough_to_travel_with_the_repository() -> None:
    assert sum(path.stat().st_size for path in assets.FOLDER.rglob("*") if path.is_file()) < LIMIT
