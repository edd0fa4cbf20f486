"""What the documents name is there: files, folders, modules, and functions of the library."""

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "src" / "rftlab"
BASES = (ROOT, ROOT / "src", LIBRARY, LIBRARY / "loops", ROOT / "analysis", ROOT / "docs", ROOT / "conf")
RECIPES = "adding.md"  # its own test writes the files that it names
PAGES = [ROOT / "README.md", *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.name != RECIPES)]
DATED = {"log.md"} | {page.name for page in (ROOT / "docs" / "adr").glob("*.md")}  # they may speak of what was
KEYS = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()} | yaml.safe_load(
    (ROOT / "conf" / "train.yaml").read_text()
).keys()


def names(path: Path) -> Iterator[tuple[str, str]]:
    """List what a module defines, as (module, name), and what its classes do, as (class, name)."""
    nodes = ast.parse(path.read_text()).body
    for node in nodes:
        yield from ((path.stem, name) for name in defined(node))
        if isinstance(node, ast.ClassDef):
            yield from ((node.name, name) for part in node.body for name in defined(part))


def defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


DEFINED = {pair for folder in (LIBRARY, ROOT / "analysis") for path in folder.rglob("*.py") for pair in names(path)}
OWNERS = {owner for owner, _ in DEFINED}
ENDINGS = {"py", "yaml", "md", "json", "jsonl", "parquet", "txt", "pt", "db", "log", "csv"}
FIELDS = {("experience", name) for owner, name in DEFINED if owner == "Experience"}  # a variable of this name


def quoted(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))


def is_there(dotted: str) -> bool:
    """Say whether `rftlab.a.b` is a package, a module, or a name in one."""
    dotted = re.sub(r"(\.[A-Z_]+)\.\w+$", r"\1", dotted)  # a field of a constant: the constant is looked for
    place, last = (ROOT / "src").joinpath(*dotted.split(".")), dotted.split(".")[-1]
    if place.is_dir() or place.with_suffix(".py").exists():
        return True
    module = place.parent.with_suffix(".py")
    return module.exists() and (module.stem, last) in set(names(module))


def ids(page: Path) -> str:
    return page.name


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_exist(page: Path) -> None:
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", page.read_text()) if "://" not in link]
    assert not [link for link in links if link and not (page.parent / link).exists()]


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in DATED], ids=ids)
def test_files_and_folders_exist(page: Path) -> None:
    named = {word for word in quoted(page) if re.fullmatch(r"[\w/.]+/([\w.]+\.(py|yaml|md))?", word)}
    own = ("conf/", "src/", "docs/", "tests/", "analysis/", "bench/", "sweeps/")
    named = {word for word in named if not word.endswith("/") or word.startswith(own)}  # others are of run folders
    named = {word for word in named if not word.startswith("conf/local/") and not re.search(r"[A-Z]{2,}", word)}
    assert not [word for word in named if not any((base / word).exists() for base in BASES)]


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_names_of_the_library_exist(page: Path) -> None:
    """Check `rftlab.a.b`, `module.name` and `Class.name`; a word that begins with a key of the config is one."""
    words = {word.removesuffix("()") for word in quoted(page) if re.fullmatch(r"[A-Za-z_][\w]*(\.\w+)+(\(\))?", word)}
    full = {word for word in words if word.startswith("rftlab.")}
    short = {tuple(word.split(".")[-2:]) for word in words - full if word.split(".")[0] not in {*KEYS, "scales"}}
    short = {(owner, name) for owner, name in short if owner in OWNERS and name not in ENDINGS}
    lost = [word for word in full if not is_there(word)] + sorted(short - DEFINED - FIELDS)
    assert not lost


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_functions_of_tables_exist(page: Path) -> None:
    """A column that is headed `function` holds functions of the library."""
    known, column, lost = {name for _, name in DEFINED}, None, []
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else None
        if cells is None:
            column = None
        elif "function" in cells:
            column = cells.index("function")
        elif column is not None:
            lost += [word for word in re.findall(r"`([\w.]+)`", cells[column]) if word.split(".")[-1] not in known]
    assert not lost


def test_the_plan_on_the_page_of_clusters_is_what_its_command_prints(tmp_path: Path) -> None:
    """The keys of the page change with the identity of runs: write them again then."""
    page = (ROOT / "docs" / "cluster.md").read_text()
    found = re.search(r"    python (src/train\.py -m .*?sweep\.dry_run=true)\n\n(.*?)\n\n", page, flags=re.DOTALL)
    assert found is not None
    words = shlex.split(found.group(1).replace("\\\n", " "))
    command = [sys.executable, *words, f"paths.outputs={tmp_path}"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [line.split() for line in printed.splitlines()] == [line.split() for line in found.group(2).splitlines()]
