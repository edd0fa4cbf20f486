"""What rewards that compare with references share: which references of a row count."""

from collections.abc import Iterator, Sequence

from rftlab.errors import UserError

Rows = Iterator[tuple[str, tuple[str, ...]]]


class NoReference(UserError):
    """A row has no reference, where a reward compares with them."""

    def __init__(self, position: int, response: str) -> None:
        self.position = position  # among the rows of this call
        super().__init__(f"no reference for the response {response[:40]!r}", "at least one target", "data or reward")


def with_references(
    prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]], empty: bool = False
) -> Rows:
    """Give every response with its references; unless `empty`, without those that hold nothing but white space.

    An empty reference is no shorter way to say the same: as one of several it would take BLEU's brevity penalty away
    (sacreBLEU 2.6.0, a reference list filled up with "": 13.5 becomes 100). A row may be left with none.

    Raises:
        NoReference: A row has no reference at all.
        ValueError: The arguments differ in length: references are given per row, not per column.
    """
    for position, (_, response, references) in enumerate(zip(prompts, responses, targets, strict=True)):
        if not references:
            raise NoReference(position, response)
        if empty or all(map(str.strip, references)):
            yield response, references
        else:
            yield response, tuple(filter(str.strip, references))
