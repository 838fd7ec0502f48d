"""Images and tables: reading, drawing, writing."""
