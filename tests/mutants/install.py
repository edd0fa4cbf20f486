"""Mistakes in where an installed copy finds its files, its locks and its commands."""

from mutants.mutation import Mutation

LAYERS, ENTRIES, PORTABLE = "config/test_layers.py", "package/test_entries.py", "test_portable.py"

MUTATIONS = {
    "own-files-come-last": Mutation(
        "config/layers.py",
        "    return next((path for path in places if path.is_file()), places[-1])\n",
        "    return next((path for path in reversed(places) if path.is_file()), places[-1])\n",
        LAYERS,
        "a user's conf/optimizer/adamw.yaml is passed over, and rftlab's values train under its name",
    ),
    "own-files-are-not-listed": Mutation(
        "config/layers.py",
        '    return [path for folder, name in _places(root, f"{group}/") if (path := folder / name).is_dir()]\n',
        "    return [root / group]\n",
        LAYERS,
        "help and answers do not know a user's own dataset",
    ),
    "own-sweeps-are-passed-over": Mutation(
        "config/layers.py",
        "            yield SWEEPS, name\n",
        "            yield own, name\n",
        LAYERS,
        "a user's grid in sweeps/ is no option",
    ),
    "own-train-file-is-ignored": Mutation(
        "config/layers.py",
        "    if path.read_bytes() != (root / path.name).read_bytes():\n",
        '    if path.read_bytes() == b"":\n',
        LAYERS,
        "a user's conf/train.yaml has no effect, and nothing says so",
    ),
    "own-files-come-before-any-folder": Mutation(
        "config/layers.py",
        "    return None if root != CONF or (own.exists() and own.samefile(CONF)) else own\n",
        "    return None if own.exists() and own.samefile(CONF) else own\n",
        LAYERS,
        "another folder of configs is read through with files of the working directory",
    ),
    "keys-of-before-are-known": Mutation(
        "config/options.py",
        "    return _content(find(CONF, file).absolute())\n",
        '    return _content(CONF / f"{file}.yaml")\n',
        LAYERS,
        "a file of the user's own counts as one without keys",
    ),
    "a-look-excludes-other-looks": Mutation(
        "files.py",
        "        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)\n",
        "        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        PORTABLE,
        "of two commands that list runs at once, one takes a finished run for a running one",
    ),
    "a-lock-of-one-thread": Mutation(
        "files.py",
        "thread_local=False, ",
        "",
        PORTABLE,
        "a run that is sent by another thread than the one that took the lock is sent twice",
    ),
    "memory-of-macos-in-kib": Mutation(
        "machine.py",
        '    return peak / MIB if sys.platform == "darwin" else peak * 1024 / MIB  # bytes there, KiB on Linux\n',
        "    return peak * 1024 / MIB\n",
        PORTABLE,
        "peak memory on macOS is told a thousand times too high",
    ),
    "a-checkout-by-its-path-alone": Mutation(
        "place.py",
        "not INSTALLED and file.resolve() == ROOT / file",
        "not INSTALLED and file.is_file()",
        ENTRIES,
        "a command that is told to be repeated runs a file of another project",
    ),
    "any-analysis-will-do": Mutation(
        "entries/__init__.py",
        "    if spec.origin is None or Path(spec.origin).resolve().parents[1] != home:\n",
        "    if spec.origin is None:\n",
        ENTRIES,
        "figures are drawn by another package that is called analysis",
    ),
    "the-working-directory-is-looked-into": Mutation(
        "__main__.py",
        "        sys.path.pop(0)  # the working directory, which the program `rftlab` does not look into either\n",
        "        pass\n",
        ENTRIES,
        "a file yaml.py in the working directory takes the place of a library",
    ),
    "pip-notes-no-commit": Mutation(
        "runs/environment.py",
        '.get("vcs_info", {}).get("commit_id")',
        '.get("vcs_info", {}).get("commit")',
        "runs/test_environment.py",
        "runs of a copy that was installed from git have no commit",
    ),
}
