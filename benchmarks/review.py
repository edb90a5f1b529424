"""How long a reviewer waits for the next image, with ten at work at once, on loopback.

A synthetic archive is curated to its queue; the real server runs in a process of its own. Ten clients judge images of one
queue, each with a pause between two verdicts as a person needs it. Timed is what lies between a verdict and the next
picture without anything fetched ahead: the list of what is next, and the picture's bytes. The page fetches pictures ahead,
so this is more than a reviewer sees.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
from _results import record

from curation_dagster.cli_installation import instance_of
from curation_dagster.review_app.accounts import Accounts
from curation_dagster.runs import curate_keys
from curation_dagster.samples.write import write_samples
from curation_dagster.settings import Settings

KEY = "pad_ufes_20@synthetic"
QUEUE = f"/queues/{KEY.replace('@', '%40')}/faces_and_text"
PASSWORD = "a password for the benchmark"


async def reviewer(url: str, number: int, pause: float, waits: list[float], recorded: list[float]) -> None:
    """Sign in, then judge until nothing waits."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        await client.post("/sign-in", data={"name": f"reviewer {number}", "password": PASSWORD})
        page = (await client.get(QUEUE)).text
        token = re.search(r'data-token="([^"]+)"', page)[1]  # type: ignore[index]
        digest = re.search(r'data-digest="([^"]+)"', page)[1]  # type: ignore[index]
        await asyncio.sleep(pause * number / 10)
        while True:
            began = time.perf_counter()
            items = (await client.get(f"{QUEUE}/next?most=1")).json()["items"]
            if not items:
                return
            image = items[0]["image_id"]
            (await client.get(f"{QUEUE}/pictures/{image}")).raise_for_status()
            waits.append(time.perf_counter() - began)
            await asyncio.sleep(pause)
            began = time.perf_counter()
            said = {"image_id": image, "outcome": "pass", "digest": digest}
            (await client.post(f"{QUEUE}/verdicts", json=said, headers={"X-Token": token})).raise_for_status()
            recorded.append(time.perf_counter() - began)


async def measure(url: str, reviewers: int, pause: float) -> tuple[list[float], list[float]]:
    """Let all reviewers work at once."""
    waits: list[float] = []
    recorded: list[float] = []
    await asyncio.gather(*(reviewer(url, n, pause, waits, recorded) for n in range(reviewers)))
    return waits, recorded


def main() -> None:
    """Measure and record."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--images", type=int, default=150)
    options.add_argument("--reviewers", type=int, default=10)
    options.add_argument("--pause", type=float, default=1.0, help="seconds between picture and verdict")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        settings = Settings.load(home)
        os.environ["CURATION_HOME"] = str(home)
        os.environ.pop("DAGSTER_HOME", None)
        write_samples(settings.landing, archives=["pad_ufes_20"], images=chosen.images, overlay_dir=settings.archives[0])  # fmt: skip
        with instance_of(home) as instance:
            if not all(curate_keys(instance, [KEY]).values()):
                sys.exit("the synthetic archive could not be curated")
        accounts = Accounts(settings.reviewers)
        for n in range(chosen.reviewers):
            accounts.put(f"reviewer {n}", PASSWORD)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "curation_dagster.cli", "review", "serve", "--port", str(port)]
        server = subprocess.Popen(command, env=os.environ.copy())
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(300):
                try:
                    httpx.get(f"{url}/health", timeout=1)
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            waits, recorded = asyncio.run(measure(url, chosen.reviewers, chosen.pause))
        finally:
            server.terminate()
            server.wait(30)
    detail = f"{len(waits)} images, {chosen.reviewers} reviewers at once, {chosen.pause:g} s between picture and verdict"
    record("review_next_image_p95_ms", 1000 * float(np.percentile(waits, 95)), "ms", 150, detail)
    record("review_next_image_p50_ms", 1000 * float(np.percentile(waits, 50)), "ms", None, detail)
    record("review_verdict_recorded_p95_ms", 1000 * float(np.percentile(recorded, 95)), "ms", None, detail)


if __name__ == "__main__":
    main()
