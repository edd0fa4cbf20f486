"""`uv.lock` and the Containerfile: versions that were tested together, from public places alone."""

import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "uv.lock").read_text()
TESTED = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
OTHERWISE = {"soupsieve"}  # its version in constraints.txt does not take every Python that rftlab takes
PUBLIC = {("pypi", "org"), ("files", "pythonhosted", "org")}  # where PyPI and its files are


def locked() -> dict[str, set[str]]:
    versions: dict[str, set[str]] = {}
    for package in tomllib.loads(LOCK)["package"]:
        versions.setdefault(package["name"], set()).add(package["version"])
    return versions


def test_the_lock_names_no_host_but_those_of_pypi() -> None:
    hosts = {urlsplit(address).hostname or "" for address in re.findall(r"\w+://[^\s\"']+", LOCK)}
    assert {tuple(host.split(".")) for host in hosts} == PUBLIC
    assert not re.search(r"path = |file:|find-links|directory = ", LOCK)


def test_the_lock_has_the_versions_that_were_tested_together() -> None:
    versions = locked()
    tested = {re.sub(r"[._]", "-", name).lower(): version for name, version in TESTED.items()}
    found = {name: versions[name] for name in tested if name in versions and name not in OTHERWISE}
    assert len(found) > 150
    assert found == {name: {tested[name]} for name in found}


def test_torch_is_locked_at_its_pin_and_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = locked()
    (pin,) = (text for text in project["dependencies"] if re.match(r"torch\b", text))
    assert pin == f"torch=={versions['torch'].pop()}"
    for text in project["dependencies"]:
        assert re.sub(r"[._]", "-", re.split(r"[<>=\[; ]", text)[0]).lower() in versions, text


def test_a_container_copies_what_a_wheel_is_built_from() -> None:
    text = (ROOT / "Containerfile").read_text()
    copied = {word for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE) for word in line.split()}
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {path.split("/")[0] for path in build["only-include"]} | {"pyproject.toml", "README.md", "LICENSE"}
    assert needed <= copied and all((ROOT / name).exists() for name in copied)
    assert "conf/local" in (ROOT / ".containerignore").read_text().split()  # what a site asks for stays there
    (pin,) = re.findall(r"torch==(\S+)", text)
    assert pin in locked()["torch"]
    assert 'CMD ["rftlab", "quickstart"]' in text
