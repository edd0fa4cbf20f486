"""DailyDialog (Li et al. 2017): say the next turn of a conversation."""

from collections.abc import Iterator, Mapping

from rftlab.data.parts.rows import Misfit
from rftlab.data.parts.text import Text, TextDataset
from rftlab.data.worlds import talks

CONTEXT = 5  # turns in a prompt
END = "<EOU>"  # of a turn; plain text, no token of its own


def examples(row: Mapping) -> Iterator[Text]:
    """Format one row, a conversation: every turn with five turns before it is a target, those five are its prompt.

    A turn brings its own spaces, and there is one more before the last mark of a prompt.
    """
    turns, acts, emotions = row["dialog"], row["act"], row["emotion"]
    if not len(turns) == len(acts) == len(emotions):
        raise Misfit(
            f"has {len(turns)} turns, {len(acts)} acts and {len(emotions)} emotions",
            "as many acts and emotions as turns",
        )
    for place in range(CONTEXT, len(turns)):
        yield Text(
            prompt=f"{END.join(turns[place - CONTEXT : place])} {END}",
            targets=(f"{turns[place]}{END}",),
            meta={"act": acts[place], "emotion": emotions[place]},
        )


DATASET = TextDataset(
    columns={"dialog": [str], "act": [int], "emotion": [int]}, examples=examples, bundled=talks.rows, several=True
)
load = DATASET.load
