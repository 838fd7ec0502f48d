"""What people take home of a recording: rows of results read again, as a page, tidy tables and ELAN files."""
