"""How much memory a run takes, from its config and the shape of its models alone; needs no torch (docs/memory.md)."""
