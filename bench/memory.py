"""Peak memory of training one algorithm beside another, above what the imports take.

    python bench/memory.py ppo reinforce [OVERRIDE ...]

Each run has a process of its own, of one thread, and the same overrides: two iterations on bundled IMDB with gpt2_mini,
in minibatches of 64 responses. Without evaluation and reward statistics, which are the same for every algorithm.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OVERRIDES = [
    "data=imdb", "algo.loop.iterations=2", "algo.loop.minibatch_size=64", "algo.loop.microbatch_size=64",
    "eval.n_train=1", "eval.n_validation=1", "eval.n_test=1", "eval.probe_prompts=1", "tracking=none",
    "runtime.threads=1", "runtime.progress=never",
]  # fmt: skip
RUN = """
import resource, sys
import rftlab.launch.libraries
from rftlab.commands.train import main
imported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
main()
print("MEMORY", imported, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_mib(algo: str, overrides: list[str]) -> float:
    """Train in a process of its own and return its peak resident size above that of the imports, in MiB."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    with tempfile.TemporaryDirectory() as outputs:
        arguments = [f"algo={algo}", *OVERRIDES, *overrides, f"paths.outputs={outputs}"]
        done = subprocess.run(
            [sys.executable, "-c", RUN, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
        )
    if done.returncode:
        sys.exit(done.stderr)
    imported, peak = (int(word) for word in done.stdout.rsplit("MEMORY", 1)[1].split())
    return (peak - imported) / 1024


def main() -> None:
    """Print the peak of each algorithm and its ratio to the first one's."""
    algos = [word for word in sys.argv[1:] if "=" not in word]
    overrides = [word for word in sys.argv[1:] if "=" in word]
    first = None
    for algo in algos:
        mib = peak_mib(algo, overrides)
        first = first or mib
        print(f"{algo:12} {mib:8.1f} MiB above the imports  {mib / first:5.2f} of {algos[0]}")


if __name__ == "__main__":
    main()
