"""Times and paces in words: how long, how fast, and when by the clock."""

import math
import time

MINUTE, DAY = 60, 86_400


def duration(seconds: float | None) -> str:
    """Write a time as hours, minutes and seconds; a dash where it is not known."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    minutes, rest = divmod(max(0, round(seconds)), MINUTE)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def rate(seconds_per_step: float | None) -> str:
    """Write a pace by whichever of its two sides is above 1: `2.5/s`, or `4.0 s each`."""
    if seconds_per_step is None or not math.isfinite(seconds_per_step):
        return "-"
    return f"{1 / seconds_per_step:.1f}/s" if 0 < seconds_per_step < 1 else f"{seconds_per_step:.1f} s each"


def end(seconds_left: float | None, now: float | None = None) -> str:
    """Say when by the clock what takes so long yet ends, with the day where that is not soon."""
    if seconds_left is None or not math.isfinite(seconds_left):
        return "-"
    now = time.time() if now is None else now
    at = time.localtime(now + seconds_left)
    return time.strftime("%H:%M" if seconds_left < DAY / 2 else "%a %d %b %H:%M", at)
