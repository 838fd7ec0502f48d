"""Thousands of films into a folder of Parquet files, one a film: any machine, any process can do any of them."""
