"""The study of a search: Optuna's record of its trials, in a file of the sweep's folder, and who may write it.

Every command opens the study anew. Samplers keep no state between two trials: each trial is drawn with a seed of its
own, from the trials before it, so that a search that was killed goes on with what it would have drawn.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState

from rftlab.errors import UserError
from rftlab.files import FileLock, disk_errors
from rftlab.runs.identity import of_identity
from rftlab.runs.searches import Search, Tried
from rftlab.sweeps.search.space import Dimension, Space, Value

JOURNAL, LOCK = "study.jsonl", ".search.lock"
LOCK_WAIT_S = 0.5
OTHERS = "other overrides"
SETTINGS = "settings"  # user attribute of the study
RUNS, VALUES = "runs", "values"  # user attributes of a trial
STATES = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "diverged"}  # others are open


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How a search goes on: equal in all commands of one search, as its trials would not belong together otherwise."""

    metric: str
    direction: str
    judged_by: str | None
    sampler: Mapping[str, Any]  # as the config has it
    pruner: Mapping[str, Any]
    seed: int

    def to_dict(self, space: Space) -> dict[str, Any]:
        """Return plain data, by the key that sets it."""
        return {
            "hydra.sweeper.metric": self.metric,
            "hydra.sweeper.direction": self.direction,
            "hydra.sweeper.judged_by": self.judged_by,
            "hydra.sweeper.sampler": dict(self.sampler),
            "hydra.sweeper.pruner": dict(self.pruner),
            "hydra.sweeper.seed": self.seed,
            "seed": list(space.seeds),
            "the space": {each.key: each.given for each in space.dimensions},
            OTHERS: sorted(word for word in space.fixed if _of_identity(word)),
        }


class Study:
    """The trials of one search. One process at a time holds it."""

    def __init__(
        self,
        folder: Path,
        space: Space,
        rules: Rules,
        sampler: Callable[[int], BaseSampler],
        pruner: BasePruner,
        *,
        writes: bool,
    ) -> None:
        """Open the study of a sweep's folder; `sampler` makes the one that draws the trial of a number.

        Without `writes` nothing is made or held: a look at what is there.

        Raises:
            UserError: Another command works on it, or it was begun with other rules or another space.
        """
        self._space, self._rules, self._sampler = space, rules, sampler
        self._sweep = folder.name
        self._lock = FileLock(folder / LOCK)
        self._study: optuna.Study | None = None
        path = folder / JOURNAL
        direction = StudyDirection[rules.direction.upper()]
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        if not writes and not path.exists():
            return
        if writes:
            with disk_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
            if not self._lock.take(LOCK_WAIT_S):
                found = f"another command that works on the search {self._sweep}"
                raise UserError(found, "one at a time", "sweep.name, or nothing: wait for it")
            _drop_torn_line(path)
        try:
            self._study = optuna.create_study(
                study_name=self._sweep,
                storage=JournalStorage(JournalFileBackend(str(path))),
                direction=direction,
                load_if_exists=True,
                pruner=pruner,
            )
            self._check(writes)
        except BaseException:
            self._lock.release()
            raise

    def close(self) -> None:
        """Let another command have it."""
        self._lock.release()

    def _check(self, writes: bool) -> None:
        assert self._study is not None
        ours = self._rules.to_dict(self._space)
        theirs = self._study.user_attrs.get(SETTINGS)
        if theirs is None:
            if writes:
                self._study.set_user_attr(SETTINGS, ours)
            return
        for key, value in ours.items():
            known = theirs.get(key)
            if known != value and key == OTHERS:
                value, known = _apart(value, known or []), _apart(known or [], value)
            if known != value:
                begun = f"which was begun with {_told(known)}"
                raise UserError(
                    f"{key}: {_told(value)} for the search {self._sweep}, {begun}",
                    "what it was begun with (hydra.sweeper.n_trials and n_jobs may change)",
                    "sweep.name, for another search",
                )

    @property
    def count(self) -> int:
        """Trials so far, whatever became of them."""
        return 0 if self._study is None else len(self._study.get_trials(deepcopy=False))

    def ask(self) -> "Trial":
        """Begin a trial."""
        assert self._study is not None
        self._study.sampler = self._sampler(self.count)
        return self._drawn(self._study.ask())

    def open_trials(self) -> list["Trial"]:
        """Return the trials that earlier commands have begun and not ended, in order."""
        if self._study is None:
            return []
        begun = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [self._again(trial.number, trial._trial_id) for trial in begun]

    def _again(self, number: int, trial_id: int) -> "Trial":
        """Take a trial up; what a command that was killed had not yet drawn of it is drawn now."""
        assert self._study is not None
        self._study.sampler = self._sampler(number)
        return self._drawn(optuna.trial.Trial(self._study, trial_id))

    def _drawn(self, trial: optuna.trial.Trial) -> "Trial":
        params = {each.key: _suggested(trial, each) for each in self._space.dimensions}
        assert self._study is not None
        return Trial(trial, self._study, self._space.words(params))

    def summary(self, n_trials: int) -> Search:
        """Return how the search stands."""
        found = [] if self._study is None else self._study.get_trials(deepcopy=False)
        return Search(
            sweep=self._sweep,
            metric=self._rules.metric,
            direction=self._rules.direction,
            judged_by=self._rules.judged_by,
            n_trials=n_trials,
            seeds=list(self._space.seeds),
            space={each.key: each.given for each in self._space.dimensions},
            trials=[_tried(trial, self._space) for trial in found],
        )


