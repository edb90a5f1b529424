"""Records in the unified schema: fields, diagnoses, sites, keys."""
