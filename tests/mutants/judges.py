"""Mistakes of judges, and of what is made of their verdicts."""

from mutants.mutation import Mutation

JUDGING, ENDPOINT, WORDING = "judges/test_judging.py", "judges/test_endpoint.py", "judges/test_wording.py"
WIN_RATE, HELD_OUT = "diagnostics/test_win_rate.py", "judges/test_held_out.py"

SWEEP, POLICIES = "judges/test_judging_sweep.py", "sweeps/test_policies.py"
UNCOMPARED = "analysis/test_uncompared.py"

MUTATIONS = {
    "seeds-against-each-other": Mutation(
        "sweeps/policies.py",
        "(record := of_seed.get(seed))",
        "(record := next(iter(of_seed.values()), None))",
        POLICIES,
        "luck of a seed is taken for an algorithm",
    ),
    "models-against-each-other": Mutation(
        "sweeps/policies.py",
        "scale {flat.get('scale')}, {model_name(flat)}",
        "scale {flat.get('scale')}",
        POLICIES,
        "a larger model wins, and its algorithm is praised",
    ),
    "an-unfinished-run-is-not-missed": Mutation(
        "sweeps/policies.py",
        "if label not in done",
        "if label not in done and seed not in of_seed",
        POLICIES,
        "a failed run is missing without a word",
    ),
    "links-of-a-sweep-are-not-followed": Mutation(
        "sweeps/policies.py",
        "runs.sweep_runs(outputs, sweep)",
        "runs.find_runs(outputs, sweep)",
        POLICIES,
        "a sweep whose runs were made by another one has nothing to judge",
    ),
    "what-is-judged-is-paid-again": Mutation(
        "build/judging.py",
        "if (question.place, _first(plan, question)) not in stored]",
        "if question.place]",
        SWEEP,
        "a dry run names the price of what is done",
    ),
    "a-judge-per-pair": Mutation(
        "build/judging.py",
        "{name: cache(partial(_loaded, plan))",
        "{name: partial(_loaded, plan)",
        SWEEP,
        "a large judge is loaded again for every pair",
    ),
    "one-pair-stops-all": Mutation(
        "build/judging.py",
        'judges[pair.records[0].config["data"]["name"]], rows)))\n        except UserError as error:',
        'judges[pair.records[0].config["data"]["name"]], rows)))\n        except ZeroDivisionError as error:',
        SWEEP,
        "one run that decodes otherwise keeps all others from being judged",
    ),
    "seeds-as-prompts": Mutation(
        "judges/sweep_report.py",
        "if len(rates) == 1:",
        "if rates:",
        SWEEP,
        "the interval of one seed stands for all",
    ),
    "a-pair-judged-at-one-seed-is-done": Mutation(
        "../../analysis/missing/uncompared.py",
        "if pair not in known}",
        "if not known & set(both.values())}",
        UNCOMPARED,
        "seeds that nobody has judged are not missed",
    ),
    "nobody-is-to-be-judged": Mutation(
        "../../analysis/missing/uncompared.py",
        "there or _to_be_judged(panel, cells)",
        "there",
        UNCOMPARED,
        "make figures does not ask for Figure 1",
    ),
    "unreadable-is-a-tie": Mutation(
        "judges/report.py",
        "            unreadable += 1\n            continue\n",
        "            unreadable += 1\n",
        JUDGING,
        "a judge that mumbles calls two policies equal",
    ),
    "one-order": Mutation(
        "build/judging.py",
        "orders = (False,) if _symmetric(plan.judge) else (False, True)",
        "orders = (False,)",
        JUDGING,
        "the policy that is shown first wins",
    ),
    "second-order-names-the-first-run": Mutation(
        "build/judging.py",
        "(plan.records[::-1] if question.swapped else plan.records)",
        "plan.records",
        JUDGING,
        "half of the verdicts go to the other policy",
    ),
    "half-judged-prompts-count": Mutation(
        "diagnostics/win_rate.py",
        "if len(shown) == orders]",
        "if shown]",
        WIN_RATE,
        "position bias enters the win rate",
    ),
    "bias-of-the-first-policy": Mutation(
        "diagnostics/win_rate.py",
        "one.value if one.shown_first else 1 - one.value",
        "one.value",
        WIN_RATE,
        "a strong policy looks like a biased judge",
    ),
    "first-word-is-the-verdict": Mutation(
        "judges/wording.py",
        'if len(found) == 1 else "unreadable"',
        'if found else "unreadable"',
        WORDING,
        "a guess becomes a verdict",
    ),
    "braces-of-a-response-are-fields": Mutation(
        "judges/wording.py",
        "return _FIELD.sub(lambda field: values[field.group(1)], template)",
        "return _FIELD.sub(lambda field: values[field.group(1)], "
        "_FIELD.sub(lambda field: values[field.group(1)], template))",
        WORDING,
        "a policy writes what the judge reads of the other one",
    ),
    "client-errors-are-asked-again": Mutation(
        "judges/endpoint.py",
        "if status != 200:\n            raise _Refused(",
        "if status != 200:\n            raise _Passing(",
        ENDPOINT,
        "a question that nobody takes is paid for several times",
    ),
    "key-in-the-message": Mutation(
        "judges/endpoint.py",
        "return text if self.key is None else text.replace(self.key, HIDDEN)",
        "return text",
        ENDPOINT,
        "a log that is shared has the key in it",
    ),
    "any-pairs-will-do": Mutation(
        "build/held_out.py",
        'if share > node["shared"]:',
        "if False:",
        HELD_OUT,
        "the judge has learned what the reward has learned",
    ),
}
