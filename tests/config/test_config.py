"""The config tree: everything in it composes, and its types agree with the objects that it builds."""

import importlib
import inspect
import os
import resource
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from rftlab import runs
from rftlab.config import schema
from rftlab.launch import single
from rftlab.sweeps.job import Job

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
EMBEDDED = ("narrativeqa", "imdb")
CORPORA = ("corpus_spans", "corpus_causal", "review_labels")


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def composed(*overrides: str) -> DictConfig:
    schema.register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", list(overrides), return_hydra_config=True)


def plan(*overrides: str) -> Job:
    schema.register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", list(overrides), return_hydra_config=True)
        return single.prepare(cfg, cfg.hydra.runtime.choices)


@pytest.mark.parametrize("scale", ["mini", "paper"])
@pytest.mark.parametrize("data", EMBEDDED)
@pytest.mark.parametrize("algo", ["ppo", "apa", "sft"])
def test_every_cell_has_all_its_values(scale: str, data: str, algo: str) -> None:
    made = plan(f"scale={scale}", f"data={data}", f"algo={algo}")
    assert made.config["scale"] == scale
    assert "???" not in str(made.config)


@pytest.mark.parametrize("data", CORPORA)
def test_every_pretraining_corpus_has_its_model_and_budget(data: str) -> None:
    config = plan("algo=pretrain", f"data={data}").config
    assert config["model"]["policy"]["init"] == "random"


@pytest.mark.parametrize("heuristic", options("heuristic"))
@pytest.mark.parametrize("algo", ["ppo", "apa"])
def test_every_heuristic_composes_and_changes_the_identity(heuristic: str, algo: str) -> None:
    changed, plain = plan(f"algo={algo}", f"heuristic={heuristic}"), plan(f"algo={algo}")
    assert (changed.key == plain.key) == (heuristic == "none")
    assert (changed.parent is not None) == (heuristic == "partial_sft")


@pytest.mark.parametrize("model", options("model"))
def test_every_model_composes(model: str) -> None:
    assert composed(f"model={model}").model.name == model


@pytest.mark.parametrize("overrides", [("algo=ppo",), ("algo=apa", "data=imdb"), ("algo=sft",)])
def test_schema_fields_are_the_fields_of_what_is_built(overrides: tuple[str, ...]) -> None:
    """A key that the object does not know, or a field without a key, would fail only when a run starts."""
    late = {"source", "hub_mirror", "device", "generator", "params", "lr"}  # given where the object is built

    def compare(node: DictConfig) -> int:
        compared = 0
        if "_target_" in node and node["_target_"].startswith("rftlab."):
            module, name = node["_target_"].rsplit(".", 1)
            target = getattr(importlib.import_module(module), name)
            keys = {str(key) for key in node if not str(key).startswith("_")}
            known = (
                {f.name for f in fields(target)} if is_dataclass(target) else set(inspect.signature(target).parameters)
            )
            assert keys - late == known - late, node["_target_"]
            compared = 1
        children = [child for _, child in node.items_ex(resolve=False) if isinstance(child, DictConfig)]
        return compared + sum(compare(child) for child in children if not OmegaConf.is_missing(child, ""))

    cfg = composed(*overrides)
    assert sum(compare(cfg[group]) for group in ("model", "data", "algo")) >= 5


def test_ten_runs_share_one_sft_run_unless_it_concerns_them() -> None:
    base = ("algo=ppo", "heuristic=partial_sft")
    same = [
        plan(*base),
        plan("algo=apa", "heuristic=partial_sft"),
        plan(*base, "optimizer.lr=0.1"),
        plan(*base, "data.rollout.temperature=2.0"),
        plan(*base, "algo.loss.entropy_coef=0.5"),
        plan(*base, "eval.probe_every=3"),  # counts iterations, of which SFT has none
    ]
    assert len({p.parent.key for p in same if p.parent}) == 1
    assert len({p.key for p in same}) == 6
    others = [plan(*base, "seed=1"), plan(*base, "heuristic.step_fraction=0.1"), plan(*base, "data.loader.n_train=50")]
    assert len({p.parent.key for p in others if p.parent} | {same[0].parent.key if same[0].parent else ""}) == 4


def test_a_child_changes_with_the_defaults_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    before = plan("algo=ppo", "heuristic=partial_sft")
    key = runs.run_key
    monkeypatch.setattr(runs, "run_key", lambda config: key({**config, "a default of SFT": "changed"}))
    assert plan("algo=ppo", "heuristic=partial_sft").config["init_from"] != before.config["init_from"]


@pytest.mark.parametrize(
    "override", ["paths.outputs=elsewhere", "sweep.name=other", "runtime.threads=1", "tracking=none", "name=x"]
)
def test_where_and_how_a_run_executes_is_not_its_identity(override: str) -> None:
    assert plan(override).key == plan().key


@pytest.mark.parametrize("override", ["seed=1", "optimizer.lr=1e-5", "eval.every=3", "data.source=hub"])
def test_what_a_run_computes_is_its_identity(override: str) -> None:
    assert plan(override).key != plan().key


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job", "--resolve"], ["--info", "defaults"]])
def test_composition_imports_no_heavy_library(arguments: list[str]) -> None:
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['train.py', *{arguments!r}]\n"
        "try:\n    runpy.run_path('src/train.py', run_name='__main__')\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'transformers', 'mlflow', 'datasets', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    environment = os.environ | {"PYTHONPATH": "src"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 1.5  # seconds of CPU: a user waits for it
