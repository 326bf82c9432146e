"""Object files: machine code of the cache, loaded without LLVM, which takes 90 MB and 0.3 s of each process.

LLVM writes a kernel as an ELF object file (x86-64, large code model): sections of code and constants, and relocations, the
places in them that hold an address. To load one is to copy its sections into memory, to write the addresses, and to make the
memory executable. All relocations are of one kind, a 64-bit address. A file that has another one, or that calls a function
that is not in the C library, is left to LLVM.

A kernel's entry also calls the C API of Python and Numba where the kernel raises an exception. No kernel does, but for an
error in it: these calls then do nothing, and a line on standard error tells.

Source: "System V Application Binary Interface, AMD64 Architecture Processor Supplement", chapter 4.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import struct
import sys
from contextlib import suppress
from functools import cache
from typing import NamedTuple

from byhand.translation import translate

SUPPORTED = sys.platform == "linux" and platform.machine() == "x86_64"

# Of the ELF format.
MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little-endian
EM_X86_64 = 62
R_X86_64_64 = 1  # the relocation: address of a symbol + addend
SHT_SYMTAB, SHT_RELA, SHT_NOBITS, SHT_X86_64_UNWIND = 2, 4, 8, 0x70000001
SHF_WRITE, SHF_ALLOC = 1, 2
SHN_UNDEF, SHN_LORESERVE = 0, 0xFF00

RETURN_ZERO = b"\x31\xc0\xc3"  # xor eax, eax; ret
NULL_OFFSET = 8  # of a null pointer, after this function

# What an entry reads and calls where its kernel raises an exception, the first call first.
RAISED = "numba_gil_ensure"
AFTER_RAISED = {
    *("numba_unpickle", "numba_do_raise", "numba_runtime_build_excinfo_struct", "numba_gil_release"),
    *("NRT_Free", "NRT_MemInfo_call_dtor", "Py_DecRef", "PyUnicode_FromString", "PyBytes_FromStringAndSize"),
    *("PyErr_SetString", "PyErr_SetNone", "PyErr_Clear", "PyErr_WriteUnraisable"),
}
EXCEPTIONS = {"PyExc_SystemError", "PyExc_StopIteration", "PyExc_RuntimeError"}


class UnsupportedObjectError(Exception):
    """The file is one that LLVM must load."""


class Section(NamedTuple):
    """A row of the table of sections."""

    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


class Symbol(NamedTuple):
    """A row of the table of symbols."""

    name: str
    section: int
    value: int


def load(content: bytes, entry: str) -> int | None:
    """Return the address of a symbol of an object file, which is loaded; None where LLVM must load it."""
    if not SUPPORTED:
        return None
    with suppress(UnsupportedObjectError, OSError, struct.error, IndexError, ValueError, OverflowError):
        return _load(content, entry)
    return None


def _load(content: bytes, entry: str) -> int:
    sections = _sections(content)
    # Constants lie with the code. Nothing that is written to is loaded: a relocation that needs it is not supported.
    loaded = [
        i
        for i, section in enumerate(sections)
        if section.flags & (SHF_ALLOC | SHF_WRITE) == SHF_ALLOC and section.kind not in (SHT_X86_64_UNWIND, SHT_NOBITS)
    ]
    offsets, end = {}, 0
    for i in loaded:
        alignment = max(1, sections[i].alignment)
        offsets[i] = -(-end // alignment) * alignment
        end = offsets[i] + sections[i].size
    memory = mmap.mmap(-1, max(1, end), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    symbols = _symbols(content, sections)

    def address_of(symbol: Symbol) -> int:
        if symbol.section == SHN_UNDEF:
            return _external(symbol.name)
        if symbol.section not in offsets:
            raise UnsupportedObjectError(symbol.name)
        return base + offsets[symbol.section] + symbol.value

    for i in loaded:
        section = sections[i]
        memory[offsets[i] : offsets[i] + section.size] = content[section.offset : section.offset + section.size]
    for table in sections:
        if table.kind == SHT_RELA and table.info in offsets:
            rows = content[table.offset : table.offset + table.size]
            for place, kind, addend in struct.iter_unpack("<QQq", rows):
                if kind & 0xFFFFFFFF != R_X86_64_64:
                    raise UnsupportedObjectError(f"relocation {kind & 0xFFFFFFFF}")
                value = address_of(symbols[kind >> 32]) + addend
                struct.pack_into("<Q", memory, offsets[table.info] + place, value & 0xFFFFFFFFFFFFFFFF)
    address = address_of(next((symbol for symbol in symbols if symbol.name == entry), Symbol(entry, SHN_UNDEF, 0)))
    _make_executable(memory, base)
    return address


def _sections(content: bytes) -> list[Section]:
    """Return the table of sections."""
    machine = struct.unpack_from("<H", content, 18)[0]
    if content[: len(MAGIC)] != MAGIC or machine != EM_X86_64:
        raise UnsupportedObjectError(f"machine {machine}")
    start = struct.unpack_from("<Q", content, 40)[0]
    size, count = struct.unpack_from("<HH", content, 58)
    return [Section(*struct.unpack_from("<IIQQQQIIQQ", content, start + size * i)) for i in range(count)]


def _symbols(content: bytes, sections: list[Section]) -> list[Symbol]:
    """Return the table of symbols."""
    table = next((section for section in sections if section.kind == SHT_SYMTAB), None)
    if table is None:
        raise UnsupportedObjectError("no symbols")
    names = sections[table.link]
    rows = struct.iter_unpack("<IBBHQQ", content[table.offset : table.offset + table.size])
    symbols = []
    for name, _, _, section, value, _ in rows:
        start = names.offset + name
        text = content[start : content.index(b"\0", start)].decode()
        if section >= SHN_LORESERVE:  # an absolute value, or the name of a source file
            section = -1
        symbols.append(Symbol(text, section, value))
    return symbols


_mappings: list[mmap.mmap] = []  # never freed: threads may run the code until the process ends


def _make_executable(memory: mmap.mmap, base: int) -> None:
    """Make memory readable and executable, and no longer writable; raises UnsupportedObjectError where that is forbidden."""
    size = -(-len(memory) // mmap.PAGESIZE) * mmap.PAGESIZE
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    if protect(ctypes.c_void_p(base), ctypes.c_size_t(size), mmap.PROT_READ | mmap.PROT_EXEC) != 0:
        raise UnsupportedObjectError("mprotect")
    _mappings.append(memory)


@cache
def _external(name: str) -> int:
    """Return the address of a function of the C library, or of one that stands for the API of Python and Numba."""
    if name == RAISED:
        return ctypes.cast(_tell_exception, ctypes.c_void_p).value or 0
    if name in AFTER_RAISED:
        return _nothing()
    if name in EXCEPTIONS:
        return _nothing() + NULL_OFFSET
    try:
        function = getattr(ctypes.CDLL(None), name)
    except AttributeError:
        raise UnsupportedObjectError(name) from None
    return ctypes.cast(function, ctypes.c_void_p).value or 0


@cache
def _nothing() -> int:
    """Return the address of a function that does nothing and returns 0, with a null pointer after it."""
    memory = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory[: len(RETURN_ZERO)] = RETURN_ZERO
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    _make_executable(memory, base)
    return base


def _tell() -> None:
    text = translate("byhand: a kernel raised an exception; BYHAND_DEBUG=1 tells where")
    print(text, file=sys.stderr, flush=True)


_tell_exception = ctypes.CFUNCTYPE(None)(_tell)
