"""The command line around Hydra: every mistake of the user is one line and exit code 2, never a traceback."""

import atexit
import errno
import gc
import io
import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from rftlab.commands.arguments import LINE, as_hydra_wants
from rftlab.commands.pipe import outlive_reader, reader_may_leave
from rftlab.config.culprits import culprit
from rftlab.config.layers import find
from rftlab.config.messages import explain
from rftlab.config.site_file import check_site_file
from rftlab.errors import Unwritable, UserError, traceback_wanted, unwritable
from rftlab.launch import single
from rftlab.launch.early import NOTHING_RUNS
from rftlab.place import CONF
from rftlab.stop import StopFlag, StopOnSignals, StopRequested, interrupted
from rftlab.sweeps.job import Job

log = logging.getLogger("rftlab")

UNWRITABLE = (  # not: a file that is missing
    errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ENOSPC, errno.EDQUOT,
)  # fmt: skip
SOME_FAILED, BAD_INPUT = 1, 2
INTERRUPTED = 130


def main(finished: Callable[[Job], None] = lambda job: None) -> None:
    """Run `train.py`; exit codes: 0 done, 1 a run failed, 2 bad input (nothing was started), 130 interrupted.

    `finished` is told of the run, if it is a single one and has come to its end.
    """
    prints = any({argument, argument.partition("=")[0]} & {*NOTHING_RUNS} for argument in sys.argv[1:])
    with reader_may_leave() if prints else outlive_reader():
        _run(finished)


def _run(finished: Callable[[Job], None]) -> None:
    """Let Hydra read the command line and do what it says."""
    os.environ.setdefault("RFTLAB_TRACEBACK", os.environ.get("HYDRA_FULL_ERROR", "0"))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing, and the wording is ours

    atexit.register(gc.freeze)  # or the interpreter would look, for a second, through all that it is about to drop
    try:
        _refuse_comparisons(sys.argv[1:])
        sys.argv[1:] = as_hydra_wants(sys.argv[1:])
        if "hydra/launcher=slurm" in sys.argv[1:]:
            check_site_file(find(CONF, "local/slurm"))
        command = hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
        with _part_in_words() if any(word.startswith("--package") for word in sys.argv) else nullcontext():
            command(lambda cfg: _job(cfg, finished))()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (UserError, HydraException, OmegaConfBaseException, MarkedYAMLError) as error:
        _refuse(error)
    except OSError as error:  # of a folder that is made before a run or a sweep begins
        if (error.errno not in UNWRITABLE or error.filename is None) and culprit(error) is None:
            raise
        _refuse(culprit(error) or unwritable(error.filename, error, "paths.outputs"))
    except (ValueError, RecursionError, AssertionError, YAMLError) as error:  # of Python's, through Hydra
        if culprit(error) is None:
            raise
        _refuse(error)


def _refuse_comparisons(arguments: Sequence[str]) -> None:
    """Refuse keys of `conf/judge`, which no run has.

    Raises:
        UserError: There is one.
    """
    for argument in arguments:
        if re.match(r"\+*judge[.=]", argument):
            raise UserError(f"{argument} for a run", f"`python src/judge.py A B {argument}`, of finished runs", LINE)


@contextmanager
def _part_in_words() -> Generator[None]:
    """Word what Hydra prints itself and ends with: `-p` names a key that is null, or none of this config.

    Raises:
        UserError: Hydra found nothing to show.
    """
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            yield
    except SystemExit:
        if match := re.match(r"package '(.*)' not found in config", said.getvalue()):
            found = f"-p {match.group(1)}, which is null or not in this config"
            raise UserError(found, "a key with a value (--cfg job alone shows all)", LINE) from None
        raise
    finally:
        if not said.getvalue().startswith("package '"):
            print(said.getvalue(), end="", file=sys.stderr)


def _job(cfg: DictConfig, finished: Callable[[Job], None]) -> dict[str, float]:
    job = None
    try:
        if HydraConfig.get().mode == RunMode.RUN:
            _refuse_sweep_settings(cfg)
        job = single.prepare(cfg)
        with StopOnSignals(StopFlag(), (signal.SIGINT, signal.SIGTERM)) as stop:
            final = single.execute(job, stop)
        if final:
            finished(job)
        return final
    except StopRequested as request:
        log.info("stopped, %s; the same command goes on from here", request)
        sys.exit(INTERRUPTED)
    except (UserError, OmegaConfBaseException) as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise  # the sweep goes on with the other jobs and reports this one at its end
        # as an exception, Hydra would print a line of its own before ours
        _refuse(error, SOME_FAILED if isinstance(error, Unwritable) and _began(job) else BAD_INPUT)


def _began(job: Job | None) -> bool:
    """Say whether a run, or one of its parents, was ever begun."""
    return job is not None and ((job.folder / "status.json").exists() or any(map(_began, job.parents)))


def _refuse_sweep_settings(cfg: DictConfig) -> None:
    """Refuse what only a sweep heeds: a single run would train here and now, on a login node or in spite of a dry run.

    Raises:
        UserError: A launcher other than the default one, or a dry run.
    """
    node = HydraConfig.get()
    choices = node.runtime.choices
    launcher, sweep = choices["hydra/launcher"], choices.get("sweep")
    given = {
        f"hydra/launcher={launcher}": launcher != "local",
        f"hydra/sweeper={choices['hydra/sweeper']}": choices["hydra/sweeper"] != "rftlab",
        f"+sweep={sweep}": sweep is not None,
        "sweep.dry_run=true": cfg.sweep.dry_run,
        **{words: True for words in node.overrides.hydra if words.startswith(("hydra.launcher.", "hydra.sweeper."))},
    }
    for found, is_there in given.items():
        if is_there:
            raise UserError(f"{found} for a single run", "a sweep, which may be of one job", "the command: add -m")


def _refuse(error: Exception, code: int = BAD_INPUT) -> NoReturn:
    if interrupted(error):
        sys.exit(INTERRUPTED)
    if traceback_wanted():
        traceback.print_exception(error)
    print(f"error: {explain(error)}", file=sys.stderr)
    sys.exit(code)
