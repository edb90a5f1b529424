"""The parts of a technical file, by subject: each a function from the release's view and a scope to blocks of a paper."""
