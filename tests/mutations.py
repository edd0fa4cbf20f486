"""Make known mistakes in a copy of the code, one at a time, and see which of them the default tests notice.

    python tests/mutations.py                  all of them, in a few minutes
    python tests/mutations.py 'loops.*' NAME   some of them

Libraries are imported once; each mistake is tested in a fork of this process, in which none of our own code is loaded
yet. Shape checks slow the tests down, so they are left to those mistakes that nothing else has noticed.
"""

import fnmatch
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from mutants import (
    adapters,
    apa_figures,
    choices,
    claims,
    classifiers,
    comparisons,
    curves,
    families,
    gold,
    groups,
    grue,
    install,
    judges,
    labs,
    loops,
    masks,
    maths,
    memory,
    mlflow_answers,
    numerics,
    offline,
    packed,
    pages,
    pairs,
    pipeline,
    pitfalls,
    preferences,
    rewards,
    rows,
    runs,
    sampling,
    searches,
    small,
    spectrum,
    starting,
    steps,
    tasks,
    told,
    unsent,
    words,
    worlds,
)
from mutants.mutation import Mutation
from tqdm import tqdm

ROOT = Path(__file__).parents[1]
SECTIONS = (
    loops,
    steps,
    choices,
    comparisons,
    curves,
    claims,
    classifiers,
    families,
    gold,
    groups,
    grue,
    install,
    judges,
    labs,
    maths,
    memory,
    mlflow_answers,
    masks,
    numerics,
    offline,
    packed,
    pages,
    pairs,
    pipeline,
    pitfalls,
    preferences,
    sampling,
    searches,
    small,
    tasks,
    rewards,
    rows,
    runs,
    adapters,
    apa_figures,
    told,
    unsent,
    words,
    spectrum,
    starting,
    worlds,
)
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info")
MADE = {"outputs", "figures", "shared"}  # of the top folder alone: `analysis/figures` is code
LIMIT_S = 300.0  # a mistake may also make a test run for ever
SOUND_LIMIT_S = 1800.0  # for all tests together, without a mistake
KINDS = {pytest.ExitCode.OK: "survived", pytest.ExitCode.TESTS_FAILED: "noticed"}


@dataclass(frozen=True)
class Outcome:
    """What the tests said of the code with one mistake, or with none."""

    kind: str  # noticed | survived | broken (the tests could not run)
    by: str  # the first test that failed, or the end of what pytest printed
    seconds: float


def all_mutations() -> dict[str, Mutation]:
    """Return the mutations of all sections as `section.name`."""
    return {
        f"{section.__name__.rsplit('.', 1)[-1]}.{name}": mutation
        for section in SECTIONS
        for name, mutation in section.MUTATIONS.items()
    }


def stale(mutations: Mapping[str, Mutation]) -> list[str]:
    """Name the mutations whose text does not stand exactly once in its file, or whose tests do not exist."""
    found = []
    for name, mutation in mutations.items():
        path = ROOT / "src" / "rftlab" / mutation.file
        times = path.read_text().count(mutation.old) if path.exists() else 0
        if times != 1:
            found.append(f"{name}: its text stands {times} times in {path.relative_to(ROOT)}, not once")
        tests = [test.split("::")[0] for test in mutation.tests.split()]
        found += [f"{name}: there is no tests/{test}" for test in tests if not (ROOT / "tests" / test).exists()]
    return found


# --- one run of pytest, in a fork ---------------------------------------------------------------------------------


class FirstFailure:
    """Remember the first test that failed."""

    def __init__(self) -> None:
        self.name = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid


def warm_up() -> None:
    """Import what the tests need of other people's code, including what libraries import at their first use."""
    import beartype
    import datasets
    import hydra
    import hypothesis
    import jaxtyping
    import pandas as pd
    import scipy.stats
    import sklearn.datasets
    import torch
    import transformers as hf

    torch.set_num_threads(1)
    weight = torch.nn.Parameter(torch.zeros(1))
    torch.optim.AdamW([weight]).step()
    for name in ("GPT2LMHeadModel", "T5ForConditionalGeneration", "LlamaForCausalLM", "BertForSequenceClassification"):
        getattr(hf, name)
    assert all((beartype, datasets, hydra, hypothesis, jaxtyping, pd, scipy.stats, sklearn.datasets))
    ours = [name for name in sys.modules if name.split(".")[0] in ("rftlab", "analysis", "hydra_plugins")]
    assert not ours, ours


def left_out(folder: str, names: list[str]) -> set[str]:
    """Name what a copy of the tree does without, for `shutil.copytree`."""
    return LEFT_OUT(folder, names) | (MADE & set(names) if Path(folder) == ROOT else set())


