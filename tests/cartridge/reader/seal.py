"""Sealed packs, sealed notes and keyrings, by what tapelib/volume/FORMAT.md says and nothing else.

AES-256-GCM is that of OpenSSL's libcrypto: a third implementation, beside the two the product has.
"""

import base64
import ctypes
import struct

from blake3_plain import blake3
from tape_files import Violation

MAGIC, PACK, NOTE = b"tgsealed", 1, 2
TAG, SLOT = 16, 136
SET_TAG = 0x11  # EVP_CTRL_GCM_SET_TAG
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Keyring:
    """Keys by name and version, from the text form."""

    def __init__(self, text=""):
        self.keys, ended = {}, not text
        for line in text.splitlines():
            if not line or line.startswith("#"):
                continue
            _require(not ended, "a line after the end of the keyring")
            if line.startswith("end "):
                _require(int(line[4:]) == len(self.keys), "the count of the keyring")
                ended = True
                continue
            checked, check = line.rsplit(" ", 1)
            kind, version, name, number, _time, state, secret = checked.split(" ")
            _require((kind, version) == ("tapegate-key", "1") and state in ("active", "retired"), "a line of the keyring")
            _require(blake3(checked.encode()).hex()[:16] == check, "the check of a key")
            self.keys[name, int(number)] = bytes.fromhex(secret)
        _require(ended, "the end of the keyring")

    def unwrap(self, before, slot):
        """The data key in a key slot, and the name of its sealing key."""
        name, number = slot[:64].rstrip(b"\0").decode("ascii"), int.from_bytes(slot[64:68], "big")
        key = self.keys.get((name, number))
        if key is None:
            raise Violation(f"the key {name}:{number} is needed")
        if blake3(b"tapegate key check 1" + key)[:8] != slot[68:76]:
            raise Violation(f"the key {name}:{number} is another one")
        return decrypt(key, slot[76:88], before + slot[:76], slot[88:], "the wrapped key"), f"{name}:{number}"


class Sealed:
    """A sealed pack as the pack inside; `read(offset, count)` gives bytes of its file, which has `length`."""

    def __init__(self, read, length, keyring):
        start = read(0, 16)
        _require(start[:12] == MAGIC + struct.pack(">HH", 1, PACK), "the beginning of a sealed pack")
        self.block = int.from_bytes(start[12:], "big")
        _require(4096 <= self.block <= 8 << 20 and length > self.block + TAG, "the size of its blocks")
        header = read(0, self.block)
        self.digest = header[-32:]
        _require(blake3(header[:-32]) == self.digest, "the digest of its header")
        _require(not header[32 + SLOT:-32].strip(b"\0"), "the zeros of its header")
        self.id, self.file, self.plain_block = header[16:32], read, self.block - TAG
        self.key, self.key_name = keyring.unwrap(header[:32], header[32:32 + SLOT])
        self.blocks = -(-length // self.block) - 1
        self.last = length - self.blocks * self.block
        _require(self.last > TAG, "the length of its last block")
        self.length = (self.blocks - 1) * self.plain_block + self.last - TAG

    def name(self):
        """The pack id in the header, as text."""
        number = int.from_bytes(self.id, "big")
        return "".join(ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))

    def read(self, offset, count):
        """Bytes of the pack inside, from the blocks that hold them."""
        first, end = offset // self.plain_block, -(-(offset + count) // self.plain_block)
        plain = b"".join(self._open(number + 1) for number in range(first, end))
        return plain[offset - first * self.plain_block:][:count]

    def _open(self, number):
        last = number == self.blocks
        data = self.file(number * self.block, self.last if last else self.block)
        counter = number.to_bytes(8, "big")
        bound = self.id + self.digest + counter + bytes([last])
        return decrypt(self.key, bytes(4) + counter, bound, data, f"block {number}")


def note(data, about, keyring):
    """What a sealed note holds."""
    _require(data[:12] == MAGIC + struct.pack(">HH", 1, NOTE), "the beginning of a sealed note")
    head = data[:12 + SLOT]
    key, _ = keyring.unwrap(head[:12], head[12:])
    _require((len(data) - len(head) - TAG) % 512 == 0, "the length of a sealed note")
    plain = decrypt(key, bytes(12), head + about.encode("ascii"), data[len(head):], f"the note of {about}")
    length = int.from_bytes(plain[:4], "big")
    _require(length <= len(plain) - 4 and not plain[4 + length:].strip(b"\0"), "the padding of a sealed note")
    return plain[4:4 + length]


def text_note(text, about, keyring):
    """What a sealed note holds that stands as text."""
    return note(base64.b64decode(text + "=" * (-len(text) % 4), validate=True), about, keyring).decode()


def decrypt(key, nonce, bound, data, what):
    """AES-256-GCM: the plaintext of ciphertext and tag, bound to associated data."""
    crypto = _crypto()
    context = ctypes.c_void_p(crypto.EVP_CIPHER_CTX_new())
    ciphertext, tag = data[:-TAG], data[-TAG:]
    out, written = ctypes.create_string_buffer(len(ciphertext) + TAG), ctypes.c_int()
    try:
        steps = (
            crypto.EVP_DecryptInit_ex(context, ctypes.c_void_p(crypto.EVP_aes_256_gcm()), None, key, nonce),
            crypto.EVP_DecryptUpdate(context, None, ctypes.byref(written), bound, len(bound)),
            crypto.EVP_DecryptUpdate(context, out, ctypes.byref(written), ciphertext, len(ciphertext)),
            crypto.EVP_CIPHER_CTX_ctrl(context, SET_TAG, TAG, tag),
        )
        genuine = crypto.EVP_DecryptFinal_ex(context, ctypes.byref(out, len(ciphertext)), ctypes.byref(written))
    finally:
        crypto.EVP_CIPHER_CTX_free(context)
    _require(steps == (1, 1, 1, 1) and genuine == 1, f"{what}: not what was sealed")
    return out.raw[:len(ciphertext)]


def _crypto():
    crypto = ctypes.CDLL("libcrypto.so.3")
    for function in ("EVP_CIPHER_CTX_new", "EVP_aes_256_gcm"):
        getattr(crypto, function).restype = ctypes.c_void_p
    return crypto


def _require(condition, what):
    if not condition:
        raise Violation(f"{what}: not as the format says")
