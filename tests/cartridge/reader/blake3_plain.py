"""BLAKE3-256 in plain Python, from the published specification (BLAKE3, section 2).

Chunks of 1 024 bytes do not depend on each other, nor do the parents of one level of the tree. So they are computed side by side:
one large integer holds the same state word of all of them, 64 bits apart, the upper 32 of each lane being room for carries.
"""

import array
import sys

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
COLUMNS_AND_DIAGONALS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
CHUNK, BLOCK = 1024, 64
LANES_MAX = 1024


def blake3(data):
    """The 32 bytes of the digest of `data`."""
    whole = len(data) // CHUNK
    if whole and len(data) % CHUNK == 0:
        whole -= 1  # the last chunk may be the root, so it is never one of many
    values = []
    for first in range(0, whole, LANES_MAX):
        count = min(LANES_MAX, whole - first)
        values.extend(_chunks(data[first * CHUNK:(first + count) * CHUNK], first, count))
    root = ROOT if whole == 0 else 0
    values.append(_last_chunk(data[whole * CHUNK:], whole, root))
    while len(values) > 1:
        root = ROOT if len(values) == 2 else 0
        pairs = len(values) // 2
        parents = []
        for first in range(0, pairs, LANES_MAX):
            parents.extend(_parents(values[2 * first:2 * min(first + LANES_MAX, pairs)], root))
        values = parents + values[2 * pairs:]
    return b"".join(word.to_bytes(4, "little") for word in values[0])


def _compress(chaining, message, counter, length, flags, lanes):
    ones = _spread([1] * lanes)
    mask = ones * 0xFFFFFFFF
    low = _spread([number & 0xFFFFFFFF for number in counter])
    high = _spread([number >> 32 for number in counter])
    v = list(chaining) + [ones * word for word in IV[:4]] + [low, high, ones * length, ones * flags]
    m = message
    for _ in range(7):
        for step, (a, b, c, d) in enumerate(COLUMNS_AND_DIAGONALS):
            v[a] = (v[a] + v[b] + m[2 * step]) & mask
            x = v[d] ^ v[a]
            v[d] = ((x >> 16) | (x << 16)) & mask
            v[c] = (v[c] + v[d]) & mask
            x = v[b] ^ v[c]
            v[b] = ((x >> 12) | (x << 20)) & mask
            v[a] = (v[a] + v[b] + m[2 * step + 1]) & mask
            x = v[d] ^ v[a]
            v[d] = ((x >> 8) | (x << 24)) & mask
            v[c] = (v[c] + v[d]) & mask
            x = v[b] ^ v[c]
            v[b] = ((x >> 7) | (x << 25)) & mask
        m = [m[word] for word in PERMUTATION]
    return [v[word] ^ v[word + 8] for word in range(8)]


def _chunks(data, first, count):
    words = _words(data)
    chaining = [_spread([word] * count) for word in IV]
    counter = range(first, first + count)
    for block in range(16):
        message = [_spread(words[block * 16 + word::256]) for word in range(16)]
        flags = (CHUNK_START if block == 0 else 0) | (CHUNK_END if block == 15 else 0)
        chaining = _compress(chaining, message, counter, BLOCK, flags, count)
    return _gather(chaining, count)


def _last_chunk(data, number, root):
    chaining = list(IV)
    blocks = max(1, -(-len(data) // BLOCK))
    for block in range(blocks):
        piece = data[block * BLOCK:(block + 1) * BLOCK]
        flags = CHUNK_START if block == 0 else 0
        if block == blocks - 1:
            flags |= CHUNK_END | root
        message = list(_words(bytes(piece).ljust(BLOCK, b"\0")))
        chaining = _compress(chaining, message, [number], len(piece), flags, 1)
    return tuple(chaining)


def _parents(children, root):
    count = len(children) // 2
    message = [_spread([left[word] for left in children[0::2]]) for word in range(8)]
    message += [_spread([right[word] for right in children[1::2]]) for word in range(8)]
    chaining = [_spread([word] * count) for word in IV]
    return _gather(_compress(chaining, message, [0] * count, BLOCK, PARENT | root, count), count)


def _words(data):
    words = array.array("I", bytes(data))
    if sys.byteorder == "big":
        words.byteswap()
    return words


def _spread(numbers):
    lanes = array.array("Q", numbers)
    if sys.byteorder == "big":
        lanes.byteswap()
    return int.from_bytes(lanes.tobytes(), "little")


def _gather(words, lanes):
    columns = []
    for word in words:
        column = array.array("Q", word.to_bytes(8 * lanes, "little"))
        if sys.byteorder == "big":
            column.byteswap()
        columns.append(column)
    return list(zip(*columns))
