"""Mutations of files: of bits, bytes, chunks, lengths and numbers, and of JSON values."""

import copy
import json
import re
import struct

NASTY_INTEGERS = (0, 1, -1, 2, 127, 128, 255, 256, 32767, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
NASTY_NUMBERS = (b"0", b"-1", b"1e400", b"nan", b"999999999999", b"4294967296", b"0x7f", b"1.5", b"30000", b"")
NASTY_BYTES = (
    b"\0",
    b"\xff",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\r\n",
    b'"',
    b",",
    b";",
    b"../",
    b"\x1b[31m",
    b"{",
    b"]" * 300,
)
NASTY_VALUES = (
    None, True, False, 0, -1, 1, 1.5, -0.0, 10**30, 2**53, 1e308, float("inf"), float("nan"), "", "x", "0", "\0", "\ud800",
    "\x1b[31m", "../../etc", "x" * 5000, [], [[]], {}, {"kind": "SGD"}, {"kind": "Warmup", "then": {}}, [1, 2, 3], [None],
    30_000, [30_000, 30_000, 3], [1_000_000_000],
)  # fmt: skip
WHOLE_NUMBER = re.compile(rb"\d+")


def mutated(data, random):
    """Return bytes with one to four mutations."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data = random.choice(MUTATIONS)(data, random)
    return data


def flip_bit(data, random):
    return put(data, at := place(data, random), bytes([data[at] ^ 1 << random.randrange(8)]) if data else b"\1")


def set_byte(data, random):
    return put(data, place(data, random), bytes([random.choice((0, 1, 127, 128, 255, random.randrange(256)))]))


def set_integer(data, random):
    """Write an extreme integer of 2, 4 or 8 bytes, in either order: lengths, sizes and offsets lie so in binary files."""
    size, letter = random.choice(((2, "H"), (4, "I"), (8, "Q")))
    number = random.choice(NASTY_INTEGERS) % (1 << 8 * size)
    at = place(data, random) // random.choice((1, 2, 4)) * random.choice((1, 2, 4))
    return put(data, min(at, len(data)), struct.pack(random.choice("<>") + letter, number))


def set_number(data, random):
    """Write another number in place of one in digits."""
    found = list(WHOLE_NUMBER.finditer(data[:20_000]))
    if not found:
        return set_integer(data, random)
    match = random.choice(found)
    return data[: match.start()] + random.choice(NASTY_NUMBERS) + data[match.end() :]


def truncate(data, random):
    return data[: place(data, random)]


def remove(data, random):
    at = place(data, random)
    return data[:at] + data[at + random.choice((1, 2, 4, 16, 200)) :]


def repeat(data, random):
    at, size = place(data, random), random.choice((1, 4, 16, 200, 5000))
    return data[:at] + data[at : at + size] * random.choice((2, 3, 50)) + data[at + size :]


def insert(data, random):
    at = place(data, random)
    return data[:at] + random.choice((*NASTY_BYTES, random.randbytes(random.randrange(1, 40)))) + data[at:]


def swap(data, random):
    a, b = sorted((place(data, random), place(data, random)))
    size = min(random.choice((1, 4, 32)), b - a)
    return data[:a] + data[b : b + size] + data[a + size : b] + data[a : a + size] + data[b + size :]


def randomize(data, random):
    at = place(data, random)
    return put(data, at, random.randbytes(random.choice((1, 4, 16, 64))))


MUTATIONS = (
    flip_bit, flip_bit, set_byte, set_integer, set_integer, set_number, truncate, remove, repeat, insert, swap, randomize,
)  # fmt: skip


def place(data, random):
    """Return a position; the head of a file, where its sizes are, is drawn more often."""
    if not data:
        return 0
    return random.randrange(min(len(data), random.choice((16, 64, 400, len(data)))))


def put(data, at, piece):
    return data[:at] + piece + data[at + len(piece) :]


def mutated_json(data, random):
    """Return JSON in which some values are others, or bytes of it are."""
    if random.random() < 0.3:
        return mutated(json.dumps(data).encode(), random)
    data = copy.deepcopy(data)
    for _ in range(random.choice((1, 1, 2, 3))):
        data = changed_value(data, random)
    return json.dumps(data).encode()


def changed_value(data, random, depth=0):
    """Return a value with one value in it changed, removed, renamed or added."""
    if not isinstance(data, (dict, list)) or not data or (depth and random.random() < 0.2):
        return copy.deepcopy(random.choice(NASTY_VALUES))
    key = random.choice(list(data)) if isinstance(data, dict) else random.randrange(len(data))
    deed = random.random()
    if deed < 0.1:
        del data[key]
    elif deed < 0.15 and isinstance(data, dict):
        data[random.choice(("nan", "x", "", "flat", "__class__"))] = data.pop(key)
    elif deed < 0.2 and isinstance(data, list):
        data.insert(key, copy.deepcopy(random.choice(data)))
    elif deed < 0.25 and isinstance(data, dict):
        data[key] = copy.deepcopy(random.choice(list(data.values())))
    else:
        data[key] = changed_value(data[key], random, depth + 1)
    return data
