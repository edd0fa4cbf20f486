"""A search: trials that Optuna chooses, each an ordinary run per seed (docs/search.md)."""
