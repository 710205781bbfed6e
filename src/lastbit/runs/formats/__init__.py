"""Formats of runs, one file each, found by being there: a subclass of `RunFormat` that names its `kind`."""
