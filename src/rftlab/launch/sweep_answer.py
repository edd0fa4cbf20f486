"""The answer of a sweep on its way to the tracking server when the sweep ends: a bounded wait, and one line."""

from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import Any

from rich.console import Console

from rftlab.place import INSTALLED, as_typed, program


def send_at_end(outputs: Path, sweep: str, tracking: Mapping[str, Any], console: Console) -> None:
    """Send the comparison to the parent run, and wait `close_timeout_s` at most; what goes wrong is one line."""
    if tracking["uri"] is None:
        return
    ended: list[str] = []
    thread = Thread(target=_send, args=(outputs, sweep, tracking["uri"], ended), name="answer", daemon=True)
    thread.start()
    try:
        thread.join(tracking["close_timeout_s"])
    except KeyboardInterrupt:
        ended.append("interrupted")
    dashboard = as_typed("python -m rftlab.tracking.dashboard")
    place = "" if str(outputs) == "outputs" else f" --outputs {outputs}"
    if not ended:
        ended.append(f"the tracking server takes longer than {tracking['close_timeout_s']:g} s")
    if ended[0]:
        again = f"{program('sweep')} sync --sweep {sweep}{place}"
        words, style = f"tracking: the comparison is not sent yet: {ended[0]}; `{again}` sends it", "yellow"
    elif tracking["uri"].startswith("http"):
        words, style = f"in MLflow: {dashboard} --uri {tracking['uri']}{place}", None
    elif INSTALLED:
        words, style = f"in MLflow: {dashboard}{place}", None
    else:
        words, style = f"in MLflow: make dashboard{place.replace(' --outputs ', ' OUTPUTS=')}", None
    console.print(words, style=style, highlight=False, soft_wrap=True, markup=False)


def _send(outputs: Path, sweep: str, uri: str, ended: list[str]) -> None:
    """Send, and note an empty text, or what went wrong; imports what it needs, as few sweeps are without a server."""
    try:
        from rftlab.tracking.answer import answer_of
        from rftlab.tracking.parent import send_answer
        from rftlab.tracking.store import prepare

        send_answer(answer_of(outputs, sweep), outputs, prepare(uri, sweep, outputs))
    except Exception as error:  # the sweep has ended, and says how
        from rftlab.tracking.store import store_name

        said = store_name((str(error).splitlines() or [""])[0])[:200]
        ended.append(f"{type(error).__name__}: {said}")
        return
    ended.append("")
