"""What `sbatch` says when it refuses, with the key that its words are about."""

import re

from rftlab.errors import UserError
from rftlab.sweeps.slurm.scheduler import NO_CLUSTER, plain

ANY_KEY = "hydra.launcher"
# SLURM's one sentence for every limit of an account or a QOS; the line before it names the limit
ANY_LIMIT = re.compile(r"Job violates accounting/QOS policy(?: \([^)]*\))?")
LIMITS = "hydra.launcher.qos, account or submit_limit"
KEYS = (  # the first whose words occur
    (r"MaxSubmit", "hydra.launcher.submit_limit"),
    (r"Wall|time limit", "hydra.launcher.timeout_min or resources.timeout_min"),
    (r"gres|gpu", "hydra.launcher.gpus_per_node or hydra.launcher.gpu_type"),
    (r"mem(?!ber)", "hydra.launcher.mem_gb or resources.mem_gb"),
    (r"cpu", "hydra.launcher.cpus_per_task or resources.cpus_per_task"),
    (r"account", "hydra.launcher.account or hydra.launcher.partition"),
    (r"partition", "hydra.launcher.partition or resources.partition"),
    (r"qos|assoc", LIMITS),
    (r"feature", "hydra.launcher.constraint"),
    (r"node configuration", "hydra.launcher.cpus_per_task, mem_gb, gpus_per_node, gpu_type or constraint"),
    (r"array", "hydra.launcher.max_array_size"),
    (r"unrecognized option|invalid option|ambiguous", "hydra.launcher.sbatch"),
)
NO_ANSWER = re.compile(r"contact slurm controller|communicat|connect|timed out|socket|munge|authent", re.IGNORECASE)
ADVICE = re.compile(r'^Try "?sbatch --help')


class Refused(UserError):
    """A launch of which nothing was taken."""


def refusal(said: str, asked: str) -> Refused:
    """Word the refusal of an array; `said` is what sbatch printed, `asked` what the jobs asked for."""
    lines = [re.sub(r"^error: ", "", line.removeprefix("sbatch: ")) for line in said.splitlines()
             if line.startswith("sbatch: ")]  # fmt: skip
    lines = [line for line in lines if line.strip() and not ADVICE.match(line)] or said.splitlines()[-1:]
    reason = "; ".join(dict.fromkeys(line.strip() for line in lines)) or "no word"
    if NO_ANSWER.search(reason) or NO_CLUSTER.search(reason):
        return Refused(
            f"SLURM takes no jobs now: {plain(reason)}", "an answer (`scontrol ping`)", "nothing; try again later"
        )
    telling = ANY_LIMIT.sub("", reason)
    otherwise = ANY_KEY if telling == reason else LIMITS
    key = next((key for words, key in KEYS if re.search(words, telling, re.IGNORECASE)), otherwise)
    return Refused(f"SLURM refuses the jobs ({asked or 'defaults'}): {reason}", "an array that sbatch takes", key)
