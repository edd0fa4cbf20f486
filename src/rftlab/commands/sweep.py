"""`python src/sweep.py`: what became of the runs, and what to do about it."""

import argparse
import json
import logging
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from rftlab import runs
from rftlab.commands.compare import add_arguments as add_compare
from rftlab.commands.compare import show_comparison
from rftlab.commands.pipe import outlive_reader, reader_may_leave
from rftlab.commands.report import WritePage, no_pages, write_pages
from rftlab.commands.status import add_arguments as add_status
from rftlab.commands.status import found_runs, show_status
from rftlab.errors import Parser, UserError
from rftlab.files import read_json, write_atomic
from rftlab.launch import launchers
from rftlab.launch.edited import refuse_other_runs
from rftlab.launch.sweep_end import show_end
from rftlab.launch.whole_sweep import exit_code
from rftlab.place import as_typed
from rftlab.runs.identity import KEY_LENGTH
from rftlab.runs.parents import needed_runs
from rftlab.runs.records import log_path
from rftlab.sweeps.asked import forget_asked
from rftlab.sweeps.job import Job
from rftlab.sweeps.outcome import outcomes
from rftlab.sweeps.slurm import scheduler
from rftlab.sweeps.slurm.ledger import PREFIX, ledgers
from rftlab.sweeps.slurm.logs import submission_logs
from rftlab.sweeps.snapshot import FOLDER as SNAPSHOTS
from rftlab.sweeps.status import UNFINISHED, RunStatus, launcher_of, read_queue, to_cancel
from rftlab.sweeps.table import make_console, show_outcomes
from rftlab.tracking.store import absolute_uri

BAD_INPUT = 2
BEGIN_S = 5.0  # between a run's hold of its folder and its first status, at most
FOLLOW_S = 0.5
LOOK_S = 2.0  # between two looks at whether a run that is followed has ended
WORK = ("report", "cancel", "retry", "sync", "clean")  # commands that do more than print
LEFTOVERS = ("failed", "lost", "stopped", "new")


