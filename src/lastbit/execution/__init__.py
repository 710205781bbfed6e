"""Who runs jobs: processes here or the workers of a Dask cluster, held to equal numerics by their bit fingerprints."""
