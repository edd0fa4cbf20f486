"""A run is done with the rows that it has seen: the same key with other rows is refused in one line."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from config.test_config import plan
from data.members import MEMBERS, write

from rftlab import runs
from rftlab.build import labs
from rftlab.errors import UserError
from rftlab.launch import single
from rftlab.launch.rows import check_rows
from rftlab.runs import rows
from rftlab.stop import StopFlag
from rftlab.sweeps.job import Job

DATA = ["narrativeqa", "stsb"]


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Job]:
    """Make a finished run on the rows of a mirror, which are those of a seed."""

    def make(name: str, mirror: str, seed: int, done: bool = True) -> Job:
        member = next(member for member in MEMBERS if member.name == name)
        splits = {s: [dict(r) for r in member.record.bundled(seed, s)[:30]] for s in member.hub_splits()}
        write(tmp_path / mirror / "org" / "set", splits)
        limits = [f"data.loader.{key}=null" for key in member.keys if key.startswith("n_")]
        job = plan(
            f"data={name}", "algo=sft", "data.source=hub", "data.loader.hub_id=org/set", *limits,
            "data.loader.hub_config=default", f"paths.hub_mirror={tmp_path / mirror}",
            f"paths.outputs={tmp_path / 'out'}",
        )  # fmt: skip
        if done:
            with runs.Run.claim(job.folder, job.config) as run:
                runs.note_rows(job.folder, job.config, labs.rows_of(job.config))
                run.finish({"reward": 0.5})
        return job

    return make


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count how often rows are read for a comparison."""
    seen: list[str] = []
    true = labs.rows_of
    monkeypatch.setattr(labs, "rows_of", lambda config: seen.append(config["data"]["name"]) or true(config))
    return seen


def execute(job: Job) -> dict[str, float]:
    return single.execute(Job(config=job.config, key=job.key, folder=job.folder, parents=()), StopFlag())


@pytest.mark.parametrize("name", DATA)
def test_a_finished_run_is_no_answer_for_another_mirror(made: Callable[..., Job], name: str) -> None:
    first, second = made(name, "one", 0), made(name, "two", 5, done=False)
    assert first.key == second.key
    assert execute(first) == {"reward": 0.5}
    found = r"was made with other rows under the same key \(different: train, .*change paths\.hub_mirror"
    with pytest.raises(UserError, match=found):
        execute(second)


@pytest.mark.parametrize("name", DATA)
def test_a_finished_run_is_no_answer_once_its_mirror_has_changed(made: Callable[..., Job], name: str) -> None:
    job = made(name, "one", 0)
    made(name, "one", 5, done=False)
    with pytest.raises(UserError, match="other rows under the same key"):
        execute(job)
    made(name, "one", 0, done=False)  # back again, in other files
    assert execute(job) == {"reward": 0.5}


def test_a_copy_of_a_mirror_has_the_same_rows(made: Callable[..., Job]) -> None:
    made("stsb", "one", 0)
    assert execute(made("stsb", "two", 0, done=False)) == {"reward": 0.5}


def test_the_files_of_a_mirror_are_seen_through_linked_folders(made: Callable[..., Job], tmp_path: Path) -> None:
    job = made("stsb", "one", 0, done=False)
    (tmp_path / "one" / "org" / "set").rename(tmp_path / "elsewhere")
    (tmp_path / "one" / "org" / "set").mkdir()
    for path in (tmp_path / "elsewhere").iterdir():
        if path.suffix != ".parquet":
            path.rename(tmp_path / "one" / "org" / "set" / path.name)
    (tmp_path / "one" / "org" / "set" / "data").symlink_to(tmp_path / "elsewhere")
    before = runs.stamp(job.config)
    assert before is not None and "data/train.parquet" in before["files"]
    os.utime(tmp_path / "elsewhere" / "train.parquet", ns=(1, 1))
    assert runs.stamp(job.config) != before


