"""Arrays before an inaccessible page: an access out of bounds ends the process.

An array ends at the last byte of a page, or begins at the first of one; the pages around it may not be accessed. What goes
too far raises no exception, it kills the process: run such tests in one of their own.
"""

import ctypes
import mmap

import numpy as np

PROT_NONE = 0  # of mprotect: a page that may not be accessed
PAGE_BYTES = mmap.PAGESIZE


class GuardedBuffer:
    """Memory between two pages that may not be accessed, for one array at a time."""

    def __init__(self, capacity=1 << 16):
        self.size = -(-capacity // PAGE_BYTES) * PAGE_BYTES
        self.memory = mmap.mmap(-1, self.size + 2 * PAGE_BYTES)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        libc = ctypes.CDLL(None, use_errno=True)
        for page in (self.start, self.start + PAGE_BYTES + self.size):
            if libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE_BYTES), PROT_NONE):
                raise OSError(ctypes.get_errno(), "mprotect")

    def place(self, array, at_end=True):
        """Return a copy of an array that lies at the end, or at the start."""
        assert array.nbytes <= self.size
        start = PAGE_BYTES + (self.size - array.nbytes if at_end else 0)
        copy = np.frombuffer(self.memory, array.dtype, array.size, start).reshape(array.shape)
        copy[...] = array
        return copy


class GuardedBuffers:
    """Guarded buffers, one for each array of a call, reused by the next call."""

    def __init__(self):
        self.pages, self.taken = [], 0

    def clear(self):
        """Make all buffers free."""
        self.taken = 0

    def place(self, array, at_end=True):
        """Return a copy of an array in memory of its own."""
        array = np.asarray(array)
        if array.nbytes > 1 << 16:
            return GuardedBuffer(array.nbytes).place(array, at_end)
        if self.taken == len(self.pages):
            self.pages.append(GuardedBuffer())
        self.taken += 1
        return self.pages[self.taken - 1].place(array, at_end)
