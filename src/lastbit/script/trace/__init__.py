"""Traces: what a program computed, operation by operation, in a file that can be compared on another machine.

Nothing is imported here: the processes that are recorded must not import torch before their program does.
"""
