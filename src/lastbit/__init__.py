"""How far the last bit of floating-point arithmetic carries into neural-network training, and why."""
