#!/usr/bin/env python3
"""Reads a cartridge in its directory form, checks it, and writes out what is on it.

    ltfs_reader.py CARTRIDGE [--after-crash] [--extract DIR] [--packs] [--member PACK ID FILE] [--keyring FILE]
    ltfs_reader.py --batch < LINES

Prints a report as JSON. Exit 1, with every reason on stderr, when anything is not as the LTFS 2.4 format (and, with --packs, the
pack format) says. In a batch every line of input is a command line, and every line of output a report, or a list of reasons.
Python's standard library, the zstd program and, for sealed packs, libcrypto only.
"""

import argparse
import json
import os
import sys

from blake3_plain import blake3
from ltfs_check import Volume
from pack_reader import Pack, check_frame, expand, require
from seal import Keyring, Sealed, note, text_note
from tape_files import Violation

PACK_SUFFIX, SEALED_SUFFIX, MANIFEST_SUFFIX = ".tar.zst", ".sealed", ".manifest"


def main():
    """The program."""
    if sys.argv[1:] == ["--batch"]:
        for line in sys.stdin:
            report, faults = judge(arguments(line.split()))
            print(json.dumps(faults or report), flush=True)
        return
    report, faults = judge(arguments())
    if faults:
        for fault in faults:
            print(f"ltfs_reader: {fault}", file=sys.stderr)
        sys.exit(1)
    json.dump(report, sys.stdout, ensure_ascii=True, indent=1)
    print()


def judge(options):
    """What is on a cartridge, and what is wrong with it."""
    try:
        volume = Volume(options.cartridge, options.after_crash)
        faults = volume.faults + volume.torn if volume.faults else []
        return ({}, faults) if faults else (read(volume, options), [])
    except (Violation, OSError) as error:
        return {}, [str(error)]


def arguments(words=None):
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cartridge", help="the directory")
    parser.add_argument("--after-crash", action="store_true", help="the last mount did not end by an unload")
    parser.add_argument("--extract", metavar="DIR", help="write every file below this directory, which must not exist")
    parser.add_argument("--packs", action="store_true", help="check packs and journals too")
    parser.add_argument("--member", nargs=3, metavar=("PACK", "ID", "FILE"), help="write one member of a pack to a file")
    parser.add_argument("--keyring", metavar="FILE", help="the keys of sealed packs")
    return parser.parse_args(words)


def read(volume, options):
    """What is on a volume that is as it should be."""
    report = describe(volume)
    keyring = Keyring()
    if options.keyring:
        with open(options.keyring, encoding="ascii") as text:
            keyring = Keyring(text.read())
    if options.extract:
        extract(volume, options.extract)
    if options.packs:
        report["packs"] = packs(volume, keyring)
        report["journals"] = journals(volume, keyring)
    if options.member:
        report["member"] = member(volume, keyring, *options.member)
    return report


def describe(volume):
    """What the volume says of itself."""
    index = volume.index
    files = [
        {"path": file.path, "bytes": file.length, "start": file.extents[0][2] if file.extents else None,
         "attributes": file.attributes}
        for file in index.files.values()
    ]
    return {
        "serial": volume.label.serial, "uuid": index.uuid, "name": index.name, "creator": index.creator,
        "attributes": index.attributes, "block_bytes": volume.label.block_bytes, "generation": index.generation,
        "generations": [older.generation for older in volume.indexes], "end": index.end + 1, "tail": volume.tail,
        "index_partition_generation": volume.copy.generation if volume.copy else None,
        "unlisted": volume.unlisted, "files": files,
    }


def extract(volume, folder):
    """Writes every file."""
    os.mkdir(folder)
    for file in volume.index.files.values():
        parts = file.path.split("/")[1:]
        require(not {"", ".", ".."} & set(parts), f"the path {file.path}")
        path = os.path.join(folder, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as out:
            out.write(volume.read(file))


def packs(volume, keyring):
    """Checks every pack and its manifest file."""
    files, found = volume.index.files, {}
    for path, file in files.items():
        one = [(extent[0], extent[3], extent[4]) for extent in file.extents] == [(0, 0, file.length)]
        require(one, f"the extents of {path}: one, from the beginning of a block")
        if not path.startswith("/packs/"):
            continue
        stem = path.removesuffix(PACK_SUFFIX).removesuffix(SEALED_SUFFIX).removesuffix(MANIFEST_SUFFIX)
        one = (stem + PACK_SUFFIX in files) != (stem + SEALED_SUFFIX in files)
        require(stem != path and one and stem + MANIFEST_SUFFIX in files, f"{path} in /packs")
        if path.endswith(MANIFEST_SUFFIX):
            continue
        whole = volume.read(file)
        require(file.attributes.get("tapegate.blake3") == blake3(whole).hex(), f"the digest of {path}")
        manifest = volume.read(files[stem + MANIFEST_SUFFIX])
        pack = open_pack(volume, file, keyring)
        require(stem == f"/packs/{pack.id}", f"the name {path}")
        if path.endswith(SEALED_SUFFIX):
            manifest = note(manifest, f"manifest {pack.id}", keyring)
        found[pack.id] = pack.check(manifest)
    return found


def open_pack(volume, file, keyring):
    """A pack, out of its seal if it has one."""
    def read(offset, count):
        return volume.read(file, offset, count)
    if not file.path.endswith(SEALED_SUFFIX):
        return Pack(read, file.length)
    sealed = Sealed(read, file.length, keyring)
    pack = Pack(sealed.read, sealed.length)
    require(pack.id == sealed.name(), f"the id in the header of {file.path}")
    return pack


def journals(volume, keyring):
    """Reads every journal: one frame with a checksum, lines of JSON, numbered from 1."""
    found = []
    for path, file in volume.index.files.items():
        if not path.startswith("/.tapegate/"):
            continue
        number = len(found) + 1
        require(path == f"/.tapegate/journal-{number}.zst", f"the name {path}, journal {number}")
        data = volume.read(file)
        check_frame(data, None)
        text = expand(data).decode()
        require(text.endswith("\n"), f"the last line of {path}")
        header, *entries = [json.loads(line) for line in text.split("\n")[:-1]]
        expected = {
            "format": "tapegate-journal", "version": 1, "volume": volume.index.uuid,
            "catalog": volume.index.attributes.get("tapegate.catalog"), "seq": number,
        }
        require(header == expected, f"the first line of {path}: {header}")
        found.append([unsealed(entry, keyring) for entry in entries])
    return found


def unsealed(entry, keyring):
    """An entry of a journal, its text out of its seal if it has one. A text in clear is a JSON object."""
    fields = {"record_changed": "record", "bucket_kept": "settings"}
    field = fields.get(entry["event"])
    if field is None or entry[field].startswith("{"):
        return entry
    about = f"record {entry['archive']}" if field == "record" else "bucket"
    return entry | {field: text_note(entry[field], about, keyring)}


def member(volume, keyring, identifier, archive, path):
    """Writes one member, reading as little of its pack as can be; says how much that was."""
    names = [f"/packs/{identifier}{suffix}" for suffix in (PACK_SUFFIX, SEALED_SUFFIX)]
    file = next((volume.index.files[name] for name in names if name in volume.index.files), None)
    require(file is not None, f"a pack {identifier}")
    volume.data.touched.clear()
    pack = open_pack(volume, file, keyring)
    data, line = pack.member(archive)
    with open(path, "xb") as out:
        out.write(data)
    blocks = -(-file.length // volume.label.block_bytes)
    return {"key": line["record"]["key"], "blocks_read": len(volume.data.touched), "blocks": blocks}


if __name__ == "__main__":
    main()
