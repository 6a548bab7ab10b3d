"""Errors that a user can act on."""


class InputError(ValueError):
    """Something the user gave cannot be audited as it is: one line with what, where and the fix."""
