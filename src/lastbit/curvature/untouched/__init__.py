"""Evaluate somebody's model, loss or data and put every bit of state back: tensors, generators, attributes, files."""
