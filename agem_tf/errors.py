"""The one error type that means "the user can fix this".

Commands print it as a single line and exit with status 2; everything else is a
defect of this package and keeps its traceback.
"""


class UserError(ValueError):
    """A mistake in what the user gave: a file, a record, a flag, a recipe.

    The message is one sentence that names the thing and the fix.
    """
