"""A job runs the files of the user's own that its key stands for, or says which are others."""

from pathlib import Path

import pytest
from config.test_config import plan

from rftlab import runs
from rftlab.build import labs, training
from rftlab.config import sources
from rftlab.errors import UserError
from rftlab.stop import StopFlag


def test_a_job_refuses_files_edited_since_it_was_submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    job = plan("data=imdb", "algo=sft", "tracking=none", f"paths.outputs={tmp_path}", "runtime.device=cpu")
    config = {**job.config, "files": {**job.config.get("files", {}), str(model): "0" * sources.DIGITS}}
    config["model"] = {**config["model"], "policy": {**config["model"]["policy"], "source": str(model)}}
    monkeypatch.setattr(labs, "build", lambda *_: pytest.fail("the run began"))
    with pytest.raises(UserError, match=f"{model}, edited or moved since {job.folder.name} got its key"):
        training.train(config, job.folder, StopFlag(), mirror=False)
    assert runs.state_of(job.folder) == "failed"
    assert "edited or moved" in runs.read_run(job.folder).status["error"]
    again = {**config, "files": sources.own_files(config)}
    with pytest.raises(pytest.fail.Exception, match="the run began"):
        training.train(again, tmp_path / "other", StopFlag(), mirror=False)
