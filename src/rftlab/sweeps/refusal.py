"""What `sbatch` says when it refuses, with the key that its words are about."""

import re

from rftlab.errors import UserError

ANY_KEY = "hydra.launcher"
KEYS = (  # the first whose words occur
    (r"job submit limit|QOSMaxSubmit|AssocMaxSubmit", "hydra.launcher.submit_limit"),
    (r"account", "hydra.launcher.account or hydra.launcher.partition"),
    (r"partition", "hydra.launcher.partition or resources.partition"),
    (r"qos", "hydra.launcher.qos"),
    (r"feature", "hydra.launcher.constraint"),
    (r"gres|gpu", "hydra.launcher.gpus_per_node or hydra.launcher.gpu_type"),
    (r"memory", "hydra.launcher.mem_gb or resources.mem_gb"),
    (r"CPU count", "hydra.launcher.cpus_per_task or resources.cpus_per_task"),
    (r"time limit", "hydra.launcher.timeout_min or resources.timeout_min"),
    (r"node configuration", "hydra.launcher.cpus_per_task, mem_gb, gpus_per_node, gpu_type or constraint"),
    (r"array", "hydra.launcher.max_array_size"),
    (r"unrecognized option|invalid option|ambiguous", "hydra.launcher.sbatch"),
)
NO_ANSWER = re.compile(r"contact slurm controller|communicat|connect|timed out|socket|munge|authent", re.IGNORECASE)
ADVICE = re.compile(r'^Try "?sbatch --help')


def refusal(said: str, asked: str) -> UserError:
    """Word the refusal of an array; `said` is what sbatch printed, `asked` what the jobs asked for."""
    lines = [re.sub(r"^error: ", "", line.removeprefix("sbatch: ")) for line in said.splitlines()
             if line.startswith("sbatch: ")]  # fmt: skip
    lines = [line for line in lines if line.strip() and not ADVICE.match(line)] or said.splitlines()[-1:]
    reason = "; ".join(dict.fromkeys(line.strip() for line in lines)) or "no word"
    if NO_ANSWER.search(reason):
        return UserError(
            f"SLURM takes no jobs now: {reason}", "an answer (`scontrol ping`)", "nothing; try again later"
        )
    key = next((key for words, key in KEYS if re.search(words, reason, re.IGNORECASE)), ANY_KEY)
    return UserError(f"SLURM refuses the jobs ({asked or 'defaults'}): {reason}", "an array that sbatch takes", key)