def main(write_page: WritePage = no_pages) -> None:
    """Run one command; exit codes: 0, 1 something failed, 2 bad input. `write_page` draws what `report` tells it."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        works = any(word in WORK for word in sys.argv[1:2])
        with outlive_reader() if works else reader_may_leave():
            arguments = _parser(write_page).parse_args()
            sys.exit(arguments.command(arguments, make_console()))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        sys.exit(130)


def _parser(write_page: WritePage = no_pages) -> argparse.ArgumentParser:
    parser = Parser(prog=as_typed("python src/sweep.py"), description="What became of the runs of a sweep.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = Parser(add_help=False)
    common.add_argument("--outputs", type=Path, default=Path("outputs"), help="paths.outputs of the runs (outputs)")
    common.add_argument("--sweep", help="one sweep (sweep.name); default: all")

    def add(name: str, function: object, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, parents=[common])
        command.set_defaults(command=function)
        return command

    add_status(add("status", show_status, "show every run with its state, from run folders and the queue"))
    add_compare(add("compare", show_comparison, "compare the settings of a sweep: means over seeds, with intervals"))
    add(
        "report",
        lambda arguments, console: write_pages(arguments, console, write_page),
        "write the page of a sweep, index.html in its folder: what was asked, what came out, how to repeat it",
    )
    logs = add("logs", show_log, "print the log of a run")
    logs.add_argument("key", metavar="KEY", help="run key, or the beginning of one")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")
    cancel = add(
        "cancel",
        cancel_runs,
        "take runs out of the queue, of all sweeps unless --sweep or keys are given; those that run save and stop",
    )
    cancel.add_argument("keys", metavar="KEY", nargs="*", help="run keys, or beginnings of them; default: all")
    cancel.add_argument("--yes", action="store_true", help="do not ask")
    retry = add("retry", retry_runs, "run again what failed or was lost, with the settings of its sweep")
    retry.add_argument("keys", metavar="KEY", nargs="*", help="run keys, or beginnings of them; default: all")
    sync = add("sync", sync_runs, "send to the tracking server what it lacks; a second time adds nothing")
    sync.add_argument("--uri", help="address to send to; default: tracking.uri of each run, needed where it is null")
    clean = add("clean", clean_up, "remove runs that never finished, with their checkpoints, and old submissions")
    clean.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def _one(found: Sequence[RunStatus], key: str) -> RunStatus:
    matches = [run for run in found if run.key.startswith(key)]
    if len({run.key for run in matches}) == 1:
        return max(matches, key=lambda run: log_path(Path(run.folder)).exists())
    known = ", ".join(run.key for run in (matches or found)[:6]) or "none"
    raise UserError(f"key {key}, which fits {len(matches)} runs", f"one of the runs ({known}, ...)", "KEY")


def show_log(arguments: argparse.Namespace, console: Console) -> int:
    """Print a log, and follow it."""
    queue = read_queue(arguments.outputs, PREFIX)
    run = _one(found_runs(arguments, queue), arguments.key)
    folder = Path(run.folder)
    files = [log_path(folder)] if log_path(folder).exists() else submission_logs(folder.parent, run.job_id or "none")
    if not files and not arguments.follow:
        raise UserError(f"no log of {folder.name}", "a run that was started in a sweep", "KEY, or wait for its start")
    for path in files:
        sys.stdout.write(path.read_text(errors="replace"))
    if arguments.follow:
        if not files:
            console.print(f"{folder.name} has not started; waiting for it (Ctrl-C ends this)", style="yellow")
        position = log_path(folder).stat().st_size if log_path(folder) in files else 0
        _follow(folder, position, lambda: _over(arguments.outputs, folder, run.key))
    return 0


def _over(outputs: Path, folder: Path, key: str) -> bool:
    """Say whether nothing will go on with a run by itself; asks SLURM only where its folder leaves that open."""
    state = runs.state_of(folder)
    if state in ("done", "failed", "running"):
        return state != "running"
    queue = read_queue(outputs, PREFIX)
    task = queue.tasks.get(key)
    if task is None:
        return state != "new"  # one that waits for a slot of this machine may still start
    return queue.known and task not in queue.jobs


def _follow(folder: Path, position: int, over: Callable[[], bool]) -> None:
    ended, next_look = False, 0.0
    while not ended:
        if time.monotonic() >= next_look:
            ended = over()
            next_look = time.monotonic() + LOOK_S
        if log_path(folder).exists():
            with log_path(folder).open("rb") as file:
                file.seek(position)
                text = file.read()
            position += len(text)
            sys.stdout.write(text.decode(errors="replace"))
            sys.stdout.flush()
        if not ended:
            time.sleep(FOLLOW_S)


def cancel_runs(arguments: argparse.Namespace, console: Console) -> int:
    """Cancel SLURM's jobs and signal processes of this machine."""
    queue = read_queue(arguments.outputs, PREFIX)
    if not queue.known:
        raise UserError(
            "a squeue that does not answer", "the jobs that are to be cancelled", "nothing; try again later"
        )
    found = found_runs(arguments, queue)
    if arguments.keys:
        found = [_one(found, key) for key in arguments.keys]
    tasks = to_cancel(found)
    local = [run for run in found if run.state == "running" and run.job_id is None]
    if not tasks and not local:
        console.print("nothing waits or runs")
        return 0
    what = f"cancel {len(tasks)} SLURM jobs and {len(local)} local ones? [y/N] "
    if not arguments.keys and not _agreed(what, arguments.yes):
        return 0
    scheduler.cancel(tasks)
    for run in local:
        _ask_to_stop(run, console)
    console.print(f"cancelled {len(tasks)} SLURM jobs; asked {len(local)} local ones to save and stop")
    return 0


def _ask_to_stop(run: RunStatus, console: Console) -> None:
    status = _begun(Path(run.folder) / "status.json")
    if status.get("host") != socket.gethostname():
        console.print(f"{run.name}-{run.key} runs on {status.get('host')}: cancel it there", style="yellow")
        return
    try:
        os.kill(int(status["pid"]), signal.SIGTERM)
    except (ProcessLookupError, KeyError):
        console.print(f"{run.name}-{run.key} has ended by itself")


def _begun(path: Path) -> Mapping[str, Any]:
    """Read the status of a run that is live; one that holds its folder writes it within moments."""
    until = time.monotonic() + BEGIN_S
    while "pid" not in (status := read_json(path) or {}) and time.monotonic() < until:
        time.sleep(0.05)
    return status


