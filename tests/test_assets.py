"""Where the name of a model leads to: embedded, a mirror of the hub, a folder, the hub."""

from pathlib import Path

import pytest

from rftlab.assets import asset_folder, locate
from rftlab.errors import UserError

KEY = "model.policy.source"


def test_an_asset_is_the_embedded_folder(tmp_path: Path):
    assert locate("asset:t5_mini", tmp_path, KEY) == asset_folder("t5_mini")


@pytest.mark.parametrize("name", ["org/model", "model"])
def test_a_hub_id_is_looked_up_in_the_mirror_before_a_folder_of_that_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    assert locate(name, mirror, KEY) == name, "only the hub can have it"
    Path(name).mkdir(parents=True)
    assert locate(name, mirror, KEY) == locate(name, None, KEY) == Path(name)
    (mirror / name).mkdir(parents=True)
    assert locate(name, str(mirror), KEY) == mirror / name
    assert locate(Path(name), None, KEY) == Path(name)


@pytest.mark.parametrize("name", ["/nowhere/model", "./model", "~/model", "outputs/sweep/model"])
def test_what_only_a_folder_can_be_is_refused_where_there_is_none(name: str, tmp_path: Path):
    with pytest.raises(UserError, match="no folder") as error:
        locate(name, tmp_path, KEY)
    assert error.value.change == KEY


def test_an_unknown_asset_lists_the_known_ones():
    with pytest.raises(UserError, match=r"gpt2_mini, sentiment, t5_mini, tokenizer"):
        locate("asset:nothing", None, KEY)
