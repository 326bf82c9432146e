"""A lock that a forked child finds free, whichever thread of its parent held it."""

from __future__ import annotations

import os
from threading import RLock
from typing import Any
from weakref import WeakSet

_locks: WeakSet[ForkSafeLock] = WeakSet()


class ForkSafeLock:
    """A reentrant lock, `rlock`, that is a new one in a forked child and in a copy: `with lock.rlock: ...`.

    `with` releases the lock that it took, also where a fork within the block has put another one in its place.
    """

    def __init__(self) -> None:
        self.rlock = RLock()
        _locks.add(self)

    def __reduce__(self) -> Any:
        """Copy and pickle as an unlocked lock."""
        return ForkSafeLock, ()


def _after_fork() -> None:
    for lock in list(_locks):
        lock.rlock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
