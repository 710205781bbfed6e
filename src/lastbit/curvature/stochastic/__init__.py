"""What small batches see: the curvature along their gradients, and the noise of these."""
