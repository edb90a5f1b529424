"""The publisher's metadata: read verbatim, and joined to the files of the archive."""
