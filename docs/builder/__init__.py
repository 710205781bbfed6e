"""Build the documentation site: run its blocks, set its formulas, draw its reference, check its links."""
