"""The finished run that a reward names by its key."""

import logging
from pathlib import Path

from rftlab.errors import UserError
from rftlab.runs import RunRecord, find_key

PLACE = "reward"  # in the config
KEY = f"{PLACE}.run"
CHANCE = 0.5  # of a pair
log = logging.getLogger("rftlab")


def finished(key: str | None, outputs: Path, loop: str, algo: str, makes: str, place: str = PLACE) -> RunRecord:
    """Find a finished run below `outputs`, whose loop is called `loop`; `algo` and what it `makes` are for the words.

    `place` is the key of the config that holds `run`.

    Raises:
        UserError: There is no such run, it is not finished, or it makes something else.
    """
    expected, named = f"the run key of a finished run of algo={algo}", f"{place}.run"
    if key is None:
        raise UserError(f"{named}=null", expected, named)
    records = find_key(outputs, key)
    if not records:
        raise UserError(f"{named}={key}, which is no run in {outputs}", expected, named)
    record = records[0]  # finished ones come first
    if record.config["algo"]["loop"]["_target_"].rpartition(".")[2] != loop:
        found = f"{named}={key}, a run of algo={record.config['algo']['name']}, which trains no {makes}"
        raise UserError(found, expected, named)
    if not record.done:
        raise UserError(f"{named}={key}, a run that is {record.state}", expected, named)
    return record


def refuse_chance(
    record: RunRecord,
    model: str,
    accuracy: str,
    of: str,
    chance: float,
    at_chance: bool,
    place: str = PLACE,
    *,
    rule: str = "chance",
) -> None:
    """Refuse a run whose interval of a held-out accuracy, a final metric, reaches chance; or say so in the log.

    Args:
        record: Of a finished run.
        model: What it makes, in words.
        accuracy: The metric, whose ends have `_low` and `_high` behind its name.
        of: What the accuracy is of, in words.
        chance: The accuracy of a guess, or of a rule that has read nothing.
        at_chance: Take it all the same.
        place: The key of the config that holds `run`.
        rule: What has this accuracy, in words.

    Raises:
        UserError: It may be no better.
    """
    final = record.final or {}
    low, value, high = (final.get(f"{accuracy}{end}", float("nan")) for end in ("_low", "", "_high"))
    if low > chance:
        return
    found = f"{place}.run={record.key}, {model} with accuracy {value:.3f} ({low:.3f} to {high:.3f}) on {of}"
    if not at_chance:
        raise UserError(
            found,
            f"an interval above {chance:.3g} ({rule}), so that it tells good from bad",
            f"{place}.run, or {place}.at_chance=true to use it all the same",
        )
    log.warning("%s: it may be no better than %s, and then no score of it means much", found, rule)


def accuracy_to_exceed(longer: float) -> tuple[float, str]:
    """Return what the accuracy of a reward model must exceed, and in words whose accuracy that is.

    `longer` is the accuracy of preferring the longer reply of the same pairs, NaN where nobody has measured it.
    """
    return (longer, "preferring the longer reply") if longer > CHANCE else (CHANCE, "chance")
