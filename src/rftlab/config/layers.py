"""Where a config file is read from: the user's own `conf/` and `sweeps/` in the working directory, then rftlab's.

A file is named `GROUP/NAME`, as in Hydra. Files outside of groups (`train.yaml`) are rftlab's alone.
"""

from collections.abc import Iterator
from pathlib import Path

from rftlab.errors import UserError
from rftlab.place import CONF

SWEEP, SWEEPS = "sweep", Path("sweeps")


def find(root: Path, file: str) -> Path:
    """Return the file that `GROUP/NAME` stands for: the first one that there is, or where the last one would be."""
    places = [folder / f"{name}.yaml" for folder, name in _places(root, file)]
    return next((path for path in places if path.is_file()), places[-1])


def folders(root: Path, group: str) -> list[Path]:
    """Return the folders that hold the files of a group, the user's own first."""
    return [path for folder, name in _places(root, f"{group}/") if (path := folder / name).is_dir()]


def names(root: Path, group: str) -> list[str]:
    """Return the names of the files of a group, sorted; those in folders of it have these before them."""
    found = [(folder, path) for folder in folders(root, group) for path in folder.rglob("*.yaml")]
    return sorted({str(path.relative_to(folder).with_suffix("")) for folder, path in found})


def refuse_own(root: Path, file: str) -> None:
    """Refuse a file of the user's own in the place of one outside of groups, as it would not be heeded.

    That of a checkout, in which the program was started, is no other file.

    Raises:
        UserError: There is one.
    """
    if "/" in file or (own := _own(root)) is None or not (path := own / f"{file}.yaml").is_file():
        return
    if path.read_bytes() != (root / path.name).read_bytes():
        expected = "files of groups there (conf/GROUP/NAME.yaml), as this one is rftlab's alone"
        raise UserError(f"{path}, a file of your own", expected, f"its name, or the working directory ({Path.cwd()})")


def _places(root: Path, file: str) -> Iterator[tuple[Path, str]]:
    """Yield every folder that a file may lie in, with its path there."""
    group, slash, name = file.partition("/")
    if slash and (own := _own(root)) is not None:
        if group == SWEEP:
            yield SWEEPS, name
        yield own, file
    yield root, file


def _own(root: Path) -> Path | None:
    """Return the user's own `conf/`, which goes before rftlab's and no other; None in a checkout, where it is that."""
    own = Path(CONF.name)
    return None if root != CONF or (own.exists() and own.samefile(CONF)) else own
