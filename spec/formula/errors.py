"""What is wrong with a formula, and where in its text."""

from __future__ import annotations


class FormulaError(Exception):
    """A mistake between the characters `start` and `stop` of a formula.

    `limit` names the limit when the formula is not wrong but too large (`formula-depth`, `integer`, ...).
    """

    def __init__(self, message: str, start: int, stop: int, hint: str | None = None, limit: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.start = start
        self.stop = stop
        self.hint = hint
        self.limit = limit


class UnknownName(FormulaError):
    """A formula uses a name that nobody knows."""

    def __init__(self, name: str, start: int, stop: int) -> None:
        super().__init__(f"the name `{name[:80]}` is not known here", start, stop)
        self.name = name
