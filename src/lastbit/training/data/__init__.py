"""Data sets: labelled images by name, bundled or fetched, verified by checksum whenever they are read."""

from lastbit.training.data.dataset import Dataset
from lastbit.training.data.errors import DamagedDataError, FetchError, MissingDataError
from lastbit.training.data.fetching import Fetched, fetch
from lastbit.training.data.inventory import Item, inventory
from lastbit.training.data.loading import load

__all__ = [
    "DamagedDataError",
    "Dataset",
    "FetchError",
    "Fetched",
    "Item",
    "MissingDataError",
    "fetch",
    "inventory",
    "load",
]
