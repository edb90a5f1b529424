"""Compiled inner loops: how, and where the compiler's work is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Any:
    """Compile on first use, and keep the code beside the module or, where that can't be written, below the home.

    The compiler's cache looks at the file of the function that is called, not at those that it calls in turn: loops
    that call one another belong into one module.
    """
    try:
        return numba.njit(function, nogil=True, cache=True)
    except RuntimeError:  # no folder for the cache can be written, as in a locked-down container
        return numba.njit(function, nogil=True)
