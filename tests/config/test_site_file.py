"""`conf/local/slurm.yaml`: every mistake is one line that names the file."""

from pathlib import Path

import pytest

from rftlab.config.site_file import check_site_file
from rftlab.errors import UserError

MISTAKES = {
    "bad indentation": ("partition: gpu\n  account: mine\n", "line 2"),
    "a tab": ("partition: gpu\n\taccount: mine\n", "line 2"),
    "no colon": ("partition gpu\n", "'partition gpu'"),
    "a key of sbatch": ("exclude: node7\n", "sbatch"),
    "one line for a list": ("setup: module load cuda\n", "|| exit 1"),
    "a time as sbatch writes it": ("timeout_min: 4:00:00\n", "minutes"),
    "a word for a number": ("timeout_min: long\n", "timeout_min: long"),
    "a list for a name": ("partition: [a, b]\n", "partition: ['a', 'b']"),
    "a key twice": ("partition: a\npartition: b\n", "line 2"),
    "minutes to base 60": (
        "sbatch:\n  time-min: 1:30:00\n",
        "line 2: sbatch: time-min: 1:30:00, which YAML reads as 5400",
    ),
    "an octal number": ("sbatch: {nice: 0100}\n", "expected '0100' in quotes"),
    "a number that is written otherwise": ("sbatch: {reservation: 1.10}\n", "expected '1.10' in quotes"),
    "a digit group": ("sbatch: {reservation: 2026_11}\n", "which YAML reads as 202611; expected '2026_11' in quotes"),
    "an exponent": ("sbatch: {comment: 1e3}\n", "expected '1e3' in quotes"),
    "a word for no": ("sbatch: {propagate: no}\n", "expected 'no' in quotes, or true for an option"),
    "words for options": ("sbatch: --exclude=node7\n", "{exclude: node7}"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_name_the_file(tmp_path: Path, mistake: str) -> None:
    text, named = MISTAKES[mistake]
    path = tmp_path / "conf" / "local" / "slurm.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(UserError) as error:
        check_site_file(path)
    assert "conf/local/slurm.yaml" in str(error.value) and named in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing yet\n",
        "partition: gpu\nsetup: [module load cuda]\nsbatch: {exclude: n7}\n",
        "sbatch: {time-min: '1:30:00', nice: 100, exclusive: true, mail-type: 'no'}\n",
    ],
)
def test_a_good_file_passes(tmp_path: Path, text: str) -> None:
    path = tmp_path / "slurm.yaml"
    check_site_file(path)
    path.write_text(text)
    check_site_file(path)
