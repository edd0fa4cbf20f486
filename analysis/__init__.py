"""From run folders to figures and tables.

`load` reads the run folders, and `settings` says who a run is. `statistics` computes. `figures` and `tables` hold one
file per figure and table; `drawing` is what they share, and `missing` finds the runs that they lack. `everything` puts
these together for the command `make_figures`. The command `learned` prints a `summary`, and `preflight` the report of a
diagnosis.
"""
