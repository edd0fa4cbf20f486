"""Static pages: one HTML file each, with no script, no network and every picture inside.

`templates/base.html.j2` is the frame of all pages, `templates/parts.html.j2` holds tables, figures and commands. What a
page is given is text: everything is escaped, as a response of a model may be markup.
"""

import base64
import os
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def _seen(value: Any) -> Any:
    """Put a sign in the place of each character that nobody can see: one may turn round the text behind it."""
    if not isinstance(value, str) or hasattr(value, "__html__") or value.isprintable():
        return value
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}" for letter in value
    )


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    finalize=_seen,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def render(template: str, **content: Any) -> str:
    """Fill a template; a name that it lacks is an error."""
    return _TEMPLATES.get_template(template).render(**content)


def write(page: str, path: Path) -> None:
    """Write a page whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(page.encode("utf-8"))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def embedded(picture: bytes, kind: Literal["png", "svg+xml"]) -> str:
    """Return the address of a picture that the page itself holds."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
