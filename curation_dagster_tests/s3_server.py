"""An S3 server on loopback, as a process of its own.

In the process of the tests it would hang: delta-rs keeps Python's interpreter lock while it waits for the answer of some
requests (``DeltaTable.history``), and a server in a thread of the same process needs that lock to give it.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

BUCKET = "curation-tables"
KEY_ID, SECRET = (
    "AKIAPLANTED0000000007",
    "planted/secret+of+the+store/7f3b",
)  # searched for by a test: must be nowhere


@dataclass(frozen=True)
class Store:
    """A running server with one empty bucket."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to use the store."""
        return {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def client(self) -> Any:
        """A client of the store that gives up after seconds."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            region_name="eu-central-1",
            config=Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": 2}),
        )

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Return the content of all objects below a prefix, by key."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {key: self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[Store]:
    """Start a server and stop it; its messages go to a file in ``folder``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "s3.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "s3.log").read_text()
                assert time.monotonic() < until, "the S3 server did not start within a minute"
                time.sleep(0.05)
        store = Store(f"http://127.0.0.1:{port}")
        store.client.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        yield store
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
