"""Several processes as one: what they share, and statistics over all their rows."""
