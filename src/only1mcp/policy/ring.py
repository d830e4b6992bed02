"""A ring of hashes: which replica a key belongs to, so that few keys move when replicas do.

Each replica owns `virtual_nodes` points per unit of its weight; a key belongs to the next point
clockwise. A replica that is away is passed over and its keys alone go elsewhere. All replicas
of the configuration are on the ring all the time: it is built once, and equal in every gateway.

Cost    one hash and one binary search; the points are made when a server starts.
Source  D. Karger et al., "Consistent Hashing and Random Trees", 1997.
"""

from bisect import bisect
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Final

MAX_POINTS: Final = 1 << 17
"""Of one ring, a few megabytes; heavy weights of many replicas get fewer points for each unit."""


class Ring:
    """The points of a group of replicas, given by id and weight."""

    __slots__ = ("_ids", "_owners", "_points")

    def __init__(self, weights: Mapping[str, int], virtual_nodes: int) -> None:
        wanted = sum(weights.values()) * virtual_nodes
        scale = min(1.0, MAX_POINTS / wanted) if wanted else 1.0
        self._ids = tuple(weights)
        points = [
            (_hash(f"{id}:{number}"), place)
            for place, id in enumerate(self._ids)
            for number in range(max(1, int(weights[id] * virtual_nodes * scale)))
        ]
        points.sort()
        self._points = [point for point, _ in points]
        self._owners = [place for _, place in points]

    def walk(self, key: str) -> Iterator[str]:
        """The ids in the order in which `key` prefers them, each once."""
        ids, owners = self._ids, self._owners
        size = len(owners)
        start = bisect(self._points, _hash(key)) % size if size else 0
        seen: set[int] = set()
        for step in range(size):
            owner = owners[(start + step) % size]
            if owner not in seen:
                seen.add(owner)
                yield ids[owner]
                if len(seen) == len(ids):
                    return


def _hash(text: str) -> int:
    # keys come from clients: a hash whose collisions can be computed would let them choose
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
