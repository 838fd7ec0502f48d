"""Methods side by side under equal conditions: which runs there are, several at once, their predictions, the report."""
