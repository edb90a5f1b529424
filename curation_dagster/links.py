"""Links from the Dagster UI to pages of the reports folder.

``CURATION_REPORTS_URL`` says where the folder is shown: by ``curation-dagster dev`` on loopback, behind the proxy on a
server. Without it a page is named by its path.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import dagster as dg

from curation_dagster.archive_pages import Drawn, folder_of
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.settings import Settings
from curation_dagster.workspace import Workspace

_SHOWN_IN_PLACE = 1000  # characters up to which the UI shows Markdown in place


def address_of(settings: Settings, path: Path) -> str | None:
    """Return the address of a file of the reports folder, or None where the folder is not shown anywhere."""
    if not settings.reports_url:
        return None
    return f"{settings.reports_url.rstrip('/')}/{quote(path.relative_to(settings.reports).as_posix(), safe='/@')}"


def page(settings: Settings, path: Path) -> dg.UrlMetadataValue | dg.PathMetadataValue:
    """Return a page of the reports folder as the UI shows it: a link, or its path."""
    address = address_of(settings, path)
    return dg.MetadataValue.url(address) if address else dg.MetadataValue.path(str(path))


def technical_file(
    workspace: Workspace, key: ArchiveVersionKey
) -> dg.UrlMetadataValue | dg.PathMetadataValue:
    """Return the page of an archive version; it is drawn at the end of its run, with the review queue."""
    return page(workspace.settings, folder_of(workspace, key) / "index.html")


def contact_sheets(settings: Settings, drawn: Drawn) -> dg.MarkdownMetadataValue:
    """Return the sheets with the most images, as far as the UI shows them in place, and a link to all.

    The pictures themselves stay in the reports folder: what goes into the event log is their address, and a sheet that was
    removed since is gone from the UI as well.
    """
    sheets = [(p, s) for parts in drawn.parts.values() for p in parts for s in p.sheets]
    first = [(p, s) for p, s in sheets if s.file.endswith("-beyond.jpg")]
    first.sort(key=lambda found: -len(found[1].tiles))
    home = address_of(settings, drawn.page)
    lines = [
        f"[All {len(sheets)} contact sheets]({home})"
        if home
        else f"{len(sheets)} contact sheets: `{drawn.page}`"
    ]
    for part, sheet in first:
        address = address_of(settings, drawn.folder / sheet.file)
        fate = part.tally.split(",")[0]
        line = f"[{part.heading}]({home}#{part.heading}): {fate}\n\n![{part.heading}]({address})"
        if address and sum(len(text) + 2 for text in (*lines, line)) < _SHOWN_IN_PLACE:
            lines.append(line)
    return dg.MetadataValue.md("\n\n".join(lines))
