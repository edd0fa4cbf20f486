"""The wheel, built and installed: what an empty folder, without a checkout, has of rftlab."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rftlab.place import CONF

ROOT = Path(__file__).parents[2]
UV = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
TINY = ["algo.loop.iterations=1", "eval.n_train=4", "eval.n_validation=4", "eval.n_test=4", "eval.probe_prompts=4"]
TINY += ["eval.probe_samples=2", "runtime.threads=1", "tracking=none"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(UV is None, reason="no uv, which builds the wheel")]
Typed = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy that has a file of a site, which must not travel."""
    tree = tmp_path_factory.mktemp("tree")
    kept = shutil.ignore_patterns("__pycache__", ".*")
    for name in ("src", "analysis", "conf", "sweeps"):
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=kept)
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "constraints.txt", ".gitignore"):
        shutil.copy(ROOT / name, tree)
    (tree / "conf" / "local").mkdir(exist_ok=True)
    (tree / "conf" / "local" / "slurm.yaml").write_text("account: a secret\n")
    done = subprocess.run([str(UV), "build", "-o", str(tree / "dist"), str(tree)], capture_output=True, text=True)
    if done.returncode and "hatchling" in done.stderr and "client error" in done.stderr:
        pytest.skip("no package index, which has the build back end")
    assert done.returncode == 0, done.stderr
    return next((tree / "dist").glob("*.whl"))  # by way of the source distribution


@pytest.fixture(scope="module")
def typed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Typed:
    """Install the wheel beside the libraries of this environment, and run it in an empty folder."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    install = [str(UV), "pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(python), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    libraries = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    (site / "zz_libraries.pth").write_text(f"import site; site.addsitedir({str(libraries)!r})\n")
    for path in site.glob("*rftlab*.pth"):  # of an editable installation
        path.unlink()
    (folder / "empty").mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    environment = kept | {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "MPLBACKEND": "Agg", "HF_HUB_OFFLINE": "1"}

    def run(*words: str, cwd: Path = folder / "empty") -> subprocess.CompletedProcess[str]:
        program = folder / "venv" / "bin" / words[0]
        return subprocess.run([program, *words[1:]], cwd=cwd, env=environment, capture_output=True, text=True)

    run.folder = folder / "empty"  # ty: ignore
    return run


def test_a_wheel_holds_what_a_run_needs_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {
        str(path.relative_to(CONF)) for path in CONF.rglob("*.yaml") if "local" not in path.relative_to(CONF).parts
    }
    sweeps = {f"sweep/{path.name}" for path in (ROOT / "sweeps").glob("*.yaml")}
    found = {name.removeprefix("rftlab/conf/") for name in names if name.startswith("rftlab/conf/")}
    assert found == files | sweeps and "local/slurm.yaml" not in found
    for needed in ("rftlab/assets/gpt2_mini/model.safetensors", "hydra_plugins/rftlab_conf.py", "analysis/load.py"):
        assert needed in names
    assert any(name.endswith(".html.j2") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"rftlab", "hydra_plugins", "analysis"}
    assert not any("test" in name.split("/")[-1] or "notebook" in name for name in names)


def test_an_empty_folder_trains_sweeps_and_draws(typed: Typed) -> None:
    one = typed("rftlab", "train", "algo=ppo", "data=imdb", *TINY)
    assert one.returncode == 0, one.stderr
    several = typed("rftlab", "train", "-m", "algo=ppo,reinforce", "data=imdb", *TINY)
    assert several.returncode == 0, several.stdout + several.stderr
    assert "page: outputs/default/index.html" in several.stdout and "rftlab sweep compare" in several.stdout
    status = typed("python", "-m", "rftlab", "sweep", "status", "--json")
    runs = json.loads(status.stdout)
    assert len(runs) == 2 and {run["state"] for run in runs} == {"done"}  # the first was not run again
    folder: Path = typed.folder / "outputs" / "default"  # ty: ignore
    (snapshot,) = [path for path in (folder.parent / ".snapshots").glob("*") if not path.name.startswith(".")]
    assert {path.name for path in (snapshot / "src").iterdir()} == {"rftlab", "hydra_plugins"}
    environments = [json.loads(path.read_text()) for path in folder.glob("*/env.json")]
    assert any(env["command"][:2] == ["rftlab train", "algo=ppo"] for env in environments)
    assert "rftlab train -m algo=ppo,reinforce" in (folder / "index.html").read_text()
    drawn = typed("rftlab", "figures")
    assert drawn.returncode == 0 and "rftlab train" in drawn.stdout and "src/" not in drawn.stdout, drawn.stderr
    assert list((typed.folder / "figures").glob("*.png"))  # ty: ignore


def test_the_same_words_are_the_same_run_as_in_a_checkout(typed: Typed) -> None:
    words = ["data=narrativeqa", "algo=apa", "sweep.dry_run=true", "tracking=none"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200"}
    command = [sys.executable, "src/train.py", "-m", *words, "paths.outputs=/nowhere/outputs"]
    here = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    there = typed("rftlab", "train", "-m", *words, "paths.outputs=/nowhere/outputs")
    assert here.stdout == there.stdout and "narrativeqa-apa-none" in here.stdout, here.stderr + there.stderr


def test_files_of_ones_own_are_found_beside_the_outputs(typed: Typed) -> None:
    folder: Path = typed.folder  # ty: ignore
    (folder / "conf" / "data").mkdir(parents=True)
    mine = (CONF / "data" / "imdb.yaml").read_text().replace("name: imdb", "name: mine")
    (folder / "conf" / "data" / "mine.yaml").write_text(mine)
    done = typed("rftlab", "train", "data=mine", *TINY)
    assert done.returncode == 0, done.stderr
    assert list((folder / "outputs" / "default").glob("mine-ppo-none-*/DONE"))


def test_what_is_no_option_is_one_line_without_a_word_of_a_checkout(typed: Typed) -> None:
    done = typed("rftlab", "judge", "one")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    for name in ("train", "sweep", "diagnose", "reward", "judge", "figures", "learned", "draw", "small", "wordnet"):
        text = typed("rftlab", name, "--help").stdout
        assert len(text) > 100 and "src/" not in text and "python -m" not in text, name
