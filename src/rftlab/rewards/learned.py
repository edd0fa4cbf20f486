"""The reward that a finished run of a reward model gives."""

from typing import Any

from rftlab.errors import UserError
from rftlab.ranges import RunKey
from rftlab.types import Reward


def load(run: RunKey | None, parent: Any) -> Reward:
    """Read the reward model that the run `run` has trained; how it was composed (`parent`) does not matter any more.

    Raises:
        UserError: No algorithm trains a reward model yet.
    """
    raise UserError(f"reward.run={run}, a reward model", "a reward that is computed", "reward")
