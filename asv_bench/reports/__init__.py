"""Scripts that print tables: `python -m reports.compare` from the folder `asv_bench`."""
