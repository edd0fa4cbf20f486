"""The one exception for everything a user can cause."""


class UserError(Exception):
    """Say on one line what was found, what was expected, and which key to change."""

    def __init__(self, found: str, expected: str, change: str) -> None:
        self.found, self.expected, self.change = found, expected, change
        super().__init__(f"{found}; expected {expected}; change {change}")
