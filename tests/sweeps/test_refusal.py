"""What SLURM says when it refuses names the key to change."""

import pytest

from rftlab.sweeps.refusal import refusal

WORDS = {
    "sbatch: error: invalid partition specified: typo\nsbatch: error: Batch job submission failed: Invalid partition "
    "name specified": "hydra.launcher.partition",
    "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified":
        "hydra.launcher.account",
    "sbatch: error: Batch job submission failed: Invalid qos specification": "hydra.launcher.qos",
    "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS "
    "policy (job submit limit, user's size and/or time limits)": "hydra.launcher.submit_limit",
    "sbatch: error: Memory specification can not be satisfied\nsbatch: error: Batch job submission failed: Requested "
    "node configuration is not available": "hydra.launcher.mem_gb",
    "sbatch: error: Batch job submission failed: Requested node configuration is not available": "gpus_per_node",
    "sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)":
        "hydra.launcher.timeout_min",
    "sbatch: error: Batch job submission failed: Invalid feature specification": "hydra.launcher.constraint",
    "sbatch: unrecognized option '--fast'\nTry \"sbatch --help\" for more information": "hydra.launcher.sbatch",
    "sbatch: error: something new": "change hydra.launcher",
}  # fmt: skip


@pytest.mark.parametrize("said", WORDS)
def test_the_key_is_that_of_the_words(said: str) -> None:
    text = str(refusal(said, "partition=gpu"))
    assert WORDS[said] in text
    assert "sbatch: " not in text and "--help" not in text and "\n" not in text


def test_a_controller_that_does_not_answer_is_no_mistake_of_the_user() -> None:
    said = "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)"
    assert "scontrol ping" in str(refusal(said, "")) and "hydra.launcher" not in str(refusal(said, ""))
