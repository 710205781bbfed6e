"""The loss that is measured: how model and loss are called, and how batches are cut, weighted and checked."""