def _agreed(question: str, yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UserError("no terminal to ask for your consent on", "one, or --yes", "the command: add --yes")
    return input(question).strip().lower() in ("y", "yes")


def retry_runs(arguments: argparse.Namespace, console: Console) -> int:
    """Start exactly the failed and the lost runs again, with the launcher that their sweep used last."""
    queue = read_queue(arguments.outputs, PREFIX)
    if not queue.known:
        raise UserError("a squeue that does not answer", "an answer, so that no job is submitted twice", "nothing")
    every = found_runs(arguments, queue)
    chosen = [_one(every, key) for key in arguments.keys] or every
    found = [run for run in chosen if run.state in UNFINISHED]
    if arguments.keys and len(found) < len(chosen):
        other = next(run for run in chosen if run.state not in UNFINISHED)
        raise UserError(f"{other.key}, which is {other.state}", "runs that failed or were lost", "KEY")
    if not found:
        console.print("nothing failed or was lost")
        return 0
    code = 0
    for sweep in sorted({run.sweep for run in found}):
        jobs = _jobs([Path(run.folder) for run in found if run.sweep == sweep])
        folder = arguments.outputs / sweep
        console.print(f"{sweep}: {_runs(len(jobs))} to retry")
        try:
            refuse_other_runs(jobs, folder)
            states = launchers.run(jobs, folder, launcher_of(folder), console)
        except UserError as error:  # of this sweep; the others may go
            print(f"error: {error}", file=sys.stderr)
            code = BAD_INPUT
            continue
        ends = outcomes(jobs, states)
        show_outcomes(console, ends)
        code = code or exit_code(ends)
        show_end(arguments.outputs, sweep, console, page=True)
        if "stopped" in states.values():  # by a Ctrl-C, which is for the other sweeps too
            break
    return code


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"


def _jobs(folders: Sequence[Path]) -> list[Job]:
    """Make jobs of run folders, parents first."""
    records = {record.key: record for record in map(runs.read_run, folders)}
    jobs: dict[str, Job] = {}

    def make(key: str) -> Job:
        if key not in jobs:
            record = records[key]
            needed = dict.fromkeys(needed_runs(record.config).values())
            parents = tuple(make(parent) for parent in needed if parent in records)
            jobs[key] = Job(config=record.config, key=key, folder=record.folder, parents=parents)
        return jobs[key]

    for key in records:
        make(key)
    return list(jobs.values())


def sync_runs(arguments: argparse.Namespace, console: Console) -> int:
    """Send what is missing, sweep by sweep."""
    from rftlab.tracking import mirror

    records = [runs.read_run(Path(run.folder)) for run in found_runs(arguments, read_queue(arguments.outputs, PREFIX))
               if Path(run.folder, "config.yaml").exists()]  # fmt: skip
    if arguments.uri is not None:
        absolute_uri(arguments.uri)  # refused also where there is nothing to send
    by_uri: dict[str, list[Path]] = {}
    for record in records:
        if (uri := arguments.uri or record.config["tracking"]["uri"]) is not None:
            by_uri.setdefault(uri, []).append(record.folder)
    if homeless := len(records) - sum(map(len, by_uri.values())):
        if not by_uri:
            raise UserError(f"{homeless} runs without tracking.uri", "an address to send them to", "--uri")
        console.print(f"{homeless} runs without tracking.uri are left out; --uri sends them too")
    failed = 0
    for uri, folders in by_uri.items():
        report = mirror.sync(folders, lambda sweep, uri=uri: mirror.prepare(uri, sweep, arguments.outputs))
        console.print(
            f"{mirror.store_name(uri)}: {report.runs} runs looked at, {report.created} created, "
            f"{report.metrics} metrics and {report.files} files sent",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
        for folder in report.busy:
            console.print(f"  busy: {folder.name} sends by itself")
        reasons: dict[str, list[str]] = {}
        for folder, reason in report.failed.items():
            reasons.setdefault(reason, []).append(folder.name)
        for reason, names in reasons.items():
            which = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            line = f"  failed: {_runs(len(names))} ({which}): {reason}"
            console.print(line, style="red", highlight=False, soft_wrap=True)
        failed += len(report.failed)
    return int(failed > 0)


def clean_up(arguments: argparse.Namespace, console: Console) -> int:
    """Show what would go, ask, remove it."""
    queue = read_queue(arguments.outputs, PREFIX)
    if not queue.known:
        raise UserError(
            "a squeue that does not answer", "an answer, so that no waiting job loses its folder", "nothing"
        )
    found = found_runs(arguments, queue)
    folders = [Path(run.folder) for run in found if run.state in LEFTOVERS and Path(run.folder).exists()]
    if not any(run.state in ("queued", "starting", "running", "ending") for run in found):
        folders += [
            ledger.folder
            for ledger in ledgers(arguments.outputs)
            if arguments.sweep in (None, ledger.folder.parent.name)
        ]
        folders += [] if arguments.sweep else [path for path in (arguments.outputs / SNAPSHOTS,) if path.exists()]
    if not folders:
        console.print("nothing to remove")
        return 0
    for folder in folders:
        console.print(f"{_mebibytes(folder):8.1f} MiB  {folder}", highlight=False, soft_wrap=True)
    if not _agreed(f"remove these {len(folders)} folders? [y/N] ", arguments.yes):
        return 0
    for folder in folders:
        shutil.rmtree(folder)
        _forget(folder)
    console.print(f"removed {len(folders)} folder{'' if len(folders) == 1 else 's'}")
    return 0


def _forget(folder: Path) -> None:
    """Take a removed run off the lists of the last launch, which `status` shows, and of what was asked for."""
    path = folder.parent / "launch.json"
    if (note := read_json(path)) is not None:
        note["jobs"] = {key: name for key, name in note["jobs"].items() if name != folder.name}
        write_atomic(path, json.dumps(note, indent=1) + "\n")
    forget_asked(folder.parent, folder.name[-KEY_LENGTH:])


def _mebibytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
