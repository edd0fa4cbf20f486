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
    "model": (f"{_HERE}.model.TextModel", f"{_HERE}.model.LabelModel", f"{_HERE}.model.CasesModel"),
    "data": (f"{_HERE}.data.TextData", f"{_HERE}.data.LabelData", f"{_HERE}.data.CasesData"),
    "reward": (),  # what its `_target_` takes
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
