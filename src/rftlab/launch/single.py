"""One run from a composed config: its identity, its parents, then the run itself; no torch until a run starts."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from rftlab import runs
from rftlab.config.checks import check_hydra
from rftlab.config.compose import Composer
from rftlab.files import disk_errors
from rftlab.launch.needs import require_hub, require_runs
from rftlab.launch.room import require_room_for
from rftlab.launch.same import check_same
from rftlab.light import importing
from rftlab.stop import StopFlag
from rftlab.sweeps.job import Job, is_done
from rftlab.sweeps.outcome import summary

POLL_S = 2.0  # seconds between two looks at a run that another process works on
log = logging.getLogger("rftlab")


def prepare(cfg: DictConfig, choices: Mapping[str, str] | None = None) -> Job:
    """Check a composed config and give the run its identity; starts nothing.

    Raises:
        UserError: On an unknown key, a value out of range, or a combination that cannot work.
    """
    node = cfg.hydra if "hydra" in cfg else HydraConfig.get()
    check_hydra(node)
    choices = node.runtime.choices if choices is None else choices
    overrides = [str(override) for override in node.overrides.task]
    cfg = cfg.copy()
    with open_dict(cfg):
        cfg.pop("hydra", None)
    return Composer(GlobalHydra.instance().config_loader()).resolve(cfg, choices, overrides)


def _finish(parent: Job, stop: StopFlag) -> None:
    """Run a parent to its end, or wait for the process that works on it."""
    while not execute(parent, stop) and (state := runs.state_of(parent.folder)) != "done":
        if state == "running":
            log.info("waiting for %s", parent.folder)
        while runs.state_of(parent.folder) == "running":
            stop.check()
            time.sleep(POLL_S)


def execute(job: Job, stop: StopFlag) -> dict[str, float]:
    """Run the job in this process, its parents first; a finished run gives its metrics at once.

    Returns:
        The final metrics; empty when another live process works on the same run.

    Raises:
        StopRequested: The run was asked to stop and has saved itself.
        UserError: Data, model or parent cannot be had, or the run does not fit into memory.
    """
    for record in runs.find_key(Path(job.config["paths"]["outputs"]), job.key):
        if record.final is not None:
            check_same([(job.config, record.folder)])
            log.info("%s is done: %s", record.folder, summary(record.final, record.config))
            return record.final
    require_hub([job.config])
    require_runs([job])
    require_room_for([job, *(parent for parent in job.parents if not is_done(parent))])
    runs.take_up(job.folder)
    for parent in job.parents:
        _finish(parent, stop)
    with disk_errors(job.folder.parent):  # here, as the libraries take seconds
        job.folder.parent.mkdir(parents=True, exist_ok=True)
    with importing():
        from rftlab.build.training import train  # torch and transformers load here, not for --help or a finished run

    try:
        return train(job.config, job.folder, stop)
    except runs.RunIsDone as done:  # another process finished it since we looked
        return done.final
    except runs.RunIsLive as live:
        log.info("left alone: %s", live)
        return {}
