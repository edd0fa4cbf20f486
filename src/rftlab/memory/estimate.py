"""An estimate: what is in memory, when, how many bytes it takes and how that was counted."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

GIB = 2**30
ALWAYS, UPDATE, STEP, SAMPLING, SCORING = "always", "update", "step", "sampling", "scoring"
SMALL = 0.005  # share of a sum that a sentence leaves out
PHASES = (UPDATE, STEP, SAMPLING, SCORING)  # of a run; of what they need beside `ALWAYS`, the largest counts


@dataclass(frozen=True, kw_only=True)
class Component:
    """A part of what is in memory at its fullest."""

    name: str
    size: int  # bytes
    how: str  # it was counted
    when: Collection[str]  # ALWAYS, or the phases of a run in which it is there
    by_rows: bool = False  # whether `size` is that of rows as long as the config allows; real ones may be shorter


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run holds, and what of it is not known."""

    components: Sequence[Component]
    unknown: Sequence[str] = ()  # what is not counted, each with its reason

    @property
    def least(self) -> int:
        """Add up what is there however short the rows are, in bytes."""
        return self._peak([part for part in self.components if not part.by_rows])

    @property
    def longest(self) -> int:
        """Add up what is there with rows as long as the config allows, in bytes."""
        return self._peak(self.components)

    def of(self, phase: str) -> int:
        """Give the bytes of a phase, beside what is always there, with the longest rows."""
        return _in_phase(self.components, phase)

    def _peak(self, components: Sequence[Component]) -> int:
        always = _in_phase(components, ALWAYS)
        return always + max(_in_phase(components, phase) for phase in PHASES)

    def told(self, *, longest: bool) -> str:
        """Name the parts of `least`, or of `longest`, in GiB, the largest first, but those too small to matter."""
        counted = [part for part in self.components if longest or not part.by_rows]
        phase = max(PHASES, key=lambda phase: _in_phase(counted, phase))
        there = [part for part in counted if {ALWAYS, phase} & {*part.when}]
        parts = [part for part in there if part.size > SMALL * sum(part.size for part in there)]
        return ", ".join(f"{part.name} {gib(part.size)}" for part in sorted(parts, key=lambda part: -part.size))


def _in_phase(components: Sequence[Component], phase: str) -> int:
    return sum(part.size for part in components if phase in part.when)


def gib(size: float) -> str:
    """Write bytes in GiB, with three digits that count."""
    found = size / GIB
    return f"{found:.1f}" if found >= 10 else f"{found:.2f}" if found >= 0.1 else f"{found:.3f}"
