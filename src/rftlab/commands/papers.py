"""What the papers and their released code say, beside what the configs say: `python -m rftlab.commands.papers`.

The facts stand in `docs/papers.yaml`, each with its source; this writes `docs/papers.md` from them and from the configs
as they compose today. `parts` holds facts that several settings share; a setting names its parts, and a fact of its own
replaces one of the same key. The key of a fact is a key of the config, a constant of the library (`rftlab.a.B`), a sum
or product of such (`a * b // c`), or, if `here` says in words what happens here, any words.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf._utils import get_yaml_loader

from rftlab.config.compose import Composer
from rftlab.config.options import CONF

DOCS = CONF.parent / "docs"
FACTS, TABLE = DOCS / "papers.yaml", DOCS / "papers.md"
MISMATCH = "**differs**"
ABSENT = "no such key"  # a value of its own: it equals no published one
LIBRARY = "rftlab."


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A published value: its key here, unit, source; `here` in words where no key says it, `why` where it differs."""

    key: str
    there: Any
    source: str
    unit: str = ""
    here: str | None = None
    why: str | None = None


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A published experiment: the overrides that compose it here, and what is known of it."""

    title: str
    command: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table: a fact beside the value here, and whether they are one."""

    fact: Fact
    here: Any

    @property
    def same(self) -> bool:
        return self.fact.here is None and self.here == self.fact.there

    @property
    def verdict(self) -> str:
        """Say `same`, or why not; a difference without a reason, or a reason without a difference, is a mistake."""
        if self.same:
            return "same" if self.fact.why is None else MISMATCH
        return self.fact.why or ("same" if self.fact.here is not None else MISMATCH)


def settings() -> list[Setting]:
    """Read the facts.

    Raises:
        KeyError: A setting names a part that is not there.
        TypeError: A fact has a field that no fact has, or lacks one.
    """
    read = content()
    made = []
    for values in read["settings"]:
        facts: dict[str, Mapping[str, Any]] = {}
        for part in values.get("parts", ()):
            facts |= read["parts"][part]
        facts |= values.get("facts", {})
        known = tuple(Fact(key=key, **fact) for key, fact in facts.items())
        made.append(Setting(title=values["title"], command=values["command"], facts=known))
    return made


def content() -> Mapping[str, Any]:
    """Return what the file of facts says; 1e-6 is a number in it, and no key stands twice."""
    return yaml.load(FACTS.read_text(encoding="utf-8"), get_yaml_loader())


def rows(setting: Setting, config: Mapping[str, Any]) -> list[Row]:
    """Put the value of a composed config beside every fact of a setting."""
    here = (fact.here if fact.here is not None else value_of(fact.key, config) for fact in setting.facts)
    return [Row(fact=fact, here=value) for fact, value in zip(setting.facts, here, strict=True)]


def value_of(key: str, config: Mapping[str, Any]) -> Any:
    """Compute what a key of the config, a constant of the library, or a sum or product of these says; else `ABSENT`.

    Raises:
        ValueError: It is none of these.
    """
    try:
        return _computed(ast.parse(key, mode="eval").body, config)
    except LookupError:
        return ABSENT


def _computed(node: ast.expr, config: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=int() as number):
            return number
        case ast.BinOp(left=left, op=op, right=right):
            one, other = _number(left, config), _number(right, config)
            match op:
                case ast.Mult():
                    return one * other
                case ast.Add():
                    return one + other
                case ast.FloorDiv():
                    return one // other
        case ast.Name() | ast.Attribute():
            return _looked_up(ast.unparse(node), config)
    raise ValueError(f"{ast.unparse(node)} is no key, sum or product")


def _number(node: ast.expr, config: Mapping[str, Any]) -> int:
    value = _computed(node, config)
    if not isinstance(value, int):
        raise LookupError(ast.unparse(node))  # null: this setting counts in another unit
    return value


def _looked_up(key: str, config: Mapping[str, Any]) -> Any:
    if key.startswith(LIBRARY):
        value = resolve_name(key)
        return list(value) if isinstance(value, tuple) else value
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, Mapping):
            raise LookupError(key)
        node = node[part]
    return node


def compared() -> Iterator[tuple[Setting, list[Row]]]:
    """Compose every setting and compare it."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composer = Composer(GlobalHydra.instance().config_loader())
        for setting in settings():
            yield setting, rows(setting, composer.job(setting.command.split()).config)


def page(pairs: Iterable[tuple[Setting, Sequence[Row]]]) -> str:
    """Write the page of settings with their rows."""
    return "\n".join(_lines(content(), pairs)) + "\n"


def _lines(read: Mapping[str, Any], pairs: Iterable[tuple[Setting, Sequence[Row]]]) -> Iterator[str]:
    yield from ("# Values of the papers, and values here", "")
    yield from ("<!-- Written by `python -m rftlab.commands.papers` from docs/papers.yaml and conf/. -->", "")
    yield from (read["introduction"].strip(), "")
    for setting, compared_rows in pairs:
        yield from (f"## {setting.title}", "", f"    python src/train.py {setting.command}", "")
        yield "| value | there | here | unit | source | same? |"
        yield "|---|---|---|---|---|---|"
        yield from map(_line, compared_rows)
        yield ""
    yield from ("## Without a config here", "", "| what | values there | why not yet |", "|---|---|---|")
    yield from (
        f"| {_cell(item['what'])} | {_cell(item['there'])} | {_cell(item['why'])} |" for item in read["missing"]
    )


def _line(row: Row) -> str:
    fact = row.fact
    name = fact.key if fact.here is not None else f"`{fact.key}`"
    cells = (name, shown(fact.there), shown(row.here), fact.unit, fact.source, row.verdict)
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def shown(value: Any) -> str:
    """Write a value as a reader would: 20,000, 2e-6, null."""
    match value:
        case None | bool():
            return str(yaml.safe_dump(value).split()[0])
        case int():
            return f"{value:,}"
        case float():
            return f"{value:g}".replace("e-0", "e-")
        case list():
            return ", ".join(map(shown, value))
    return str(value)


def main() -> None:
    """Write the page anew."""
    TABLE.write_text(page(compared()), encoding="utf-8")


if __name__ == "__main__":
    main()
