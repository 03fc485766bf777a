"""The stock Debian kernel in QEMU, with a library's units behind its own drivers (sg, st, ch).

The kernel package is downloaded and unpacked, never installed; no KVM is used; nothing of the guest outlives it. The
guest has no disk and no network: what it runs is in its memory, what it says comes over its console.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from libraries.tgt import TARGET
from report import Failed, check
from stores.process import run

# Those that are part of the kernel itself are passed over.
MODULES = ["virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "scsi_common",
           "scsi_mod", "sg", "st", "ch", "virtio_scsi"]
APPLETS = ["sh", "mount", "insmod", "cat", "ls", "grep", "sed", "cmp", "poweroff", "mkdir", "basename", "usleep",
           "seq", "ifconfig", "kill"]
DOWNLOAD_SECONDS = 300
SCRIPT = Path(__file__).with_name("guest.sh")


class Kernel:
    """The kernel that Debian installs by default, kept unpacked in `cache`."""

    def __init__(self, cache):
        depends = run("apt-cache", "depends", "linux-image-amd64")
        found = re.search(r"Depends: (linux-image-\S+)", depends)
        check(found, f"no kernel in: {depends}")
        self.folder = Path(cache).resolve() / found[1]
        if not self.folder.is_dir():
            self.download(found[1])
        (self.image,) = self.folder.glob("boot/vmlinuz-*")

    def download(self, package):
        partial = self.folder.with_name(f"{self.folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        subprocess.run(["apt-get", "download", "-qq", package], cwd=partial, check=True, timeout=DOWNLOAD_SECONDS,
                       stderr=subprocess.DEVNULL)
        (archive,) = partial.glob("*.deb")
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as unpacked:
            subprocess.run(["tar", "-x", "-C", partial, "--wildcards", "./boot/vmlinuz-*", "./lib/modules/*/kernel/drivers/virtio/*",
                            "./lib/modules/*/kernel/drivers/scsi/*"], stdin=unpacked.stdout, check=True)
        archive.unlink()
        partial.rename(self.folder)

    def modules(self):
        for name in MODULES:
            yield from self.folder.glob(f"lib/modules/**/{name}.ko")


def boot(kernel, library, folder, programs, seconds):
    """Starts a guest that has `programs` (name to path) and the library's units, and runs `guest.sh` in it. Gives what
    came over the console; fails when it has not ended in time."""
    root = Path(folder) / "root"
    lay_out(root, kernel, library, programs)
    initrd = Path(folder) / "initrd"
    with open(initrd, "wb") as out:
        names = subprocess.run(["find", "."], cwd=root, capture_output=True, check=True).stdout
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names, stdout=out, check=True)
    command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-M", "q35", "-m", "1024", "-smp", "2",
               "-nographic", "-nodefaults", "-no-reboot", "-serial", "stdio", "-monitor", "none", "-net", "none",
               "-kernel", kernel.image, "-initrd", initrd, "-append", "console=ttyS0 quiet loglevel=3 panic=-1",
               "-device", "virtio-scsi-pci,id=bus"]
    for unit in [*library.drives, library.changer]:
        number = unit["unit"]
        command += ["-drive", f"file=iscsi://{library.portal}/{TARGET}/{number},if=none,id=unit{number},format=raw",
                    "-device", f"scsi-generic,drive=unit{number},bus=bus.0,scsi-id=0,lun={number}"]
    try:
        done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", timeout=seconds)
    except subprocess.TimeoutExpired as late:
        said = (late.stdout or b"").decode(errors="replace")
        raise Failed(f"the guest has not ended after {seconds} s:\n{said[-4000:]}") from late
    check(done.returncode == 0, f"qemu exits with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout.replace("\r", "")


def lay_out(root, kernel, library, programs):
    """The guest's files: busybox, the programs with their libraries, and the kernel's modules."""
    for name in ["bin", "dev", "proc", "sys", "tmp", "modules"]:
        (root / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), root / "bin/busybox")
    for applet in APPLETS:
        os.symlink("busybox", root / "bin" / applet)
    for name, path in programs.items():
        check(path, f"{name} is not installed")
        # Everything here is in the guest's memory, and what a debugger wants is most of a binary of ours.
        run("strip", "-o", root / "bin" / name, path)
        for needed in re.findall(r"(/\S+) \(0x", run("ldd", path)):
            place = root / needed.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(needed, place)
    for module in kernel.modules():
        shutil.copy(module, root / "modules")
    shutil.copy(library.description, root / "library.json")
    shutil.copy(SCRIPT, root / "init")
    (root / "init").chmod(0o755)