def in_fork(copy: Path, tests: Sequence[str], shapes: bool, limit_s: float = LIMIT_S) -> Outcome:
    """Run tests of the copy in a fork of this process, up to the first failure."""
    started = time.perf_counter()
    result, printed = copy / "result.json", copy / "printed.txt"
    result.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _run_pytest(copy, tests, shapes, result, printed)
    in_time = _wait(child, started + limit_s)
    seconds = time.perf_counter() - started
    if not in_time:
        return Outcome("noticed", f"still running after {limit_s:.0f} s", seconds)
    found = json.loads(result.read_text()) if result.exists() else {"code": -1, "test": ""}
    kind = KINDS.get(found["code"], "broken")
    return Outcome(kind, printed.read_text()[-1500:] if kind == "broken" else found["test"], seconds)


def _run_pytest(copy: Path, tests: Sequence[str], shapes: bool, result: Path, printed: Path) -> None:
    """Run pytest in this process and end it."""
    os.setsid()
    with printed.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(copy)
    places = [str(copy / "src"), str(copy)]
    sys.path[:] = places + [path for path in sys.path if not _is_ours(path)]
    sys.dont_write_bytecode = True
    os.environ |= {"PYTHONPATH": os.pathsep.join(places), "PYTHONDONTWRITEBYTECODE": "1"}
    arguments = ["-x", "-q", "--tb=line", "-p", "no:cacheprovider", "-p", "no:xdist", f"--rootdir={copy}"]
    arguments += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of the plugins that are imported by now
    if not shapes:
        arguments += ["-o", "addopts=", *_without_shapes(copy / "pyproject.toml")]
    first = FirstFailure()
    code = -1
    try:
        code = int(pytest.main([*arguments, *(f"tests/{test}" for test in tests)], plugins=[first]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        result.write_text(json.dumps({"code": code, "test": first.name.removeprefix("tests/")}))
        os._exit(0)


def _without_shapes(project: Path) -> list[str]:
    """Return the options that pytest takes from the project, but for the checks of shapes and types."""
    options = tomllib.loads(project.read_text())["tool"]["pytest"]["ini_options"]["addopts"]
    return [option for option in shlex.split(options) if not option.startswith("--jaxtyping-packages")]


def _is_ours(path: str) -> bool:
    place = Path(path or ".").resolve()
    return place == ROOT or any((place / name).exists() for name in ("rftlab", "mutations.py"))


def _wait(child: int, until: float) -> bool:
    """Wait for a child to end; kill it and all its processes after `until`, and say that it took too long."""
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.perf_counter() > until:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False
        time.sleep(0.02)
    return True


# --- all mutations ------------------------------------------------------------------------------------------------


def outcome_of(copy: Path, mutation: Mutation) -> Outcome:
    """Make a mistake in the copy, run the tests that concern it, and take the mistake back."""
    path = copy / "src" / "rftlab" / mutation.file
    right = path.read_text()
    path.write_text(right.replace(mutation.old, mutation.new))
    tests = mutation.tests.split()
    try:
        outcome = in_fork(copy, tests, shapes=False)
        return in_fork(copy, tests, shapes=True) if outcome.kind == "survived" else outcome
    finally:
        path.write_text(right)


def line_of(name: str, mutation: Mutation, outcome: Outcome) -> str:
    """Say one outcome in a line of the table."""
    kind = "equivalent" if mutation.equivalent and outcome.kind == "survived" else outcome.kind
    detail = {"noticed": outcome.by, "survived": mutation.harm, "equivalent": mutation.equivalent}.get(kind)
    return f"{kind:<10}  {outcome.seconds:5.1f} s  {name:<44}  {detail or outcome.by.splitlines()[-1:]}"


def unexpected(mutation: Mutation, outcome: Outcome) -> bool:
    """Tell whether an outcome is neither a noticed mistake nor one that cannot be noticed."""
    return outcome.kind != ("survived" if mutation.equivalent else "noticed")


def main(patterns: Sequence[str]) -> int:
    """Run the mutations that match a pattern, or all; return how many outcomes are not as they should be."""
    every = all_mutations()
    chosen = {n: m for n, m in every.items() if not patterns or any(fnmatch.fnmatch(n, p) for p in patterns)}
    if not chosen:
        sys.exit(f"no mutation is called {' or '.join(patterns)}; there are {', '.join(every)}")
    if found := stale(chosen):
        sys.exit("\n".join(found))
    warm_up()
    bad: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(ROOT, Path(folder).resolve() / "copy", ignore=left_out))
        concerned = sorted({test for mutation in chosen.values() for test in mutation.tests.split()})
        sound = in_fork(copy, concerned, shapes=False, limit_s=SOUND_LIMIT_S)
        if sound.kind != "survived":
            sys.exit(f"the tests fail without any mistake: {sound.by}")
        with tqdm(chosen.items(), desc="mutations", dynamic_ncols=True, leave=False) as bar:
            for name, mutation in bar:
                outcome = outcome_of(copy, mutation)
                line = line_of(name, mutation, outcome)
                bar.write(line)
                bad += [line] if unexpected(mutation, outcome) else []
    print(f"\n{len(chosen)} mutations, {len(bad)} not as they should be", *bad, sep="\n")
    return len(bad)


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
