"""Data, networks, recipes and the training loop of the built-in studies."""
