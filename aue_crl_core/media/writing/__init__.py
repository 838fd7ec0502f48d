"""Files that results go into: tables and overlays."""
