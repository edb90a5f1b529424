"""One partition per archive version, called ``<archive>@<version>``, such as ``pad_ufes_20@1``.

A version is immutable; keys are never deleted, so that the history of a superseded version stays in reach.
"""

from __future__ import annotations

import dagster as dg

ARCHIVE_VERSIONS = dg.DynamicPartitionsDefinition(name="archive_version")
