"""Flows past the edge of stability: what an oscillating descent does on average."""
