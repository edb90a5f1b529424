"""Sources: how files are fetched from where publishers keep them, into a folder that is then picked up."""
