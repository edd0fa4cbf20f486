"""Mistakes in what MLflow holds of a sweep, and in the policies that it serves."""

from mutants.mutation import Mutation

PARENT, VIEWS, WORDS = "tracking/test_parent_run.py", "tracking/test_views.py", "tracking/test_readable_words.py"
MODEL, END, BOARD = "tracking/test_logged_model.py", "launch/test_sweep_answer.py", "tracking/test_dashboard.py"

MUTATIONS = {
    "answers-are-sent-again-and-again": Mutation(
        "tracking/parent.py",
        "        if _is_sent(answer, folder, destination):\n",
        "        if False:\n",
        PARENT,
        "every sync writes all metrics and files again",
    ),
    "means-of-settings-that-are-no-more-stay": Mutation(
        "tracking/parent.py",
        "for name, value in (changed | gone).items()]",
        "for name, value in changed.items()]",
        PARENT,
        "the parent run shows means of settings that the sweep does not have",
    ),
    "descriptions-of-people-are-overwritten": Mutation(
        "tracking/parent.py",
        "    if NOTE in tags and _hash(tags[NOTE]) != tags.get(WRITTEN):\n",
        "    if False:\n",
        PARENT,
        "what a person wrote in MLflow is lost at the next sync",
    ),
    "names-of-people-are-overwritten": Mutation(
        "tracking/parent.py",
        "name != run.info.run_name and given == run.info.run_name:",
        "name != run.info.run_name:",
        PARENT,
        "a run that a person has named is named again",
    ),
    "views-without-groups": Mutation(
        "tracking/views.py",
        '        "groupBy": _groups(view.settings),\n',
        '        "groupBy": None,\n',
        VIEWS,
        "curves of all seeds lie over each other",
    ),
    "settings-with-one-last-word-look-alike": Mutation(
        "tracking/words.py",
        "key if last.count(word) > 1 else word",
        "word",
        WORDS,
        "two settings of a run have one name",
    ),
    "a-view-that-is-too-large-is-sent": Mutation(
        "tracking/views.py",
        " if len(value) <= MOST_CHARS}",
        "}",
        VIEWS,
        "the server refuses the tag, and with it everything behind it",
    ),
    "prompts-of-a-served-policy-are-cut-on-the-other-side": Mutation(
        "tracking/served/rftlab_policy.py",
        'return ids[len(ids) - most :] if side == "left" else ids[:most]',
        'return ids[len(ids) - most :] if side == "right" else ids[:most]',
        MODEL,
        "a logged model answers another prompt than its run was evaluated on",
    ),
    "a-served-chat-ends-with-eos": Mutation(
        "tracking/served/rftlab_policy.py",
        'words.eos_token_id if self.how["chat"] is None else self._turn_end()',
        "words.eos_token_id",
        MODEL,
        "a logged chat model speaks on after its turn",
    ),
    "weights-are-copied": Mutation(
        "tracking/logged_model.py",
        "        os.link(source, target)\n    except OSError:  # another",
        "        raise OSError\n    except OSError:  # another",
        MODEL,
        "every run keeps its weights twice",
    ),
    "auto-logs-everywhere": Mutation(
        "tracking/logged_model.py",
        'if mode == "auto" and (place is None',
        "if False and (place is None",
        MODEL,
        "sweeps send their weights to a server that nobody asked to keep them",
    ),
    "a-model-that-was-cut-off-is-forgotten": Mutation(
        "tracking/mirror.py",
        '    if position.status == STATUS["done"] and position.model is not None:\n',
        '    if position.status == STATUS["done"]:\n',
        MODEL,
        "the command of a sweep, given again, does not send a model that is missing",
    ),
    "sweeps-wait-for-the-server": Mutation(
        "launch/sweep_answer.py",
        '        thread.join(tracking["close_timeout_s"])\n',
        "        thread.join()\n",
        END,
        "a sweep waits for a server that never answers",
    ),
    "one-sweep-that-fails-hides-the-others": Mutation(
        "tracking/dashboard.py",
        "        except Exception as error:  # the others are shown\n",
        "        except UserError as error:  # the others are shown\n",
        BOARD,
        "the dashboard ends in a traceback",
    ),
}
