"""What the documents name is there: files, folders, modules, and functions of the library."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BASES = (ROOT, ROOT / "src" / "rftlab", ROOT / "src" / "rftlab" / "loops", ROOT / "docs", ROOT / "conf")
HISTORY = {"log.md", "adding.md"}  # dated, and a guide whose files its own test writes
PAGES = [ROOT / "README.md", *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name not in HISTORY)]
DEFINED = {
    (path.stem, name)
    for path in (ROOT / "src" / "rftlab").rglob("*.py")
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.FunctionDef | ast.ClassDef)
    for name in (node.name,)
}
CLASSES = {
    (node.name, part.name if isinstance(part, ast.FunctionDef) else part.target.id)
    for path in (ROOT / "src" / "rftlab").rglob("*.py")
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.ClassDef)
    for part in node.body
    if isinstance(part, ast.FunctionDef) or (isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name))
}


def quoted(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_links_exist(page: Path) -> None:
    named = [word for word in quoted(page) if re.fullmatch(r"[\w/.]+\.(py|yaml|md)", word) and "/" in word]
    named = [word for word in named if not word.startswith("conf/local/") and not re.search(r"[A-Z]{2,}", word)]
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", page.read_text()) if "://" not in link]
    lost = [word for word in named if not any((base / word).exists() for base in BASES)]
    lost += [link for link in links if link and not (page.parent / link).exists()]
    assert not lost


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_functions_exist(page: Path) -> None:
    """A word `module.name` or `Class.name` of the library is defined there."""
    pairs = [word.removesuffix("()").split(".")[-2:] for word in quoted(page) if re.fullmatch(r"[\w.]+(\(\))?", word)]
    pairs = [(first, last) for first, last in (pair for pair in pairs if len(pair) == 2)]
    modules = ("ops", "types", "experience", "credit", "kl_control", "score_scaling")
    of_modules = [(m, n) for m, n in pairs if m in modules and n != "py"]
    of_classes = [(c, n) for c, n in pairs if c in {name for name, _ in CLASSES} and c[0].isupper()]
    fields = {("experience", name) for _, name in CLASSES}
    lost = [pair for pair in of_modules if pair not in DEFINED | fields] + [p for p in of_classes if p not in CLASSES]
    assert not lost
