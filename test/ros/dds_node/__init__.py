"""A package, so that what its tests share, a node above all, is made once for them and ends with them."""
