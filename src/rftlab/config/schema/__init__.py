"""Types of what no `_target_` builds; the values live in `conf/`, with a comment per key.

A file of `conf/GROUP` has the fields of one of the classes of its group. A field with a default may be left out: it is
then no part of the config. Importing this module costs no torch: composition, `--help` and tab completion stay quick.
"""

_HERE = "rftlab.config.schema"
ROOTS = {  # files of conf/ itself
    "train": f"{_HERE}.run.Run",
    "judging": f"{_HERE}.judging.Judging",
}
GROUPS = {
    "model": tuple(f"{_HERE}.model.{kind}Model" for kind in ("Text", "Label", "Document", "Cases")),
    "data": tuple(f"{_HERE}.data.{kind}Data" for kind in ("Text", "Label", "Document", "Cases")),
    "reward": (),  # what its `_target_` takes
    "gold": (),
    "judge": (),
    "algo": (f"{_HERE}.algo.Algo",),
    "optimizer": (f"{_HERE}.optimizer.Optimizer",),
    "heuristic": (f"{_HERE}.heuristic.Heuristic",),
    "tracking": (f"{_HERE}.run.Tracking",),
    "paths": (f"{_HERE}.run.Paths",),
}
ELSEWHERE = {  # what a target takes whose own annotations say too little
    "torch.optim.AdamW": f"{_HERE}.optimizer.AdamW",
    "torch.optim.Adam": f"{_HERE}.optimizer.Adam",
    "torch.optim.SGD": f"{_HERE}.optimizer.SGD",
    "hydra_plugins.rftlab_slurm.SlurmLauncher": f"{_HERE}.launcher.SlurmLauncher",
}
