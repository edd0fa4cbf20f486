"""The run folder: who a run is, who may write it, what it holds, how to read it back. `docs/runs.md` names every file.

This is the contract between training and analysis. It imports neither torch nor a tracking client.
"""

from rftlab.runs.attempt import HEARTBEAT_S, Run, RunIsDone, RunIsLive, freeze, thaw
from rftlab.runs.axes import LOOKS, Words, asked_axes, axes_of, is_look, meaning_of, spelled, value_of
from rftlab.runs.comparisons import find_comparisons
from rftlab.runs.identity import (
    KEY_LENGTH,
    NOT_IDENTITY,
    SCHEMA_VERSION,
    changed_keys,
    completed,
    flatten,
    key_today,
    later_keys,
    of_identity,
    of_ours,
    run_folder,
    run_key,
    without_later,
)
from rftlab.runs.parents import follows
from rftlab.runs.records import (
    LEASE_S,
    RunRecord,
    find_key,
    find_runs,
    finished,
    folders_by_key,
    held_elsewhere,
    nearest_run,
    note_elsewhere,
    read_run,
    state_of,
    sweep_runs,
)
from rftlab.runs.responses import RESPONSES, read_responses, write_responses
from rftlab.runs.rows import ROWS, note_rows, only_from_the_hub, own_loader, read_rows, refuse_other_rows, stamp

__all__ = [
    "HEARTBEAT_S",
    "KEY_LENGTH",
    "LEASE_S",
    "LOOKS",
    "NOT_IDENTITY",
    "RESPONSES",
    "ROWS",
    "SCHEMA_VERSION",
    "Run",
    "RunIsDone",
    "RunIsLive",
    "RunRecord",
    "Words",
    "asked_axes",
    "axes_of",
    "changed_keys",
    "completed",
    "find_comparisons",
    "find_key",
    "find_runs",
    "finished",
    "flatten",
    "folders_by_key",
    "follows",
    "freeze",
    "held_elsewhere",
    "is_look",
    "key_today",
    "later_keys",
    "meaning_of",
    "nearest_run",
    "note_elsewhere",
    "note_rows",
    "of_identity",
    "of_ours",
    "only_from_the_hub",
    "own_loader",
    "read_responses",
    "read_rows",
    "read_run",
    "refuse_other_rows",
    "run_folder",
    "run_key",
    "spelled",
    "stamp",
    "state_of",
    "sweep_runs",
    "thaw",
    "value_of",
    "without_later",
    "write_responses",
]  # fmt: skip
