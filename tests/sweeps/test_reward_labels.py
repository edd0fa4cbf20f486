"""Board and status name a reward with its decoding: four rewards of one run are four words."""

import json
from pathlib import Path

from rftlab import runs
from rftlab.sweeps.outcome import summary
from rftlab.sweeps.progress import read_progress
from sweeps.jobs import make_job

ROLLOUT = {"temperature": 1.0, "top_k": 0, "top_p": 1.0}


def test_a_running_and_a_finished_run_show_rewards_of_different_names(tmp_path: Path) -> None:
    job = make_job(tmp_path, data={"rollout": ROLLOUT, "evaluation": {"num_beams": 4}})
    runs.freeze(job.folder, job.config)
    line = {"step": 3, "metrics": {"reward/mean": 0.25, "policy/kl": 1.0}}
    (job.folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    progress = read_progress(job.folder)
    assert progress is not None
    assert progress.in_words(runs.flatten(job.config)) == "rollout reward (sampled) 0.250  policy/kl 1.000"
    final = {"eval/train/reward": 0.1, "eval/test/reward": 0.2, "policy/kl": 1.0}
    assert summary(final, job.config) == "train reward (4 beams) 0.100, test reward (4 beams) 0.200, policy/kl 1.000"


def test_rewards_of_labels_keep_the_names_of_their_metrics(tmp_path: Path) -> None:
    assert (
        summary({"eval/test/reward": 0.2}, make_job(tmp_path, data={"classes": 10}).config) == "eval/test/reward 0.200"
    )
