"""Whole files: atomic writes, checksummed JSON, locks, and the limits within which anything is read."""
