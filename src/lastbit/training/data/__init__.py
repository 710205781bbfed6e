"""Data sets: labelled images by name, bundled or fetched, verified by checksum whenever they are read."""

from lastbit.training.data.catalogue import DamagedDataError, MissingDataError
from lastbit.training.data.loading import Dataset, ListedDataset, inventory, load

__all__ = ["DamagedDataError", "Dataset", "ListedDataset", "MissingDataError", "inventory", "load"]
