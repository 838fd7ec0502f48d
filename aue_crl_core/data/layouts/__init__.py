"""One file a published dataset layout, and the table of them."""
