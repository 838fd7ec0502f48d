"""The node without its middleware: from images that arrive to observations."""
