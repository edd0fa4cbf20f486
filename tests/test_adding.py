"""The recipes of `docs/adding.md`, followed literally in a copy of the tree: nothing but their files is touched."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "adding.md").read_text()
BLOCKS = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```\n", GUIDE, flags=re.DOTALL))
SMALL = ["eval.n_train=4", "eval.n_validation=4", "eval.n_test=4", "eval.probe_prompts=4", "eval.probe_samples=2"]
SMALL += ["algo.loop.iterations=2", "tracking=none", "runtime.threads=1"]
FINDS = {  # tests with a parameter for every member of a folder, and the recipe's member among them
    "tests/algorithms/test_every.py": "group_mean",
    "tests/algorithms/test_online.py": "group_mean",
    "tests/data/test_members.py": "sums",
    "tests/analysis/test_folder.py": "kl_curves",
    "tests/config/test_config.py": "group_mean",
    "tests/config/test_parents.py": "exact",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the tree and write the files of the recipes into it; each must be new."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("src", "conf", "sweeps", "analysis", "tests"):
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for name, content in BLOCKS.items():
        assert not (copy / name).exists(), f"{name} is there already"
        (copy / name).write_text(content)
    return copy


def run(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{tree / 'src'}:{tree}", "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    return subprocess.run([sys.executable, *command], cwd=tree, env=environment, capture_output=True, text=True)


def test_a_recipe_is_at_most_ten_lines_and_names_a_file_a_yaml_and_a_test() -> None:
    sections = re.split(r"^## ", GUIDE, flags=re.MULTILINE)[1:]
    assert [section.split("\n")[0] for section in sections] == ["An algorithm", "A dataset", "A reward", "A figure"]
    for section in sections:
        text = re.sub(r"<!--.*?-->\n```.*?```\n", "", section, flags=re.DOTALL).split("\n", 1)[1]
        assert 3 <= len([line for line in text.splitlines() if line.strip()]) <= 10
        names = re.findall(r"<!-- file: (\S+) -->", section)
        assert len([name for name in names if name.startswith("tests/")]) == 1
        assert len([name for name in names if name.endswith(".py")]) == 2 and len(names) <= 3


def test_the_help_and_the_answer_to_a_slip_know_the_new_options(tree: Path) -> None:
    text = run(tree, "src/train.py", "--help").stdout
    assert "group_mean" in text and "sums" in text
    assert "group_mean" in run(tree, "src/train.py", "algo=group_meen").stderr
    assert "sums" in run(tree, "src/train.py", "data=summs").stderr
    wrong = run(tree, "src/train.py", "algo=group_mean", "algo.loss.whiten_advantages=batch").stderr
    assert wrong.startswith("error: ") and "rollout" in wrong


def test_what_is_known_of_a_dataset_holds_for_the_new_algorithm(tree: Path) -> None:
    done = run(tree, "src/train.py", "algo=group_mean", "data=narrativeqa", "--cfg", "job", "-p", "optimizer")
    assert "lr: 0.0001" in done.stdout, done.stderr


def test_the_files_keep_the_style_of_the_tree(tree: Path) -> None:
    done = run(tree, "-m", "ruff", "check", *(name for name in BLOCKS if name.endswith(".py")))
    assert done.returncode == 0 or "No module named ruff" in done.stderr, done.stdout


@pytest.mark.slow
def test_their_tests_pass_and_the_parametrised_ones_find_them(tree: Path) -> None:
    own = [name for name in BLOCKS if name.startswith("tests/")]
    new = " or ".join({*FINDS.values(), *(Path(name).stem for name in own)})
    chosen = ["-k", f"({new}) and not hub"]  # of the members that were there, the suite itself says what holds
    done = run(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", *own, *FINDS, *chosen)
    assert done.returncode == 0, done.stdout[-3000:]
    for file, member in FINDS.items():
        assert re.search(rf"^PASSED {file}::\w+\[(.*[-.])?{member}(-.*)?\]", done.stdout, flags=re.MULTILINE), file


@pytest.mark.slow
def test_the_algorithm_the_dataset_and_the_reward_train_and_the_figure_is_drawn(tree: Path, tmp_path: Path) -> None:
    where = f"paths.outputs={tmp_path / 'outputs'}"
    for command in (["algo=group_mean", "data=imdb"], ["algo=ppo", "data=sums"], ["algo=group_mean", "data=sums"]):
        done = run(tree, "src/train.py", *command, *SMALL, where)
        assert done.returncode == 0, done.stderr
    figures = ["--outputs", str(tmp_path / "outputs"), "--figures", str(tmp_path / "figures")]
    done = run(tree, "-m", "analysis.make_figures", *figures)
    assert done.returncode == 0, done.stderr
    figure = tmp_path / "figures" / "kl_curves-sums-t5_mini-mini-bundled.png"
    assert figure.exists()
    assert len(figure.with_suffix(".csv").read_text().splitlines()) == 1 + 3  # two iterations of PPO
