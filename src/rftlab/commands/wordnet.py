"""Put WordNet where METEOR finds it: `python -m rftlab.commands.wordnet [--to FOLDER] [--package FILE.deb]`.

Debian's package `wordnet-base` holds WordNet 3.0. It is downloaded and unpacked, not installed, so that no rights are
needed. Two files that nltk also opens are not in it: the names of the lexicographer files, which are written here in
WordNet's order, and an index that METEOR never reads.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rftlab.errors import BAD_INPUT, Parser, UserError
from rftlab.place import as_typed

PACKAGE = "wordnet-base"
WITHIN = Path("usr/share/wordnet")
PLACE = Path("corpora/wordnet")  # below one of nltk's folders
WANTED = tuple(f"{kind}.{part}" for kind in ("data", "index") for part in ("adj", "adv", "noun", "verb"))
NOUNS = (
    "Tops act animal artifact attribute body cognition communication event feeling food group location motive object "
    "person phenomenon plant possession process quantity relation shape state substance time"
)
VERBS = (
    "body change cognition communication competition consumption contact creation emotion motion perception possession "
    "social stative weather"
)
NAMES = (
    *("adj.all", "adj.pert", "adv.all"),
    *(f"noun.{word}" for word in NOUNS.split()),
    *(f"verb.{word}" for word in VERBS.split()),
    "adj.ppl",
)
NUMBERS = {"noun": 1, "verb": 2, "adj": 3, "adv": 4}  # of the parts of speech


def lexnames() -> str:
    """Return the lexicographer files of WordNet as it lists them: number, name and part of speech, one a line."""
    rows = (f"{i:02d}\t{name}\t{NUMBERS[name.partition('.')[0]]}\n" for i, name in enumerate(NAMES))
    return "".join(rows)


def fill(files: Path, folder: Path) -> None:
    """Copy WordNet's files to a folder that nltk reads, and write those that are missing.

    Raises:
        UserError: The files are not WordNet's.
    """
    if missing := [name for name in WANTED if not (files / name).is_file()]:
        raise UserError(f"no {missing[0]} in {files}", f"WordNet's files, as in {PACKAGE}", "--package")
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(files.iterdir()):
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
    (folder / "lexnames").write_text(lexnames())
    (folder / "index.sense").touch()


def _downloaded(folder: Path) -> Path:
    """Download the package to a folder.

    Raises:
        UserError: There is no `apt-get`, or it cannot.
    """
    expected = f"Debian or Ubuntu with a network, or {PACKAGE} as a file"
    _run(["apt-get", "download", "-q", PACKAGE], folder, expected)
    found = sorted(folder.glob("*.deb"))
    if not found:
        raise UserError(f"apt-get brought no {PACKAGE}", expected, "--package FILE.deb")
    return found[0]


def _run(command: list[str], folder: Path, expected: str) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError(f"no {command[0]}", expected, "--package FILE.deb") from None
    if done.returncode:
        said = " ".join((done.stderr.strip().splitlines() or ["no word why"])[-1].split())
        raise UserError(f"{' '.join(command)} failed: {said}", expected, "--package FILE.deb")


def _default() -> Path:
    """Return the first folder of NLTK_DATA, or that of the environment, which nltk looks into as well."""
    said = os.environ.get("NLTK_DATA", "").split(os.pathsep)[0]
    return Path(said) if said else Path(sys.prefix) / "nltk_data"


def main() -> None:
    """Get WordNet; exit code 2 where it cannot be had."""
    parser = Parser(prog=as_typed("python -m rftlab.commands.wordnet"), description=__doc__)
    parser.add_argument("--to", type=Path, default=_default(), help="one of nltk's folders (default: %(default)s)")
    parser.add_argument("--package", type=Path, help=f"{PACKAGE}_3.0-..._all.deb, where it is there already")
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            package = _downloaded(folder) if arguments.package is None else arguments.package.absolute()
            _run(["dpkg-deb", "-x", str(package), str(folder / "files")], folder, f"{PACKAGE}, a package of Debian")
            fill(folder / "files" / WITHIN, arguments.to / PLACE)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    print(f"WordNet 3.0 is in {arguments.to / PLACE}")


if __name__ == "__main__":
    main()
