"""What a stage trains on: samples, batches, and the cache of frozen features."""
