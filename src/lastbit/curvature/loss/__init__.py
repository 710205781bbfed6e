"""Understand somebody's model, loss and batches: how they are called, cut into pieces, weighed and checked."""
