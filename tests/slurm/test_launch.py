"""`train.py -m hydra/launcher=slurm` on a real cluster: what runs, in which order, and what the commands then say."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cluster import Cluster
from product import HELD, ROOT, Product, finish, record, wait_for

pytestmark = pytest.mark.slurm


def test_a_grid_runs_after_its_shared_parent_and_then_nothing_is_left_to_do(slurm: Cluster, tmp_path: Path) -> None:
    product = Product(slurm, tmp_path)
    grid = ("algo=ppo,apa", "heuristic=partial_sft", "heuristic.step_fraction=0.01", "runtime.checkpoint_every=5")
    first = product.sweep(*grid, gpus_per_node=1)
    assert first.code == 0, first
    parent_array, children_array = product.arrays()
    assert f"submitted array {parent_array['job_id']}: 1 job\n" in first.text
    assert f"submitted array {children_array['job_id']}: 2 jobs\n" in first.text
    assert [run["state"] for run in product.status()] == ["done"] * 3
    (parent,), children = product.folders("-sft-"), product.folders("partial_sft")
    assert all(record(child)["started"] > record(parent)["ended"] for child in children)
    for folder in (parent, *children):
        assert record(folder)["attempt"] == 1
        (attempt,) = record(folder, "env.json")["attempts"]
        assert attempt["hardware"]["cuda_visible_devices"] == "0"
        assert record(folder, "DONE")["cost"]["device"] == record(parent, "DONE")["cost"]["device"]
        log = product.cli("logs", folder.name[-12:-6])
        assert log.code == 0 and log.text == (folder / "log.txt").read_text() != ""
    again = product.sweep(*grid, gpus_per_node=1)
    assert again.code == 0, again
    assert "submitted" not in again.text
    assert len(product.arrays()) == 2


def test_jobs_of_different_resources_go_into_different_arrays(slurm: Cluster, tmp_path: Path) -> None:
    product = Product(slurm, tmp_path)
    grids = [
        "{seed: '0,1'}",
        "{seed: 2, resources.partition: urgent}",
        "{seed: 3, resources.cpus_per_task: 2}",
    ]
    answer = product.sweep(f"hydra.sweeper.grids=[{', '.join(grids)}]", "runtime.threads=null", HELD, wait=False)
    assert answer.code == 0, answer
    arrays = product.arrays()
    assert [len(array["keys"]) for array in arrays] == [2, 1, 1]
    fields = "--format=%F %P %C"
    lines = set(slurm.call("squeue", "--noheader", "--array", fields).splitlines())
    ids = [array["job_id"] for array in arrays]
    assert lines == {f"{ids[0]} main 1", f"{ids[1]} urgent 1", f"{ids[2]} main 2"}
    wide = Path(arrays[2]["folders"][0], "config.yaml").read_text()
    assert "threads: 2\n" in wide


def test_without_waiting_the_ids_are_printed_and_the_jobs_are_known_afterwards(slurm: Cluster, tmp_path: Path) -> None:
    product = Product(slurm, tmp_path)
    answer = product.sweep("seed=0,1", HELD, wait=False)
    assert answer.code == 0, answer
    (array,) = product.arrays()
    assert f"submitted array {array['job_id']}: 2 jobs\n" in answer.text
    assert {(run["state"], run["detail"]) for run in product.status()} == {("queued", "SLURM: pending, JobHeldUser")}
    table = product.cli("status")
    assert table.code == 0 and "2 runs: 2 queued" in table.text
    slurm.call("scancel", f"{array['job_id']}_1")
    assert product.states() == ["new", "queued"]
    one_more = product.sweep("seed=0,1", HELD, wait=False)
    assert one_more.code == 0, one_more
    assert [len(array["keys"]) for array in product.arrays()] == [2, 1]
    assert product.states() == ["queued", "queued"]


def test_waiting_jobs_run_what_was_submitted_whatever_is_edited_meanwhile(slurm: Cluster, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for part in ("src", "conf"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    git = ["git", "-C", str(copy), "-c", "user.name=test", "-c", "user.email=test@test.invalid"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "submitted"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    sha = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    stop, training = copy / "src/rftlab/stop.py", copy / "src/rftlab/build/training.py"
    stop.write_text(stop.read_text() + "# an edit before the submission\n")

    product = Product(slurm, tmp_path, copy)
    answer = product.sweep("seed=7", HELD, wait=False)
    assert answer.code == 0, answer
    (array,) = product.arrays()
    training.write_text("raise RuntimeError('an edit while the job waits')\n")
    train = copy / "conf/train.yaml"
    train.write_text(train.read_text().replace("n_logged: 8", "n_logged: 3"))
    subprocess.run([*git, "commit", "-q", "-a", "-m", "later"], check=True, capture_output=True)
    slurm.call("scontrol", "release", array["job_id"])

    (folder,) = product.folders()
    wait_for(lambda: record(folder).get("state") in ("done", "failed"))
    wait_for(lambda: not product.queue())
    assert record(folder, "DONE"), (folder / "log.txt").read_text()
    (attempt,) = record(folder, "env.json")["attempts"]
    assert attempt["git_sha"] == sha
    assert attempt["git_dirty"]
    assert "+# an edit before the submission" in attempt["git_diff"]
    assert "while the job waits" not in attempt["git_diff"]
    assert "n_logged: 8" in (folder / "config.yaml").read_text()


def test_what_is_over_the_limits_waits_for_room_and_is_submitted_once(slurm: Cluster, tmp_path: Path) -> None:
    product = Product(slurm, tmp_path)
    grid = ("seed=range(450)",)
    planned = product.sweep(*grid, "sweep.dry_run=true")
    assert planned.code == 0 and "450 jobs: 450 new" in planned.text, planned

    first = product.sweep(*grid, HELD, wait=False, submit_limit=150, max_array_size=60)
    assert first.code == 0 and "300 jobs wait for room (submit_limit)" in first.text, first
    assert [len(array["keys"]) for array in product.arrays()] == [60, 60, 30]
    process = product.start(*grid, HELD, submit_limit=150, max_array_size=60)
    ended: set[str] = set()
    while len(ended) < 450:
        queue = wait_for(lambda ended=ended: new if len(new := set(product.queue()) - ended) >= 150 else None)
        assert len(queue) == 150
        for array in product.arrays():
            for index, folder in enumerate(array["folders"]):
                if f"{array['job_id']}_{index}" in queue:
                    Path(folder, "DONE").write_text('{"final": {}}')  # nothing trains here
        ended |= queue
        slurm.call("scancel", *{task.split("_")[0] for task in queue})
    answer = finish(process)
    assert answer.code == 0, answer
    assert all(Path(folder, "DONE").exists() for folder in product.folders())
    keys = [key for array in product.arrays() for key in array["keys"]]
    assert len(keys) == len(set(keys)) == 450
