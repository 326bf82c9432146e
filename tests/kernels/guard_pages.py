"""Arrays before an inaccessible page: an access out of bounds ends the process.

An array ends at the last byte of a page, or begins at the first of one; the pages around it may not be touched. What goes
too far raises no exception, it kills the process: run such tests in one of their own.
"""

import ctypes
import mmap

import numpy as np

NONE, READ, BOTH = 0, 1, 3  # what may be done with a page, as mprotect has it
PAGE = mmap.PAGESIZE


class Pages:
    """Memory between two pages that may not be touched, used again and again."""

    def __init__(self, room=1 << 16):
        self.size = -(-room // PAGE) * PAGE
        self.memory = mmap.mmap(-1, self.size + 2 * PAGE)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        libc = ctypes.CDLL(None, use_errno=True)
        for page in (self.start, self.start + PAGE + self.size):
            if libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), NONE):
                raise OSError(ctypes.get_errno(), "mprotect")

    def place(self, array, at_end=True):
        """Return a copy of an array that lies at the end, or at the start."""
        assert array.nbytes <= self.size
        start = PAGE + (self.size - array.nbytes if at_end else 0)
        mine = np.frombuffer(self.memory, array.dtype, array.size, start).reshape(array.shape)
        mine[...] = array
        return mine


class Shelf:
    """As many of them as a call has arrays."""

    def __init__(self):
        self.pages, self.taken = [], 0

    def clear(self):
        """Use all again."""
        self.taken = 0

    def place(self, array, at_end=True):
        """Return a copy of an array in memory of its own."""
        array = np.asarray(array)
        if array.nbytes > 1 << 16:
            return Pages(array.nbytes).place(array, at_end)
        if self.taken == len(self.pages):
            self.pages.append(Pages())
        self.taken += 1
        return self.pages[self.taken - 1].place(array, at_end)
