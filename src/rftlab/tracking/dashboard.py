"""The pages of MLflow on the outputs of this machine, with a link to the answer of each sweep.

Before they are shown every sweep is compared as it is now, also one that still runs, and its parent run, views and
descriptions are brought up to date.
"""

import os
import sys
import time
import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from rftlab.errors import Parser, UserError
from rftlab.tracking import views
from rftlab.tracking.answer import Answer, answer_of
from rftlab.tracking.parent import send_answer
from rftlab.tracking.server import ENDED_ITSELF, answers, interrupt_on_signals, require_free, running, wait_until
from rftlab.tracking.store import Destination, absolute_uri, open_store, prepare, store_name

BAD_INPUT = 2
PATIENCE_S = 600.0  # Ctrl-C ends it before; a busy machine takes minutes to import MLflow
HOST = "127.0.0.1"
DATABASE = "mlflow.db"
LOG = ".mlflow-ui.log"  # in the outputs
EPILOG = """\
Each sweep has three addresses: its runs as a table of settings and final metrics, the same with curves, and the run
that holds its comparison. The newest one is opened where there is a browser.
"""


@dataclass(frozen=True)
class Shown:
    """A sweep on the server."""

    answer: Answer
    destination: Destination

    def links(self, base: str) -> list[tuple[str, str]]:
        """Return pairs of what is seen and its address."""
        place = self.destination
        several = len(self.answer.views) > 1
        found = []
        for number, view in enumerate(self.answer.views):
            of = f" of {view.name}" if several else ""
            found.append((f"settings and curves{of}", views.link(base, place.experiment_id, number, "CHART")))
            found.append((f"table{of}", views.link(base, place.experiment_id, number, "TABLE")))
        return [*found, ("comparison", views.run_link(base, place.experiment_id, place.parent_run_id))]


def main(arguments: Sequence[str] | None = None) -> None:
    """Show until interrupted; exit codes: 0 interrupted, 1 the server ended by itself, 2 bad input."""
    parser = Parser(prog="python -m rftlab.tracking.dashboard", description=__doc__, epilog=EPILOG)
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="paths.outputs of the runs (outputs)")
    parser.add_argument("--sweep", help="one sweep (sweep.name); default: all")
    parser.add_argument("--port", type=int, default=5000, help="port of the pages (%(default)s)")
    parser.add_argument("--uri", help="a tracking server that runs; only the links to it are printed")
    parser.add_argument("--no-browser", action="store_true", help="print the links alone")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    interrupt_on_signals()
    try:
        if options.uri is not None:
            _show_links(_shown(options.outputs, _server(options.uri), options.sweep, console), options.uri, console)
            return
        _serve(options.outputs, options.port, options.sweep, console, browser=not options.no_browser)
    except KeyboardInterrupt:
        console.print("stopped; the same command shows the same pages")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)


def _server(uri: str) -> str:
    if not uri.startswith("http"):
        raise UserError(f"--uri {uri}", "http(s)://HOST:PORT of a tracking server", "--uri; leave it out for outputs")
    return uri


def _serve(outputs: Path, port: int, sweep: str | None, console: Console, *, browser: bool) -> None:
    database = outputs.resolve() / DATABASE
    if not database.exists():
        raise UserError(f"no {outputs / DATABASE}", "outputs of runs with tracking", "OUTPUTS, or run something first")
    require_free(HOST, port)
    uri, base = absolute_uri(f"sqlite:///{database}"), f"http://{HOST}:{port}"
    shown = _shown(outputs, uri, sweep, console)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", uri),
    ]
    environment = {
        **os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }  # fmt: skip
    log = outputs.resolve() / LOG
    with running(command, log, env=environment) as server:
        with console.status("starting MLflow"):
            wait_until(server, lambda: answers(f"{base}/health"), "MLflow", log, PATIENCE_S)
        console.print(f"MLflow on {base}  (Ctrl-C ends it)")
        _show_links(shown, base, console)
        if browser and shown and _has_browser(os.environ):
            webbrowser.open(shown[-1].links(base)[0][1])
        while server.poll() is None:
            time.sleep(0.5)
    print(f"error: MLflow ended by itself; the log is {log}", file=sys.stderr)
    sys.exit(ENDED_ITSELF)


def _shown(outputs: Path, uri: str, sweep: str | None, console: Console) -> list[Shown]:
    """Bring every sweep that the server knows up to date, the newest last; one that fails is one line.

    Raises:
        UserError: The named sweep is not there.
    """
    try:
        known = {experiment.name for experiment in open_store(uri).client.search_experiments()}
    except Exception as error:
        found = f"{store_name(uri)}, which does not answer ({type(error).__name__})"
        raise UserError(found, "a tracking server that runs", "--uri") from None
    found = {path.parent.parent for path in outputs.glob("*/*/config.yaml")}
    folders = [folder for folder in found if folder.name in known and sweep in (None, folder.name)]
    if sweep is not None and not folders:
        names = ", ".join(sorted(folder.name for folder in found if folder.name in known)) or "none"
        raise UserError(f"--sweep {sweep}", f"a sweep of {outputs} that was tracked ({names})", "--sweep")
    shown = []
    for folder in sorted(folders, key=lambda folder: (folder.stat().st_mtime, folder.name)):
        try:
            with console.status(f"comparing {folder.name}"):
                answer, destination = answer_of(outputs, folder.name), prepare(uri, folder.name, outputs)
                send_answer(answer, outputs, destination)
        except Exception as error:  # the others are shown
            said = (str(error).splitlines() or [""])[0]
            console.print(f"{folder.name} is shown as it was: {type(error).__name__}: {said}", style="yellow")
            continue
        shown.append(Shown(answer, destination))
    return shown


def _show_links(shown: Sequence[Shown], base: str, console: Console) -> None:
    for each in shown:
        console.print(f"\n{each.answer.sweep}", style="bold")
        console.print(each.answer.headline, markup=False)
        links = each.links(base)
        width = max(len(what) for what, _ in links)
        for what, address in links:
            console.print(f"  {what:{width}}  {address}", markup=False)


def _has_browser(environment: Mapping[str, str]) -> bool:
    """Say whether a window can open; a browser of the terminal would hide the links."""
    return sys.platform == "darwin" or any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


if __name__ == "__main__":
    main()
