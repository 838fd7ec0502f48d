"""From the layouts that datasets come in to an index, and from an index to samples."""
