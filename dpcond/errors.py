"""Errors that a user can act on. Each carries one line: what, where, and the fix; the command line exits with status 2."""


class InputError(ValueError):
    """Something the user gave (argument, file, record, budget) cannot be used as it is."""


class BudgetError(InputError):
    """A query was refused: it is not in the plan, or it would pass the budget."""


class LedgerError(InputError):
    """A ledger cannot be opened, continued or believed."""


class AnswerLost(RuntimeError):
    """The release was charged but its answer did not survive a crash; it stays spent and cannot be asked again."""
