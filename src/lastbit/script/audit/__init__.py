"""The audit: is a program bit-deterministic, and if not, which operation differs first?

Nothing is imported here: the processes that are audited must not import torch before their program does.
"""
