"""The report as one HTML file: no script, no network, pictures inside."""

from html import escape

import pandas as pd

from analysis.preflight import contents as said
from analysis.preflight.contents import Contents, Example, Row

CSS = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; max-width: 62rem; margin: 0 auto;
  padding: 1rem 1.2rem 3rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .6rem 0; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #ddd; padding-bottom: .2rem; }
h3 { font-size: 1rem; margin: .8rem 0 .4rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .6rem 0; }
dt { color: #5a5a5a; } dd { margin: 0; }
.note { color: #444; font-size: .93rem; margin: .4rem 0; }
.verdict { background: #eef4fa; border-left: 4px solid #0173b2; padding: .6rem 1rem; margin: 1rem 0; }
.verdict h2 { border: 0; margin: 0 0 .3rem; }
.verdict p { margin: .3rem 0; }
pre { background: #f3f3f3; padding: .5rem .7rem; margin: .2rem 0 .6rem; white-space: pre-wrap; font-size: .85rem; }
.wide { overflow-x: auto; } .wide th, .wide td { overflow-wrap: break-word; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .22rem .8rem .22rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #eee; }
th { font-weight: 600; color: #5a5a5a; } .n { text-align: right; white-space: nowrap; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 1rem 1.5rem; }
.two > * { min-width: 0; }
figure { margin: 0; max-width: 32rem; } img { width: 100%; height: auto; display: block; }
.example { border: 1px solid #ddd; border-radius: 6px; padding: .5rem .8rem; margin: 0 0 .8rem; font-size: .9rem; }
.example p { margin: 0 0 .4rem; } .example table { width: 100%; } .example td.n { width: 4rem; }
.small { color: #5a5a5a; font-size: .85rem; }
"""


def page(contents: Contents, panels: list[tuple[str, str, str]]) -> str:
    """Write the page; `panels` are what `plots.page_panels` returns. Everything that was sampled is escaped."""
    setting = contents.setting
    parts = [
        f"<h1>{escape(said.title(setting))}</h1>",
        _pairs(said.header(contents)),
        _note(said.disclaimer(setting)),
        _verdict(contents),
        _section("Distribution of the reward over prompts", _pictures(panels, "gradients", inside=False)),
        _section("Prompts with a vanishing expected gradient", _numbers(said.shares(contents))),
        _section("Averages and low percentiles", _numbers(said.moments(contents.summary))),
        _section("Sampling error", _numbers(said.errors(contents.summary.error)), *_notes(said.error_notes(contents))),
        _gradients(contents, panels),
        _examples(contents),
    ]
    head = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(said.title(setting))}</title><style>{CSS}</style></head>"
    )
    return f"{head}\n<body>\n" + "\n".join(part for part in parts if part) + "\n</body></html>\n"


def _section(heading: str, *parts: str) -> str:
    return f"<h2>{escape(heading)}</h2>\n" + "\n".join(parts)


def _note(words: str) -> str:
    return f'<p class="note">{escape(words)}</p>'


def _notes(sentences: list[str]) -> list[str]:
    return [_note(words) for words in sentences]


def _pairs(rows: list[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows) + "</dl>"


def _verdict(contents: Contents) -> str:
    """Write the verdict with its commands."""
    said_so = "".join(f"<p>{escape(sentence)}</p>" for sentence in contents.verdict.sentences)
    commands = "".join(
        f'<p class="small">{escape(purpose)}</p><pre>{escape(command)}</pre>' for purpose, command in contents.commands
    )
    small = "".join(f'<p class="small">{escape(note)}</p>' for note in said.basis(contents))
    return f'<div class="verdict"><h2>Verdict: {escape(contents.verdict.kind)}</h2>{said_so}{commands}{small}</div>'


def _pictures(panels: list[tuple[str, str, str]], name: str, inside: bool) -> str:
    """Embed the panel of this name, or all others."""
    pictures = [
        f'<figure><img alt="{escape(shows)}" src="data:image/png;base64,{picture}"></figure>'
        for panel, shows, picture in panels
        if (panel == name) is inside
    ]
    return f'<div class="two">{"".join(pictures)}</div>'


def _numbers(rows: list[Row]) -> str:
    """Write numbers with their intervals."""
    if not rows:
        return ""
    intervals = any(row.interval for row in rows)
    header = '<th class="n">95 % interval</th>' if intervals else ""
    body = "".join(
        f'<tr><td>{escape(row.label)}</td><td class="n">{escape(row.value)}</td>'
        + (f'<td class="n">{escape(row.interval)}</td></tr>' if intervals else "</tr>")
        for row in rows
    )
    return f'<div class="wide"><table><tr><th></th><th class="n">value</th>{header}</tr>{body}</table></div>'


def _gradients(contents: Contents, panels: list[tuple[str, str, str]]) -> str:
    """Write the measured gradients, if there are any."""
    cases = said.cases(contents.measured)
    if cases.empty:
        return ""
    notes = _notes(said.gradient_notes(contents))
    picture = _pictures(panels, "gradients", inside=True)
    return _section("Measured gradients and their bounds", _frame(cases), *notes, picture)


def _frame(frame: pd.DataFrame) -> str:
    """Write a table of text, its first column to the left."""
    kinds = ["", *[' class="n"'] * (frame.shape[1] - 1)]
    header = "".join(f"<th{kind}>{escape(str(name))}</th>" for kind, name in zip(kinds, frame.columns, strict=True))
    lines = "".join(
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in frame.itertuples(index=False)
    )
    return f'<div class="wide"><table><tr>{header}</tr>{lines}</table></div>'


def _examples(contents: Contents) -> str:
    """Write the prompts at both ends beside each other."""
    smallest, largest = said.examples(contents.measured)
    if not smallest:
        return ""
    columns = "".join(
        f"<div><h3>{heading}</h3>{''.join(map(_example, examples))}</div>"
        for heading, examples in (("Smallest reward std", smallest), ("Largest reward std", largest))
        if examples
    )
    return _section("Examples", f'<div class="two">{columns}</div>')


def _example(example: Example) -> str:
    """Write a prompt over its responses."""
    responses = "".join(
        f'<tr><td class="n">{score:.3f}</td><td>{escape(text)}{f" <b>{count} times</b>" if count > 1 else ""}</td></tr>'
        for text, score, count in example.responses
    )
    facts = f"{escape(example.prompt_id)}: mean {example.mean:.3f}, std {example.std:.3f}"
    return (
        f'<div class="example"><p>{escape(example.prompt)}</p><p class="small">{facts}</p>'
        f"<table>{responses}</table></div>"
    )
