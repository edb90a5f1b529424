"""Synthetic archives in the layouts of real publishers, for the demonstration, the tests and the benchmarks.

Nobody is shown and nobody is named: pictures are drawn, and the person in planted metadata is a specimen. The same seed
gives the same bytes.
"""

from curation_dagster.samples.delivery import Delivery, Planted
from curation_dagster.samples.skin import KINDS, healthy, lesion
from curation_dagster.samples.write import ARCHIVES, VERSION, WRITERS, SampleReport, write_samples

__all__ = [
    "ARCHIVES",
    "KINDS",
    "VERSION",
    "WRITERS",
    "Delivery",
    "Planted",
    "SampleReport",
    "healthy",
    "lesion",
    "write_samples",
]
