//! Rules of the house that a compiler does not check: who may import whom, which third-party package lives in which
//! room, how long files and functions may be, and words that must not be left behind.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Room, its crate, and the crates of ours it may import. The floors are drawn in ARCHITECTURE.md.
const ROOMS: &[(&str, &str, &[&str])] = &[
    ("lifecycle/model", "model", &[]),
    ("gateway/dialect", "dialect", &["model"]),
    ("gateway/store", "store", &["dialect", "model"]),
    ("gateway/edge", "edge", &["dialect", "model"]),
    ("lifecycle/catalog", "catalog", &["model"]),
    ("lifecycle/engine", "engine", &["model", "library", "volume"]),
    ("tapelib/scsi", "scsi", &[]),
    ("tapelib/volume", "volume", &[]),
    ("tapelib/virtual", "virtual-library", &["scsi"]),
    ("tapelib/library", "library", &["scsi", "volume"]),
    ("gateway/console", "console", &["model"]),
    (
        "gateway/daemon",
        "tapegate",
        &[
            "model",
            "dialect",
            "store",
            "edge",
            "catalog",
            "engine",
            "scsi",
            "volume",
            "virtual-library",
            "library",
            "console",
        ],
    ),
];

/// Third-party packages that live in these rooms only.
const TENANTS: &[(&str, &[&str])] = &[
    ("redb", &["catalog", "store"]),
    ("quick-xml", &["dialect", "volume"]),
    ("zstd", &["volume", "catalog"]),
    ("aws-lc-rs", &["volume"]),
    ("aes-gcm", &["volume"]),
    ("hyper", &["store", "edge"]),
    ("hyper-util", &["store", "edge"]),
    ("hyper-rustls", &["store"]),
    ("rustls", &["edge", "store", "console"]),
    ("axum", &["console"]),
    ("aws-sigv4", &["dialect"]),
    ("clap", &["tapegate"]),
];

/// Rooms where tokio and other async runtimes must not come: a drive does one thing at a time.
const BLOCKING: &[&str] = &["scsi", "volume", "virtual-library", "library", "model", "dialect"];

/// Files that may be longer than [`FILE_LINES_MAX`], with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Functions that may be longer than [`FUNCTION_LINES_MAX`], with the reason.
const LONG_FUNCTIONS: &[(&str, &str)] = &[];

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn manifest(room: &str) -> toml::Table {
    let path = root().join(room).join("Cargo.toml");
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).parse().unwrap()
}

fn dependencies(manifest: &toml::Table, table: &str) -> BTreeSet<String> {
    manifest.get(table).and_then(|t| t.as_table()).map(|t| t.keys().cloned().collect()).unwrap_or_default()
}

/// Every `.rs` file of the repository, path relative to the root.
fn sources() -> BTreeMap<String, String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" && name != "node_modules" {
                    walk(&path, found);
                }
            } else if name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    let root = root();
    let mut found = Vec::new();
    for floor in ["gateway", "lifecycle", "tapelib", "tests", "compat"] {
        walk(&root.join(floor), &mut found);
    }
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// The part of a file before its test module: tests may do what the product may not.
fn product_part(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap()
}

fn is_product(path: &str) -> bool {
    !path.starts_with("tests/")
        && !path.starts_with("compat/")
        && !path.contains("/tests/")
        && !path.ends_with("/tests.rs")
        && !path.contains("/benches/")
        && !path.ends_with("conformance.rs")
        && !path.contains("/conformance/")
}

#[test]
fn imports_point_down() {
    let ours: BTreeSet<&str> = ROOMS.iter().map(|(_, name, _)| *name).collect();
    for (room, name, allowed) in ROOMS {
        let manifest = manifest(room);
        for dependency in dependencies(&manifest, "dependencies") {
            let legal = !ours.contains(dependency.as_str()) || allowed.contains(&dependency.as_str());
            assert!(legal, "{name} must not import {dependency}; it may import {allowed:?}");
        }
    }
}

#[test]
fn every_room_is_in_the_table_and_has_a_readme_with_invariants() {
    let workspace: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let members = workspace["workspace"]["members"].as_array().unwrap();
    for member in members {
        let member = member.as_str().unwrap();
        if member.starts_with("tests/") {
            continue;
        }
        assert!(ROOMS.iter().any(|(room, ..)| *room == member), "{member} is not in the table of rooms");
        let readme = fs::read_to_string(root().join(member).join("README.md"))
            .unwrap_or_else(|_| panic!("{member} has no README.md"));
        let invariants = readme.matches("Invariant:").count();
        assert!(
            (3..=8).contains(&invariants),
            "{member}/README.md has {invariants} sentences with \"Invariant:\""
        );
    }
}

#[test]
fn third_party_packages_stay_in_their_rooms() {
    for (room, name, _) in ROOMS {
        let manifest = manifest(room);
        let used = dependencies(&manifest, "dependencies");
        for (package, rooms) in TENANTS {
            let legal = !used.contains(*package) || rooms.contains(name);
            assert!(legal, "{package} lives in {rooms:?}, not in {name}");
        }
        if BLOCKING.contains(name) {
            for runtime in ["tokio", "futures", "async-std", "smol"] {
                assert!(
                    !used.contains(runtime),
                    "{name} is blocking or pure; {runtime} does not belong there"
                );
            }
        }
        for (dependency, value) in
            manifest.get("dependencies").and_then(|t| t.as_table()).into_iter().flatten()
        {
            let shared = value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
            assert!(shared, "{name}: give the version of {dependency} in the root manifest");
        }
    }
}

