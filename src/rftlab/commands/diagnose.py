"""`python src/diagnose.py`: a run of `algo=diagnose` under shorter names, then its report."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode

from rftlab import runs
from rftlab.commands import train
from rftlab.commands.pipe import outlive_reader, reader_may_leave
from rftlab.config.compose import Composer
from rftlab.errors import UserError, unwritable
from rftlab.place import CONF, as_typed
from rftlab.sweeps.job import Job, folder_of

SHORT = {
    "n_prompts": "algo.loop.n_prompts",
    "samples": "algo.loop.samples_per_prompt",
    "bounds": "algo.loop.bound_prompts",
}
SWEEP = "preflight"
HELP = """rftlab diagnose: will reinforcement finetuning work here? Look before you train.

Samples answers to train prompts under the policy, and reports reward mean and std per prompt: how many have a vanishing
expected gradient, how sure that is, and what to do (terminal, HTML, PNG, CSV; the run folder has every sample).

Usage
  python src/diagnose.py model=t5_mini data=narrativeqa [n_prompts=500 samples=10]
  python src/diagnose.py data=narrativeqa data.source=hub paths.hub_mirror=DIR    real rows
  python src/diagnose.py data=narrativeqa init_from=RUN_KEY                  the policy that a finished run ended with
  python src/diagnose.py data=narrativeqa heuristic=partial_sft              after a little SFT, which is run first
  python src/diagnose.py -m data=narrativeqa,imdb                            several, then the reports of these

Keys
  n_prompts=N  samples=N       prompts, and responses to each (500, 10)
  bounds=N                     prompts whose gradient and its bounds are measured as well (0)
  algo.loop.bound_seconds=S    when to stop measuring these, with what is done kept (600)
  algo.loop.reward_low=0  algo.loop.reward_high=1    interval of the reward, for bounds and threshold
  data.rollout.*  eval.std_below  seed  sweep.name  paths.figures            as for src/train.py (--help there)
"""

SOME_FAILED = 1
Report = Callable[[Sequence[Path], Path], int]  # run folders, folder of figures -> exit code


def main(report: Report) -> None:
    """Sample as the command line says, then hand the run folders and the folder of figures to `report`.

    Ends the process with the exit code of the sweep, or else of the report, where it is not 0.
    """
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):
        with reader_may_leave():
            print(as_typed(HELP), end="")
        return
    if any(argument.startswith("algo=") for argument in arguments):
        refused = UserError("algo=...", "no algorithm, as nothing is trained here", "algo, or use src/train.py")
        print(f"error: {refused}", file=sys.stderr)
        sys.exit(train.BAD_INPUT)
    sys.argv[1:] = [*map(_long, arguments), "algo=diagnose"]
    if not any(argument.startswith("sweep.name=") for argument in arguments):
        sys.argv.append(f"sweep.name={SWEEP}")
    with outlive_reader():
        code = _diagnose(report)
    if code:
        sys.exit(code)


def _diagnose(report: Report) -> int:
    """Sample, then report; returns the exit code."""
    jobs: list[Job] = []
    failed = _sample(jobs)
    asked = get_args_parser().parse_args(sys.argv[1:])  # after Hydra: what it refuses has been said
    several = asked.multirun and not asked.cfg and not asked.info
    code = _report(_jobs(asked.overrides, asked.config_dir) if several else jobs, report)
    return failed or code


def _sample(finished: list[Job]) -> int:
    """Run what the command line asks for; of a sweep, failed jobs do not keep the others from their reports."""
    try:
        train.main(finished.append)
    except SystemExit as stop:
        if stop.code != SOME_FAILED:
            raise
        return SOME_FAILED
    return 0


def _jobs(overrides: Sequence[str], config_dir: str | None = None) -> list[Job]:
    """Compose the jobs of a sweep again, which ran in processes of their own: none of a dry run."""
    if config_dir is not None:  # of the command line; the loader below knows `conf/` alone
        overrides = [*overrides, f"hydra.searchpath=['file://{Path(config_dir).absolute()}']"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration("train", list(overrides), run_mode=RunMode.MULTIRUN)
        if config.sweep.dry_run:
            return []
        context = HydraContext(config_loader=loader, callbacks=Callbacks())
        sweeper: Any = Plugins.instance().instantiate_sweeper(hydra_context=context, task_function=print, config=config)
        composer = Composer(loader, "train", config.hydra.overrides.hydra)
        return [composer.job(each) for each in sweeper.overrides(list(config.hydra.overrides.task))]


def _report(jobs: Sequence[Job], report: Report) -> int:
    """Report on the jobs that are done, wherever that was, and name how many are not."""
    folders = dict.fromkeys(map(folder_of, jobs))
    done = [folder for folder in folders if runs.finished(folder) is not None]
    code = 0
    if done:
        figures = Path(jobs[0].config["paths"]["figures"])
        try:
            code = report(done, figures)
        except OSError as error:  # the run is kept: the same command goes on with the report
            print(f"error: {unwritable(error.filename or figures, error, 'paths.figures')}", file=sys.stderr)
            return train.BAD_INPUT
    if len(done) < len(folders):
        print(f"{len(folders) - len(done)} of {len(folders)} diagnoses are not finished; the same command reports them")
    return code


def _long(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return f"{SHORT.get(name, name)}{equals}{value}"
