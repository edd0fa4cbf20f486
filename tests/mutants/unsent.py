"""Mistakes in what a command sends of runs that an earlier one finished."""

from mutants.mutation import Mutation

UNSENT = "tracking/test_unsent.py"

MUTATIONS = {
    "done-runs-are-not-looked-at": Mutation(
        "launch/whole_sweep.py",
        "    with sending_unsent(plan.rows):\n",
        "    with sending_unsent([]):\n",
        UNSENT,
        "after a kill of the launching process a finished run stays RUNNING in MLflow",
    ),
    "begun-is-sent": Mutation(
        "tracking/mirror.py",
        """    return position.status != STATUS["done"] or (mode""",
        """    return position.status is None or (mode""",
        UNSENT,
        "after a kill of the launching process a finished run stays RUNNING in MLflow",
    ),
    "untracked-runs-are-sent": Mutation(
        "tracking/mirror.py",
        "    if asked is None or absolute_uri(asked) != address:\n",
        "    if address is None:\n",
        UNSENT,
        "runs of `tracking=none` turn up on a server",
    ),
    "runs-of-other-sweeps-are-sent": Mutation(
        "launch/unsent.py",
        'row.state == "done" and row.folder == row.job.folder and _is_due(row.job)',
        'row.state == "done" and _is_due(row.job)',
        UNSENT,
        "the command looks for a folder that its sweep does not have",
    ),
}