#[test]
fn files_are_short() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        let excused = LONG_FILES.iter().any(|(file, _)| *file == path);
        assert!(
            lines <= FILE_LINES_MAX || excused,
            "{path} has {lines} lines; split it (at most {FILE_LINES_MAX})"
        );
        assert!(
            lines > FILE_LINES_MAX || !excused,
            "{path} is short now: take it off the list of long files"
        );
    }
}

/// Finds functions by indentation, which rustfmt guarantees: `fn` at some depth ends at `}` of the same depth.
#[test]
fn functions_are_short() {
    let mut too_long = Vec::new();
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let depth = line.len() - line.trim_start().len();
            let words: Vec<&str> = line.split_whitespace().collect();
            let Some(at) = words.iter().position(|word| *word == "fn") else { continue };
            if at > 4
                || words[0].starts_with("//")
                || line.trim_end().ends_with(';')
                || line.trim_end().ends_with('}')
            {
                continue;
            }
            let end = lines[number..].iter().position(|l| *l == format!("{:depth$}}}", ""));
            let length = end.map_or(0, |end| end + 1);
            let name = words[at + 1].split(['(', '<']).next().unwrap();
            let label = format!("{path}:{name}");
            if length > FUNCTION_LINES_MAX && !LONG_FUNCTIONS.iter().any(|(function, _)| *function == label) {
                too_long.push(format!("{label} ({length} lines)"));
            }
        }
    }
    assert!(too_long.is_empty(), "functions over {FUNCTION_LINES_MAX} lines: {too_long:#?}");
}

#[test]
fn the_lifecycle_reads_no_raw_clock_and_draws_no_raw_randomness() {
    let banned =
        ["SystemTime::now", "Instant::now", "OffsetDateTime::now", "getrandom", "rand::", "thread_rng"];
    for (path, text) in sources() {
        if !(path.starts_with("lifecycle/") && is_product(&path)) {
            continue;
        }
        for word in banned {
            assert!(
                !product_part(&text).contains(word),
                "{path} uses {word}; take a Clock or Entropy instead"
            );
        }
    }
}

#[test]
fn nothing_is_left_half_done() {
    // Built from pieces so that this file does not find itself.
    let words = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["todo", "!("].concat(),
        ["unimplemented", "!("].concat(),
        ["#[ign", "ore]"].concat(),
        ["thread::", "sleep"].concat(),
    ];
    for (path, text) in sources() {
        for word in &words {
            let excused = word.ends_with("sleep") && SLEEPERS.iter().any(|(file, _)| *file == path);
            assert!(!text.contains(word.as_str()) || excused, "{path} contains {word}");
        }
    }
}

/// Files that may block a thread for a while, with the reason.
const SLEEPERS: &[(&str, &str)] = &[];

#[test]
fn unsafe_stays_in_the_shims() {
    for (path, text) in sources() {
        let shim = path.starts_with("tapelib/scsi/src/sg") || path.starts_with("tapelib/scsi/src/iscsi");
        let found = text.contains(&["unsafe", " {"].concat()) || text.contains(&["unsafe", " fn"].concat());
        assert!(shim || !found, "{path} has unsafe code; it belongs in the device shims only");
    }
}

#[test]
fn the_project_names_no_machine() {
    let root = root();
    let banned = [["/wo", "rk/"].concat(), ["/ro", "ot/"].concat(), ["../sha", "red"].concat()];
    let listed = std::process::Command::new("git").arg("ls-files").current_dir(&root).output().unwrap();
    assert!(listed.status.success(), "git ls-files failed: this test needs a checkout");
    for name in String::from_utf8(listed.stdout).unwrap().lines() {
        let Ok(text) = fs::read_to_string(root.join(name)) else { continue };
        for word in &banned {
            assert!(!text.contains(word.as_str()), "{name} contains {word}");
        }
    }
}

/// `XX-1234` in quotes: a code that an operator will look up.
fn operator_codes(text: &str) -> BTreeSet<String> {
    let is_code = |word: &str| {
        let bytes = word.as_bytes();
        bytes.len() == 7
            && bytes[..2].iter().all(u8::is_ascii_uppercase)
            && bytes[2] == b'-'
            && bytes[3..].iter().all(u8::is_ascii_digit)
    };
    text.split('"').filter(|word| is_code(word)).map(str::to_owned).collect()
}

#[test]
fn every_operator_code_is_in_the_runbook() {
    let runbook = fs::read_to_string(root().join("docs/RUNBOOK.md")).unwrap();
    let mut codes = BTreeSet::new();
    for (path, text) in sources() {
        if is_product(&path) {
            codes.extend(operator_codes(product_part(&text)));
        }
    }
    assert!(codes.len() > 20, "the codes were not found: {codes:?}");
    let missing: Vec<&String> = codes.iter().filter(|code| !runbook.contains(code.as_str())).collect();
    assert!(missing.is_empty(), "not in docs/RUNBOOK.md: {missing:?}");
    let explained = operator_codes(&runbook.replace([' ', ',', '|'], "\""));
    let unused: Vec<&String> = explained.difference(&codes).collect();
    assert!(unused.is_empty(), "in docs/RUNBOOK.md, but nothing gives them: {unused:?}");
}
