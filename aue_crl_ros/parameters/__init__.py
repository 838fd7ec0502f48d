"""The node's parameters, and the files that set them."""
