"""Dermatology image archives, curated into a corpus that a medical device can be trained on."""

from curation_dagster.version import __version__

__all__ = ["__version__"]
