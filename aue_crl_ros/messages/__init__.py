"""Message types, and conversions between messages and the core's values."""
