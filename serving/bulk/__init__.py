"""Many accounts at once, as Arrow: the columns of the parquet files in, columns out."""
