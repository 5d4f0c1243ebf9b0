"""What went wrong through the user's input, as opposed to a fault of ours."""


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message, or the name of its type if it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


class InputError(Exception):
    """Something the user gave cannot be used.

    The message is one sentence that names what was given, what was expected and the way out.
    It is shown to the user without a traceback; every other exception is a fault and keeps its own.
    """
