"""One worker process of :func:`curation_dagster.compute.map_files`; not for use by hand."""

from __future__ import annotations

import importlib
import os
import resource
import sys
import threading
import time
import traceback
from functools import reduce
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from curation_dagster.compute import Failure


def main(descriptor: int, target: str, memory_mb: int) -> None:
    """Receive lists of ``(index, item)`` and send ``(index, value, failure)`` for each, until the caller is gone."""
    connection = Connection(descriptor)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    module, name = target.split(":")
    function: Any = reduce(getattr, name.split("."), importlib.import_module(module))
    limit = memory_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    connection.send(None)  # ready: from now on time counts
    while True:
        try:
            batch = connection.recv()
        except (EOFError, ConnectionResetError):
            return  # the caller closed its end, perhaps with an answer unread
        for index, item in batch:
            value, failure = None, None
            try:
                value = function(item)
            except MemoryError:
                failure = Failure("out_of_memory", f"more than {memory_mb} MiB were asked for")
            except Exception as error:
                failure = Failure("error", told(error))
            try:
                connection.send((index, value, failure))
            except (BrokenPipeError, ConnectionResetError):
                return


def _end_with(caller: int) -> None:
    """End this process when its caller was killed: one that loops in a decoder would never see the closed socket."""
    while os.getppid() == caller:
        time.sleep(1.0)
    os._exit(0)


def told(error: Exception) -> str:
    """Return what kind of error it was and where, without its text: that would quote paths and values of the source."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    reason = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
    return f"{type(error).__name__}{reason} (in {Path(frame.filename).name}, line {frame.lineno})"


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
