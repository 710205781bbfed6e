"""Statistics of repeated runs: spreads, sources of variance, tests of a difference, power.

Tables of numbers go in and estimates with their uncertainty come out. Nothing here knows of studies or networks, and
only numpy and scipy are used.
"""