OWN = """
from pathlib import Path
from rftlab.types import Example, Splits

def load(folder, source, hub_mirror):
    rows = [Example(id="a", prompt=path.read_text(), targets=("x",)) for path in sorted(Path(folder).iterdir())]
    return Splits(train=rows, validation=rows, test=rows, source=source)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Give a job whose rows a loader of the user's own has read from a folder."""
    (tmp_path / "rows_of_mine.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("first")
    job = plan("data=stsb", "algo=sft", f"paths.outputs={tmp_path / 'out'}")
    job.config["data"]["loader"] = {"_target_": "rows_of_mine.load", "folder": str(tmp_path / "texts")}
    job.folder.mkdir(parents=True)
    runs.note_rows(job.folder, job.config, labs.rows_of(job.config))
    return job


def test_rows_of_an_own_loader_are_read_again_and_refused_with_what_its_user_can_do(
    own: Job, reads: list[str], tmp_path: Path
) -> None:
    check_rows([(own.config, own.folder)] * 3)
    assert reads == ["stsb"]
    (tmp_path / "texts" / "a.txt").write_text("edited")
    with pytest.raises(UserError, match="other rows") as refused:
        check_rows([(own.config, own.folder)])
    assert "change what the loader reads back" in str(refused.value) and "hub" not in str(refused.value)


def test_rows_of_an_own_loader_that_cannot_be_read_again_are_refused_in_one_line(own: Job, tmp_path: Path) -> None:
    (tmp_path / "texts").rename(tmp_path / "moved")
    with pytest.raises(UserError, match=r"cannot be read again \(FileNotFoundError"):
        check_rows([(own.config, own.folder)])


def test_a_part_of_the_users_own_makes_a_loader_his() -> None:
    data = plan("data=stsb", "algo=sft").config["data"]
    assert not runs.own_loader(data)
    assert runs.own_loader({**data, "loader": {**data["loader"], "record": {"_target_": "mine.Record"}}})


def test_unchanged_files_are_not_read_and_changed_ones_once_for_all_runs(
    made: Callable[..., Job], reads: list[str], tmp_path: Path
) -> None:
    job = made("stsb", "one", 0)
    reads.clear()
    check_rows([(job.config, job.folder)] * 50)
    assert not reads
    os.utime(tmp_path / "one" / "org" / "set" / "train.parquet", ns=(1, 1))
    check_rows([(job.config, job.folder)] * 50)
    assert reads == ["stsb"]


def test_of_generated_rows_the_code_is_compared_first_and_then_the_rows(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = plan("data=stsb", "algo=sft", "data.loader.n_train=30", f"paths.outputs={tmp_path}")
    job.folder.mkdir(parents=True)
    runs.note_rows(job.folder, job.config, labs.rows_of(job.config))
    reads.clear()
    check_rows([(job.config, job.folder)])
    assert not reads
    monkeypatch.setattr(rows, "_code", lambda: "edited")
    check_rows([(job.config, job.folder)])  # a comment, say: the rows are the same
    assert reads == ["stsb"]
    record = json.loads((job.folder / runs.ROWS).read_text())
    record["rows"]["train"] = "0" * 16
    (job.folder / runs.ROWS).write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"different: train\).*change the code in rftlab/data"):
        check_rows([(job.config, job.folder)])


def test_a_resume_on_other_rows_is_refused_and_the_record_stays(made: Callable[..., Job]) -> None:
    first, second = made("stsb", "one", 0), made("stsb", "two", 5, done=False)
    before = runs.read_rows(first.folder)
    with pytest.raises(UserError, match="other rows"):
        runs.note_rows(first.folder, second.config, labs.rows_of(second.config))
    assert runs.read_rows(first.folder) == before
    assert runs.read_run(first.folder).rows == (before or {})["rows"]


def test_runs_that_kept_no_rows_and_data_without_rows_are_left_alone(tmp_path: Path) -> None:
    check_rows(
        [(plan("data=stsb", "algo=sft").config, tmp_path), (plan("experiment=theory/ppo_gradient").config, tmp_path)]
    )
    assert runs.stamp(plan("experiment=theory/ppo_gradient").config) is None


def test_order_texts_labels_and_pixels_are_all_part_of_a_fingerprint() -> None:
    from rftlab.data.parts.fingerprint import fingerprint
    from rftlab.types import Example, LabelSet, LabelSplits, Splits

    def texts(*prompts: str, targets: tuple[str, ...] = ("x",)) -> Splits:
        train = [Example(id="a", prompt=prompt, targets=targets) for prompt in prompts]
        return Splits(train=train, validation=train[:1], test=[], source="hub")

    one = fingerprint(texts("p", "q"))
    assert one == fingerprint(texts("p", "q"))
    for other in (texts("q", "p"), texts("p"), texts("p", "q", targets=("x", "y")), texts("p", "q", targets=("xy",))):
        assert fingerprint(other)["train"] != one["train"]
    import torch

    def labelled(value: float, label: int) -> LabelSplits:
        part = LabelSet(inputs=torch.full((2, 1, 2, 2), value), labels=torch.tensor([label, 0]))
        return LabelSplits(train=part, test=part, source="hub")

    base = fingerprint(labelled(0.5, 1))
    assert fingerprint(labelled(0.5, 0)) != base != fingerprint(labelled(np.nextafter(np.float32(0.5), 1.0), 1))
