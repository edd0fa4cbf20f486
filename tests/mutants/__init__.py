"""Mistakes that would change what a paper reports, each as one change of the code; `tests/mutations.py` makes them."""
