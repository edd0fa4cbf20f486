"""Mistakes in how a sweep ends, in its page, and in how long it is said to take."""

from mutants.mutation import Mutation

END, ACCOUNT, PACE, BARS = "launch/test_sweep_end.py", "sweeps/test_account.py", "sweeps/test_pace.py", "test_bars.py"

MUTATIONS = {
    "a-comparison-that-fails-ends-the-sweep": Mutation(
        "launch/sweep_end.py",
        "except (Exception, KeyboardInterrupt) as error:  # whatever it is",
        "except OSError as error:  # whatever it is",
        END,
        "a finished sweep ends in a traceback, and its script stops there",
    ),
    "a-page-that-fails-is-said-to-be-there": Mutation(
        "launch/sweep_end.py",
        "if done.returncode == 0:",
        "if True:",
        END,
        "the page of before is taken for that of now",
    ),
    "lost-runs-are-not-told-of": Mutation(
        "sweeps/account.py",
        'UNFINISHED = ("failed", "lost", "stopped", "pruned", "new")',
        'UNFINISHED = ("lost", "stopped", "pruned", "new")',
        ACCOUNT,
        "the page of a sweep hides what failed",
    ),
    "commands-of-a-worker-as-if-typed": Mutation(
        "sweeps/account.py",
        "if words and _name(words[0]) in COMMANDS:",
        "if words:",
        ACCOUNT,
        "the command that is said to repeat the sweep repeats nothing",
    ),
    "words-of-a-command-unquoted": Mutation(
        "sweeps/account.py",
        'return f"{program(name)} {shlex.join([*multirun, *rest])}".rstrip()',
        """return f"{program(name)} {' '.join([*multirun, *rest])}".rstrip()""",
        ACCOUNT,
        "a shell reads the printed command as another one",
    ),
    "words-of-a-command-as-hydra-is-told-them": Mutation(
        "sweeps/account.py",
        'rest = [ONE_CHOICE.sub(r"=\\1", word) for word in rest]',
        "rest = list(rest)",
        ACCOUNT,
        "the page shows words that nobody typed",
    ),
    "steps-from-the-first-that-was-logged": Mutation(
        "runs/attempt.py",
        "self._first_step = 1  # of this attempt",
        "self._first_step = 10  # of this attempt",
        "runs/test_runs.py",
        "a plan says hours for what takes seconds",
    ),
    "two-kinds-of-gpu-are-one": Mutation(
        "sweeps/plan.py",
        'return [cost for cost in like if cost["device"] == device]',
        "return list(like)",
        "sweeps/test_plan.py",
        "GPU-hours of one card are asked for on another",
    ),
    "a-pace-over-two-attempts": Mutation(
        "sweeps/progress.py",
        'if row.get("attempt") == rows[-1].get("attempt") and "time" in row',
        'if "time" in row',
        PACE,
        "the night between two attempts counts as time per step",
    ),
    "what-is-not-measured-takes-no-time": Mutation(
        "sweeps/pace.py",
        "return Left(seconds=together, unknown=len(seconds) - len(known))",
        "return Left(seconds=together, unknown=0)",
        PACE,
        "the end of a sweep is promised for a time at which its large models have not begun",
    ),
    "the-log-goes-where-the-bar-is": Mutation(
        "bars.py",
        "redirect_stdout=sys.stdout.isatty()",
        "redirect_stdout=True",
        BARS,
        "a log that is piped into a file loses its lines",
    ),
}
