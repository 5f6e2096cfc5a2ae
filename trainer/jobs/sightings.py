"""Which workers were seen not to renew their leases, by this process's own monotonic clock: a wall
clock that jumps, or a database that was away, neither ends the lease of a worker that is alive nor
keeps that of a dead one. Knows no SQL.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: a lease as a row has it: the claim's token, and until when it was renewed
Seen = tuple[int, float | None]

#: a worker that is alive renews its lease several times in this part of it
_GRACE = 1 / 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sighting:
    """A lease that is not renewed: since when, and since when it was seen to be over."""

    lease: Seen
    since: float
    over_since: float | None


class Sightings:
    """Safe to use from several threads."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._sightings: dict[str, _Sighting] = {}

    def look(self, leases: Mapping[str, Seen], now: float, lease_s: float) -> list[str]:
        """Of all leases that there are, by job, at the time `now` of their clock: the jobs whose
        worker is lost. Their leases were over at an earlier look too, long enough ago for a worker
        that is alive to have renewed them.
        """
        moment = self._monotonic()
        with self._lock:
            before = self._sightings
            self._sightings = {
                job_id: _sight(before.get(job_id), lease, moment, now, lease_s)
                for job_id, lease in leases.items()
            }
            return [
                job_id
                for job_id, sighting in self._sightings.items()
                if sighting.over_since is not None
                and moment - sighting.over_since >= _GRACE * lease_s
            ]


def _sight(
    before: _Sighting | None, lease: Seen, moment: float, now: float, lease_s: float
) -> _Sighting:
    """A lease not renewed for longer than it lasts is over, whatever the wall clock says."""
    if before is None or before.lease != lease:
        before = _Sighting(lease=lease, since=moment, over_since=None)
    _, until = lease
    is_over = until is not None and (until < now or moment - before.since > lease_s)
    if not is_over:
        return _Sighting(lease=lease, since=before.since, over_since=None)
    over_since = moment if before.over_since is None else before.over_since
    return _Sighting(lease=lease, since=before.since, over_since=over_since)
