"""The errors that a person made: what they gave cannot be used, and the message says what can.

Code raises one where it judges what a person gave: an argument, an option, a recipe, a file. The command line shows its
message as one line and exits with status 2. Every other exception is a fault of lastbit's own, and keeps its traceback.
"""


class LastbitError(ValueError):
    """What a person gave cannot be used; the message says what they did, the value, and what is allowed."""


class LastbitTypeError(LastbitError, TypeError):
    """A person gave an object of the wrong kind; the message says which kinds are allowed."""
