"""What is known of a face over time: steady readings, and its neutral state."""
