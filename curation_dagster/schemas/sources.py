"""Tables of what comes from sources: what was fetched, the fate of listed addresses, probes, versions, what was emptied."""

from __future__ import annotations

import pyarrow as pa

from curation_dagster.schemas.columns import ARCHIVE, RUN, VERSION
from curation_dagster.schemas.table import ID, TEXT, TIME, Table, column

RETRIEVALS = Table(
    "retrievals",
    "One row per file that a method of retrieval brought, or that a delivery's manifest states. Landing deliveries have none.",
    ("archive", "version", "path"),
    (
        ARCHIVE,
        VERSION,
        column("path", TEXT, "Path below the delivery.", nullable=False),
        column("method", TEXT, "Method of retrieval.", nullable=False,
               isin=("https", "sftp", "s3", "doi", "isic", "url_list", "drop")),
        column("url", TEXT, "Where it came from, without what signs or authorizes the address."),
        column("bytes", pa.int64(), "Size.", unit="byte", ge=0),
        column("sha256", ID, "SHA-256 of what was fetched, or that the manifest states.", matches=r"^[0-9a-f]{64}$"),
        column("md5", ID, "MD5 that the manifest states, where it states no SHA-256.", matches=r"^[0-9a-f]{32}$"),
        column("verified_by", TEXT, "Kind of the publisher's checksum that matched; null where none is published.",
               isin=("sha512", "sha256", "sha1", "md5")),
        column("source_state", TEXT, "What the source called this state of the file, such as an ETag."),
        column("resumed_from", pa.int64(), "Bytes that were there before the last try.", unit="byte", ge=0, volatile=True),
        column("tries", pa.int32(), "Tries.", ge=0, volatile=True),
        column("fetched_at", TIME, "When.", volatile=True),
        RUN,
    ),
    ("archive", "version"),
)  # fmt: skip

URL_FATES = Table(
    "url_fates",
    "One row per line of a list of addresses, with its fate. The verbatim text never leaves the intake tables.",
    ("archive", "version", "row"),
    (
        ARCHIVE,
        VERSION,
        column("row", pa.int64(), "Number of the line, 1 for the first entry.", nullable=False, ge=1),
        column("text", TEXT, "The line's entry, verbatim.", nullable=False),
        column("url", TEXT, "The address, if the entry is one."),
        column("fate", TEXT, "What became of it. `moved`: fetched, from where the host says that it is for good; `page`: "
               "something else than an image; `doubled`: the address or the bytes of an earlier line.", nullable=False,
               isin=("fetched", "moved", "gone", "page", "refused", "doubled", "malformed", "unreachable")),
        column("detail", TEXT, "Why."),
        column("path", TEXT, "The file below the delivery, for `fetched` and `moved`."),
        column("sha256", ID, "SHA-256 of the file.", matches=r"^[0-9a-f]{64}$"),
        column("final_url", TEXT, "The address that gave the file, after redirects."),
        RUN,
    ),
    ("archive", "version"),
)  # fmt: skip

SOURCE_PROBES = Table(
    "source_probes",
    "What the last probe of each archive version's source found.",
    ("archive", "version"),
    (
        ARCHIVE,
        VERSION,
        column("method", TEXT, "Method of retrieval.", nullable=False),
        column("state", TEXT, "`known`: as it was at the first look; `new_version`: not seen before, waits for its run; "
               "`changed`: other bytes under the old version, an incident; `unreachable`: no answer.", nullable=False,
               isin=("known", "new_version", "changed", "unreachable")),
        column("signature", ID, "Digest of what the source said of this version at the first look."),
        column("seen", ID, "Digest of what it says now."),
        column("source", TEXT, "What the source calls the version."),
        column("detail", TEXT, "In words."),
        column("probed_at", TIME, "When.", nullable=False, volatile=True),
    ),
)  # fmt: skip

VERSION_CHANGES = Table(
    "version_changes",
    "What a version brings against the one that the corpus looks at: images by fate, and counts by diagnosis and person.",
    ("archive", "version", "subject", "value"),
    (
        ARCHIVE,
        VERSION,
        column("compared_with", TEXT, "The other version.", nullable=False),
        column("subject", TEXT, "What is counted.", nullable=False,
               isin=("images", "diagnosis", "sex", "age_band", "fitzpatrick", "verdict")),
        column("value", TEXT, "Fate of images, or value of the column; `missing` for nulls.", nullable=False),
        column("before", pa.int64(), "Images of the other version.", nullable=False, ge=0),
        column("after", pa.int64(), "Images of this version.", nullable=False, ge=0),
        column("fingerprint", ID, "Fingerprint of the files of this version.", nullable=False),
        RUN,
    ),
    ("archive", "version"),
)  # fmt: skip

CRITERIA_CHANGES = Table(
    "criteria_changes",
    "Decisions of rules under other criteria, by count, as compared before an approval.",
    ("criteria", "old_digest", "new_digest", "archive", "version", "criterion"),
    (
        column("criteria", TEXT, "Name of the new criteria.", nullable=False),
        column("old_digest", ID, "SHA-256 of the old file.", nullable=False),
        column("new_digest", ID, "SHA-256 of the new file.", nullable=False),
        ARCHIVE,
        VERSION,
        column("criterion", ID, "Criterion; `*` for an image as a whole.", nullable=False),
        column("images", pa.int64(), "Images that were decided.", nullable=False, ge=0),
        column(
            "failing_before", pa.int64(), "Images that fail under the old criteria.", nullable=False, ge=0
        ),
        column("failing_after", pa.int64(), "Images that fail under the new ones.", nullable=False, ge=0),
        column("newly_failing", pa.int64(), "Images that fail now and did not.", nullable=False, ge=0),
        column(
            "no_longer_failing", pa.int64(), "Images that failed and don't any more.", nullable=False, ge=0
        ),
        column("compared_at", TIME, "When.", nullable=False, volatile=True),
    ),
)

STAGING_EMPTIED = Table(
    "staging_emptied",
    "What was removed from staging by the declared rule of retention. Rows are only ever added.",
    ("folder", "emptied_at"),
    (
        column("folder", TEXT, "Folder below the installation.", nullable=False),
        column("rule", TEXT, "Rule in `vocabularies/retrieval.yaml`.", nullable=False,
               isin=("superseded_days", "curated_days", "quarantine_days", "unfinished_days")),
        column("files", pa.int64(), "Files that were removed.", nullable=False, ge=0),
        column("bytes", pa.int64(), "Their size.", unit="byte", nullable=False, ge=0),
        column("inventory_sha256", ID, "SHA-256 of the inventory that is kept, for archive versions."),
        column("detail", TEXT, "Why.", nullable=False),
        column("emptied_at", TIME, "When.", nullable=False),
    ),
)  # fmt: skip
