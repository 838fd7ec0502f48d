"""From files, folders, films and cameras to frames."""
