//! Cartridges for the independent reader, many at a time.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{export, python};
use crate::world::{FOREIGN, content, manifest, number};

/// A cartridge's folder, and what must be on it.
pub struct Image {
    pub folder: PathBuf,
    pub committed: Vec<u64>,
    /// Groups that may be there as well, each whole or not at all.
    pub doubtful: Vec<Vec<u64>>,
    /// The last mount did not end by an unload.
    pub crashed: bool,
}

/// Has a stranger read all of them in one process, and compares every byte.
pub fn judge<'a>(images: impl IntoIterator<Item = &'a Image>) {
    let images: Vec<&Image> = images.into_iter().collect();
    if images.is_empty() {
        return;
    }
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let place = |kind: &str, n: usize| folder.path().join(format!("{kind}-{n}"));
    let mut lines = String::new();
    for (n, image) in images.iter().enumerate() {
        export(&image.folder, &place("cartridge", n));
        let crashed = if image.crashed { "--after-crash" } else { "" };
        let (cartridge, files) = (place("cartridge", n), place("files", n));
        lines += &format!("{} --extract {} {crashed}\n", cartridge.display(), files.display());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("reader/ltfs_reader.py");
    let mut reader = python();
    reader.arg(script).arg("--batch").stdin(Stdio::piped()).stdout(Stdio::piped());
    let alone = crate::RUNNING.write();
    let mut reader = reader.spawn().unwrap_or_else(|error| panic!("python3 is needed by this test: {error}"));
    drop(alone);
    let mut input = reader.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = reader.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().count(), images.len());
    for ((n, image), answer) in images.iter().enumerate().zip(answers.lines()) {
        let report: Value = serde_json::from_str(answer).unwrap();
        assert!(report.is_object(), "the reader finds fault with {}: {report:#}", image.folder.display());
        compare(image, &place("files", n), &report);
    }
}

fn compare(image: &Image, files: &Path, report: &Value) {
    let mut found: Vec<u64> = Vec::new();
    for file in report["files"].as_array().unwrap() {
        let name = file["path"].as_str().unwrap().strip_prefix("/packs/");
        let id = name.and_then(|name| name.strip_suffix(".tar.zst"));
        if let Some(id) = id.filter(|id| *id != FOREIGN) {
            let n = number(id);
            let read = |suffix| std::fs::read(files.join("packs").join(format!("{id}{suffix}"))).unwrap();
            assert!(read(".tar.zst") == content(n), "pack {n:x} differs");
            assert_eq!(read(".manifest"), manifest(n));
            found.push(n);
        }
    }
    found.sort_unstable();
    explain(&image.committed, &image.doubtful, &found);
}

/// What was found is what was committed, and of the rest whole groups in order.
pub fn explain(committed: &[u64], doubtful: &[Vec<u64>], found: &[u64]) -> usize {
    let mut expected = committed.to_vec();
    for groups in 0..=doubtful.len() {
        expected.sort_unstable();
        if expected == found {
            return groups;
        }
        expected.extend(doubtful.get(groups).into_iter().flatten());
    }
    panic!("found {found:x?}, committed were {committed:x?}, and perhaps {doubtful:x?}");
}
