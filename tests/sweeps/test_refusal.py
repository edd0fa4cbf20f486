"""What SLURM says when it refuses names the key to change."""

import pytest

from rftlab.sweeps.slurm.refusal import LIMITS, refusal

FAILED = "sbatch: error: Batch job submission failed: "
POLICY = FAILED + "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
WORDS = {
    f"sbatch: error: invalid partition specified: typo\n{FAILED}Invalid partition name specified":
        "hydra.launcher.partition or resources.partition",
    f"{FAILED}Invalid account or account/partition combination specified":
        "hydra.launcher.account or hydra.launcher.partition",
    f"{FAILED}Invalid qos specification": LIMITS,
    f"sbatch: error: AssocMaxSubmitJobLimit\n{POLICY}": "hydra.launcher.submit_limit",
    f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{POLICY}": "hydra.launcher.submit_limit",
    f"sbatch: error: QOSMaxWallDurationPerJobLimit\n{POLICY}": "hydra.launcher.timeout_min or resources.timeout_min",
    f"sbatch: error: QOSMaxCpuPerUserLimit\n{POLICY}": "hydra.launcher.cpus_per_task or resources.cpus_per_task",
    f"sbatch: error: QOSMaxGRESPerJob\n{POLICY}": "hydra.launcher.gpus_per_node or hydra.launcher.gpu_type",
    f"sbatch: error: AssocMaxMemPerJob\n{POLICY}": "hydra.launcher.mem_gb or resources.mem_gb",
    POLICY: LIMITS,
    f"sbatch: error: Memory specification can not be satisfied\n{FAILED}Requested node configuration is not available":
        "hydra.launcher.mem_gb or resources.mem_gb",
    f"{FAILED}Requested node configuration is not available":
        "hydra.launcher.cpus_per_task, mem_gb, gpus_per_node, gpu_type or constraint",
    f"{FAILED}Requested time limit is invalid (missing or exceeds some limit)":
        "hydra.launcher.timeout_min or resources.timeout_min",
    f"{FAILED}Invalid feature specification": "hydra.launcher.constraint",
    "sbatch: unrecognized option '--fast'\nTry \"sbatch --help\" for more information": "hydra.launcher.sbatch",
    "sbatch: error: something new": "hydra.launcher",
}  # fmt: skip


@pytest.mark.parametrize("said", WORDS)
def test_the_key_is_that_of_the_words(said: str) -> None:
    text = str(refusal(said, "partition=gpu"))
    assert text.endswith(f"change {WORDS[said]}")
    assert "sbatch: " not in text and "--help" not in text and "\n" not in text


def test_a_controller_that_does_not_answer_is_no_mistake_of_the_user() -> None:
    text = str(refusal(f"{FAILED}Unable to contact slurm controller (connect failure)", ""))
    assert "scontrol ping" in text and "hydra.launcher" not in text


def test_a_machine_without_a_cluster_is_told_so_in_one_sentence() -> None:
    said = (
        "sbatch: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host\nsbatch: error: fetch_config: DNS "
        "SRV lookup failed\nsbatch: fatal: Could not establish a configuration source"
    )
    text = str(refusal(said, "mem_gb=1"))
    assert "knows of no cluster" in text and "DNS SRV" not in text and "mem_gb" not in text
