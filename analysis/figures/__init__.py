"""One file per figure, found by this folder: `draw`, the runs that it wants, and what it reads of them.

- The first lines of a file say what the figure shows; `make_figures --list` prints them.
- `draw(frames)` yields each figure that the runs allow. It passes `titles.titled` or `titles.of_cells`, so that the
  title says what its runs changed. The names of its files begin with that of the module.
- `WANTED` holds the runs that it wants, with the sweep that makes them; () where no run is ever missing.
- `METRICS`, where it reads metrics: their names.
- `gaps(runs)`, where there is more to miss than a whole sweep: rows of `coverage.gap`.
- `uncompared(runs, comparisons)`, where comparisons of `src/judge.py` can be missing: such rows.
"""
