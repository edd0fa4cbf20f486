"""Statistics of runs, frame in and frame out."""
