"""What is known of an adapter that is loaded. Knows no lease and no load."""

from __future__ import annotations

import asyncio

from adapters_registry.values import Version


class Resident:
    """A digest that is loaded, or is being loaded."""

    __slots__ = (
        "digest", "host_bytes", "is_loaded", "is_unwanted", "leases", "load", "num_bytes",
        "pinned_bytes", "tenant",
    )  # fmt: skip

    def __init__(self, version: Version) -> None:
        self.digest = version.digest
        #: whose call leased it first since it was idle
        self.tenant = version.tenant
        self.load: asyncio.Task[None]
        #: no longer published: unloaded once nobody leases it
        self.is_unwanted = False
        self.is_loaded = False
        self.leases = 0
        #: what it takes in host memory: while it is being loaded, the size of its files; 0 before
        self.host_bytes = 0
        #: what its leases keep from others, from the first call that waits for it
        self.pinned_bytes = version.num_bytes
        #: what a slot of it costs
        self.num_bytes = 0
