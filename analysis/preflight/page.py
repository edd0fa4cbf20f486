"""The report as one HTML file: no script, no network, pictures inside."""

from dataclasses import dataclass

from analysis import pages
from analysis.preflight import contents as said
from analysis.preflight.contents import Contents


@dataclass(frozen=True)
class Panel:
    """A picture of the page."""

    name: str
    alt: str  # what it shows
    address: str  # of the picture, inside the page


def page(contents: Contents, panels: list[tuple[str, str, str]]) -> str:
    """Write the page; `panels` are what `plots.page_panels` returns. Everything that was sampled is escaped."""
    smallest, largest = said.examples(contents.measured)
    cases = said.cases(contents.measured)
    return pages.render(
        "preflight.html.j2",
        title=said.title(contents.setting),
        header=said.header(contents),
        disclaimer=said.disclaimer(contents.setting),
        verdict=contents.verdict,
        commands=contents.commands,
        basis=said.basis(contents),
        panels=[Panel(name, shows, f"data:image/png;base64,{picture}") for name, shows, picture in panels],
        shares=said.shares(contents),
        moments=said.moments(contents.summary),
        errors=said.errors(contents.summary.error),
        error_notes=said.error_notes(contents),
        cases=None if cases.empty else {"columns": list(cases.columns), "rows": cases.to_numpy().tolist()},
        gradient_notes=said.gradient_notes(contents),
        smallest=smallest,
        largest=largest,
    )
