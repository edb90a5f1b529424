"""All pairs within a small Hamming radius by equality joins on bands of bits, in DuckDB.

Cut into ``m`` bands, two hashes within radius ``r`` agree in at least ``m - r`` of them. So with ``m = r + k`` bands
every such pair agrees in some ``k`` bands, and joining on each of the C(m, k) combinations of ``k`` bands misses
none. Each combination is a query of its own with bounded memory; a pair counts in the first combination that it
agrees in, so that nothing has to be sorted out afterwards. Pigeonhole: Norouzi, Punjani and Fleet 2012,
https://arxiv.org/abs/1307.2982.

It beats the scan for short radii and many hashes only; :func:`plan` estimates both.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation_dagster.core.duplicates.pairs import Pairs
from curation_dagster.core.duplicates.variants import IDENTITY, VARIANTS, WORD_BITS, Hashes

_BITS = 256
_MOST_COMBINATIONS = 3000  # beyond, parsing and starting the queries is the cost


@dataclass(frozen=True)
class Plan:
    """Bands and agreeing bands of a join, with its estimated cost in seconds of one core."""

    bands: int
    agreeing: int
    seconds: float


def plan(left: int, right: int, radius: int, row_ns: float, pair_ns: float) -> Plan | None:
    """Return the cheapest join for a radius, or None if every one has too many combinations.

    Parameters
    ----------
    left, right : int
        Hashes on each side.
    radius : int
        Bit.
    row_ns, pair_ns : float
        Measured cost of a row in one join, and of a pair that agrees in the bands. Nanoseconds.
    """
    best: Plan | None = None
    for agreeing in range(1, 5):
        bands = radius + agreeing
        if bands * WORD_BITS < _BITS or bands > _BITS:  # a band must fit a word
            continue
        combinations = math.comb(bands, agreeing)
        if combinations > _MOST_COMBINATIONS:
            break
        collisions = left * right * 2.0 ** -(_BITS / bands * agreeing)
        seconds = combinations * ((left + right) * row_ns + collisions * pair_ns) / 1e9
        if best is None or seconds < best.seconds:
            best = Plan(bands, agreeing, seconds)
    return best


def banded(
    left: Hashes,
    right: Hashes | None,
    radius: int,
    dihedral_radius: int | None,
    plans: tuple[Plan, Plan | None],
    workers: int = 1,
    memory_mb: int = 2048,
) -> Pairs:
    """Return every pair within the radius, as :func:`~curation_dagster.core.duplicates.scan.scan` does.

    Parameters
    ----------
    plans : tuple of Plan
        For the pictures as they are, and for their variants.
    workers : int
        Threads of DuckDB.
    memory_mb : int
        Memory of DuckDB, in MiB; what does not fit goes to its temporary directory.
    """
    columns = left if right is None else right
    found = []
    with duckdb.connect(config={"threads": workers, "memory_limit": f"{memory_mb}MB"}) as connection:
        for variant in VARIANTS:
            bound, join = (radius, plans[0]) if variant.index == IDENTITY else (dihedral_radius, plans[1])
            if bound is None or join is None:
                continue
            _load(connection, "left_side", left.variant(variant), join.bands)
            _load(connection, "right_side", columns, join.bands)
            for query in _queries(join, bound, within=right is None):
                table = connection.sql(query).to_arrow_table()
                if table.num_rows:
                    found.append(
                        Pairs(
                            table["l"].to_numpy().astype(np.int64),
                            table["r"].to_numpy().astype(np.int64),
                            np.full(table.num_rows, variant.index, np.uint8),
                            table["distance"].to_numpy().astype(np.int16),
                        )
                    )
    return Pairs.joined(found)


def _load(connection: duckdb.DuckDBPyConnection, name: str, hashes: Hashes, bands: int) -> None:
    columns: dict[str, npt.NDArray[np.generic]] = {"i": np.arange(len(hashes), dtype=np.int64)}
    columns |= {f"w{k}": word for k, word in enumerate(hashes.words)}
    columns |= {f"b{k}": band for k, band in enumerate(_bands(hashes, bands))}
    source = pa.table(columns)
    connection.register("source", source)
    connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM source")
    connection.unregister("source")


def _bands(hashes: Hashes, bands: int) -> npt.NDArray[np.uint64]:
    """Return the bands, shape (bands, n). Neighbouring bits depend on each other, so each band takes every m-th."""
    values = np.zeros((bands, len(hashes)), np.uint64)
    one = np.uint64(1)
    for bit in range(_BITS):
        word, shift = divmod(bit, WORD_BITS)
        band = values[bit % bands]
        band <<= one
        band |= (hashes.words[word] >> np.uint64(shift)) & one
    return values


def _queries(join: Plan, radius: int, within: bool) -> Iterator[str]:
    distance = " + ".join(f"bit_count(xor(l.w{k}, r.w{k}))::SMALLINT" for k in range(4))
    for chosen in itertools.combinations(range(join.bands), join.agreeing):
        equal = " AND ".join(f"l.b{k} = r.b{k}" for k in chosen)
        # agreeing in an earlier band as well, the pair was found in an earlier combination
        earlier = [f"l.b{k} <> r.b{k}" for k in range(chosen[-1]) if k not in chosen]
        rest = [f"{distance} <= {radius}", *(["l.i < r.i"] if within else []), *earlier]
        yield (
            f"SELECT l.i AS l, r.i AS r, {distance} AS distance "
            f"FROM left_side l JOIN right_side r ON {equal} WHERE {' AND '.join(rest)}"
        )
