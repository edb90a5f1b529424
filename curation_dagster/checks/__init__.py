"""The checks: facts with a sentence for a name, proven from the tables and, where they speak of files, from the files."""
