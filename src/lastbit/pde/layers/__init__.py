"""Stability bounds for each layer of a network of any depth (paper, section 5.5 and appendix F)."""
