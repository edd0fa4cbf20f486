"""The config tree: everything in it composes, and its types agree with the objects that it builds."""

import os
import resource
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from rftlab import runs
from rftlab.config.compose import Composer
from rftlab.config.options import kind_of_data, kinds_of_algo, of_group
from rftlab.sweeps.job import Job

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
TEXTS = {name: data for name, data in of_group("data").items() if kind_of_data(data) == "text"}
TASKS = [name for name, data in TEXTS.items() if data["rollout"] is not None and data["source"] == "bundled"]
CORPORA = [name for name, data in TEXTS.items() if data["rollout"] is None]
ON_TEXT = [name for name, algo in of_group("algo").items() if "text" in kinds_of_algo(algo) and name != "pretrain"]


def options(group: str) -> list[str]:
    return sorted(of_group(group))


def composed(*overrides: str) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", list(overrides), return_hydra_config=True)


@cache
def composer() -> Composer:
    """Return the composer of all tests: it composes each combination of groups once."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return Composer(GlobalHydra.instance().config_loader())


def plan(*overrides: str) -> Job:
    return composer().job(overrides)


def scales_of(group: str, name: str) -> list[str]:
    """List the scales for which a file has values; without a table it needs none of its own."""
    table = yaml.safe_load((CONF / group / f"{name}.yaml").read_text()).get("scales", {})
    on_text = table if group == "data" else {scale: kinds for scale, kinds in table.items() if "text" in kinds}
    return list(on_text) if table else options("scale")


WRITTEN = (ROOT / "tests" / "golden" / "run_keys.txt").read_text()  # `test_run_keys.py` composes these
CELLS = [
    (scale, data, algo)
    for algo in ON_TEXT
    for data in TASKS
    for scale in scales_of("algo", algo)
    if scale in scales_of("data", data) and f"  scale={scale} data={data} algo={algo}\n" not in WRITTEN
]


@pytest.mark.parametrize(("scale", "data", "algo"), CELLS)
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
    assert bool(changed.parents) == (heuristic == "partial_sft")


@pytest.mark.parametrize("model", options("model"))
def test_every_model_composes(model: str) -> None:
    assert composed(f"model={model}").model.name == model


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
    (parent,) = {parent.key for p in same for parent in p.parents}
    assert len({p.key for p in same}) == 6
    others = [plan(*base, "seed=1"), plan(*base, "heuristic.step_fraction=0.1"), plan(*base, "data.loader.n_train=50")]
    assert len({parent} | {parent.key for p in others for parent in p.parents}) == 4


@pytest.mark.parametrize("data", TASKS)
def test_every_arm_is_looked_at_at_one_temperature(data: str) -> None:
    """What is cut from the distribution follows the rollout; `data.evaluation` may be another decoding altogether."""
    plain = plan(f"data={data}", "data.rollout.top_k=50").config["data"]
    hot = plan(f"data={data}", "data.rollout.top_k=50", "heuristic=temperature").config["data"]
    assert (hot["rollout"]["temperature"], plain["probe"]) == (1.5, plain["rollout"])
    assert {name: hot[name] for name in ("probe", "evaluation")} == {n: plain[n] for n in ("probe", "evaluation")}


def test_a_child_changes_with_the_defaults_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    before = plan("algo=ppo", "heuristic=partial_sft")
    key = runs.run_key
    monkeypatch.setattr(runs, "run_key", lambda config: key({**config, "a default of SFT": "changed"}))
    after = composer.__wrapped__().job(["algo=ppo", "heuristic=partial_sft"])  # one that has seen no parent yet
    assert after.config["init_from"] != before.config["init_from"]


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