class Trial:
    """A trial that has begun."""

    def __init__(self, trial: optuna.trial.Trial, study: optuna.Study, words: Mapping[str, str]) -> None:
        """Take Optuna's trial, with what it tries in the words of the command line."""
        self._trial, self._study = trial, study
        self.words = dict(words)
        self.number: int = trial.number
        self._reported = set(study.trials[trial.number].intermediate_values)

    def note_runs(self, keys: Mapping[int, str]) -> None:
        """Keep which runs it has, seed -> key."""
        self._trial.set_user_attr(RUNS, {str(seed): key for seed, key in keys.items()})

    def judge(self, step: int, value: float) -> bool:
        """Take the value of a look, each step once and in order; says whether to give the trial up."""
        if step in self._reported:
            return False
        self._reported.add(step)
        self._trial.report(value, step)
        return self._trial.should_prune()

    def tell_done(self, values: Mapping[int, float]) -> None:
        """End it with the metric of each seed."""
        self._trial.set_user_attr(VALUES, {str(seed): value for seed, value in values.items()})
        self._study.tell(self._trial, float(np.mean(list(values.values()))))

    def tell_pruned(self) -> None:
        """End it as given up."""
        self._study.tell(self._trial, state=TrialState.PRUNED)

    def tell_diverged(self) -> None:
        """End it without a value: the sampler learns nothing from it."""
        self._study.tell(self._trial, state=TrialState.FAIL)


def _suggested(trial: optuna.trial.Trial, dimension: Dimension) -> Value:
    """Draw a value, or return the one that was drawn before."""
    match dimension.distribution:
        case CategoricalDistribution(choices=choices):
            return str(trial.suggest_categorical(dimension.key, choices))
        case IntDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_int(dimension.key, low, high, step=step, log=log)
        case FloatDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_float(dimension.key, low, high, step=step, log=log)


def _tried(trial: optuna.trial.FrozenTrial, space: Space) -> Tried:
    known = {each.key: each.word(trial.params[each.key]) for each in space.dimensions if each.key in trial.params}
    return Tried(
        number=trial.number,
        state=STATES.get(trial.state, "open"),
        params=known,
        runs=trial.user_attrs.get(RUNS, {}),
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        values=trial.user_attrs.get(VALUES, {}) if trial.state == TrialState.COMPLETE else {},
        looks={str(step): value for step, value in sorted(trial.intermediate_values.items())},
    )


def seed_of(seed: int, number: int) -> int:
    """Return the seed of the sampler for one trial."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _of_identity(word: str) -> bool:
    """Say whether an override changes what runs compute, and not where, or what they are called."""
    return of_identity(re.split(r"[/@=]", word.lstrip("+~"), maxsplit=1)[0])


def _apart(words: Sequence[str], others: Sequence[str]) -> list[str]:
    return [word for word in words if word not in others]


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={each}" for key, each in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(str, value)) or "none"
    return str(value)


def _drop_torn_line(path: Path) -> None:
    """Take away the half of a line that a crash left at the end, behind which Optuna could not read what comes next."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
