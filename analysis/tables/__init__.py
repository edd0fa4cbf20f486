"""One file per table, found by this folder, with the same names as a file of `analysis.figures`.

`draw(frames)` yields tables; the names of their files begin with `table_` and that of the module.
"""
