"""A sweep on one page: what it was asked, what came out, figures, samples, failures, versions: `docs/page.md`."""

from analysis.sweep_page.page import write

__all__ = ["write"]
