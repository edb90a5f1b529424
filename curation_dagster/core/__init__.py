"""The pipeline's own work, pure: no module below this one imports Dagster."""
