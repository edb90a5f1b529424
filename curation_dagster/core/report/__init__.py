"""What people read: the initial assessment of an archive, and the report of a corpus."""
