"""Sending the answer of a sweep to its parent run and its experiment, once for each state that it has.

What a person has changed on the server, a description or the name of a run, stays.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rftlab.files import FileLock, read_json, write_atomic
from rftlab.tracking import views
from rftlab.tracking.answer import Answer, answer_of
from rftlab.tracking.spool import STATE_FILE, Point
from rftlab.tracking.store import Destination, Store, open_store, parent_name, prepare, store_name
from rftlab.tracking.words import NOTE, TITLE

NOTED = "answer"  # in the file of a sweep, beside the addresses
WRITTEN = "note_written"  # a tag with the hash of the description that was sent


def send_answer(answer: Answer, outputs: Path, destination: Destination) -> bool:
    """Send what the parent run of a sweep lacks; returns whether there was anything."""
    folder = outputs.resolve() / answer.sweep
    lock = FileLock(folder / ".tracking.lock")
    if not lock.take(0.0):
        return False  # another process is sending it
    try:
        if _is_sent(answer, folder, destination):
            return False
        _send(answer, open_store(destination.uri), destination)
        _note(answer, folder, destination)
    finally:
        lock.release()
    return True


def sync_answers(sweeps: Sequence[str], uri: str, outputs: Path) -> Iterator[tuple[str, bool]]:
    """Send the answer of each sweep that lacks it; yields a line for each, and whether it was sent."""
    for sweep in sweeps:
        try:
            if send_answer(answer_of(outputs, sweep), outputs, prepare(uri, sweep, outputs)):
                yield f"  comparison of {sweep} sent", True
        except Exception as error:  # the others are sent
            said = store_name((str(error).splitlines() or [""])[0])[:200]
            yield f"  failed: comparison of {sweep}: {type(error).__name__}: {said}", False


def _is_sent(answer: Answer, folder: Path, destination: Destination) -> bool:
    noted = (_noted(folder).get(NOTED) or {}).get(store_name(destination.uri))
    return noted == [destination.parent_run_id, answer.digest]


def _note(answer: Answer, folder: Path, destination: Destination) -> None:
    noted = _noted(folder)
    known = noted.get(NOTED) or {}
    noted[NOTED] = known | {store_name(destination.uri): [destination.parent_run_id, answer.digest]}
    write_atomic(folder / STATE_FILE, json.dumps(noted, indent=1) + "\n")


def _noted(folder: Path) -> dict[str, Any]:
    return read_json(folder / STATE_FILE) or {}


def _send(answer: Answer, store: Store, destination: Destination) -> None:
    run_id, experiment_id = destination.parent_run_id, destination.experiment_id
    parent = store.client.get_run(run_id)
    for name, text in answer.texts.items():
        store.client.log_text(run_id, text, name)
    for name, path in answer.files.items():
        store.client.log_artifact(run_id, str(path), str(Path(name).parent) if "/" in name else None)
    _send_metrics(store, run_id, answer.metrics, parent.data.metrics)
    store.send_tags(run_id, answer.tags | _described(answer.note, parent.data.tags))
    if parent.info.run_name == answer.sweep:  # as parents were called before they held a comparison
        store.client.update_run(run_id, name=parent_name(answer.sweep))
    _send_to_experiment(answer, store, destination)
    _name_runs(answer.titles, store, experiment_id)


def _send_metrics(store: Store, run_id: str, new: Mapping[str, float], old: Mapping[str, float]) -> None:
    """Send means of cells that changed, and NaN in the place of those of cells that are no more."""
    now_ms = round(time.time() * 1000)
    gone = {name: math.nan for name, value in old.items() if name not in new and not math.isnan(value)}
    changed = {name: value for name, value in new.items() if old.get(name) != value}
    store.send_points(
        run_id, [Point(name=name, value=value, time_ms=now_ms, step=0) for name, value in (changed | gone).items()]
    )


def _described(note: str, tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a description, none where a person has written another one."""
    if NOTE in tags and _hash(tags[NOTE]) != tags.get(WRITTEN):
        return {}
    return {NOTE: note, WRITTEN: _hash(note)}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _send_to_experiment(answer: Answer, store: Store, destination: Destination) -> None:
    experiment = store.client.get_experiment(destination.experiment_id)
    where = views.run_link("", destination.experiment_id, destination.parent_run_id).lstrip("/")
    note = f"[Comparison]({where}): {answer.headline}"
    tags = views.tags(answer.views, experiment.creation_time or 0) | _described(note, experiment.tags)
    for name, value in tags.items():
        if experiment.tags.get(name) != value:
            store.client.set_experiment_tag(destination.experiment_id, name, value)


def _name_runs(titles: Mapping[str, str], store: Store, experiment_id: str) -> None:
    """Name runs by what tells them apart now; a sweep that grows gets axes that it did not have before."""
    for run in _pages(lambda token: store.client.search_runs([experiment_id], "tags.kind = 'run'", page_token=token)):
        tags, name = run.data.tags, titles.get(run.data.tags.get("run_key", ""))
        given = tags.get(TITLE, tags.get("mlflow.runName"))  # runs of before had the name of their folder
        if name is not None and name != run.info.run_name and given == run.info.run_name:
            store.client.update_run(run.info.run_id, name=name)
            store.send_tags(run.info.run_id, {TITLE: name})


def _pages(search: Callable[[str | None], Any]) -> list[Any]:
    found, token = [], None
    while True:
        page = search(token)
        found += page
        token = page.token
        if not token:
            return found
