"""The assets: thin. Each reads, calls the core, and writes."""
