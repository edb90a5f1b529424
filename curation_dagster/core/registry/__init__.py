"""Archives as declared data: descriptors, licences, keys of archive versions, and paths inside an archive."""
