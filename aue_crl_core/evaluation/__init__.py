"""How good is it: metrics, the published results beside ours, and the report of both."""
