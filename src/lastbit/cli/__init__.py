"""The command line: parses, calls, prints.

The file of a command imports at its top only what its options and its help need: the standard library, typer, rich's
tables and the options that commands share. What the command works with is imported in the functions that use it; what
only types name stands under `TYPE_CHECKING`. So help, completion and wrong options answer at once, without torch.
"""
