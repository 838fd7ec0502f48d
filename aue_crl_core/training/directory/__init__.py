"""What a run leaves on disk: where it lies, its state, its history, its overview."""
