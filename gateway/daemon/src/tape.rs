//! `tape`: reads virtual cartridges with no catalog, no configuration and no gateway; nothing on them changes.
//!
//! A cartridge is opened on a drive of its own, write-protected, through the same SCSI commands, labels and indexes as
//! in a library. What is listed and extracted is what its newest committed index lists, dead or alive.

mod cartridge;
mod extract;
mod join;
mod table_drive;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use volume::ltfs::export_ltfs_dir;
use volume::seal::Keyring;

use crate::cli::TapeCommand;
use crate::command::write;
use crate::error::{Error, chain};
use crate::keyring::{ReadError, read_keyring};
use crate::table::{bytes, printable};
use cartridge::{Cartridge, PackFile};
use extract::{Extraction, Wanted};

/// `tapegate tape`
pub fn run(command: TapeCommand) -> Result<(), Error> {
    match command {
        TapeCommand::List { path, keyring, json } => {
            let keys = keyring_in(keyring)?;
            each(&path, |folder| list(folder, &keys, json))
        }
        TapeCommand::Read { path, keyring, to, key, archive, json } => {
            let wanted = Wanted::parse(key, archive.as_deref())?;
            let mut extraction = Extraction::new(&to, wanted, keyring_in(keyring)?, json)?;
            let read = each(&path, |folder| extraction.cartridge(folder));
            extraction.end().and(read)
        }
        TapeCommand::Export { path, ltfs_dir, json } => {
            let single = is_cartridge(&path);
            each(&path, |folder| {
                let to = if single { ltfs_dir.clone() } else { ltfs_dir.join(name_of(folder)) };
                export(folder, &to, json)
            })
        }
    }
}

/// The keys of sealed packs.
fn keyring_in(file: Option<PathBuf>) -> Result<Keyring, Error> {
    let Some(path) = file else { return Ok(Keyring::default()) };
    let failed = |source| Error::File { operation: "read", path: path.clone(), source };
    read_keyring(fs::File::open(&path).map_err(failed)?).map_err(|error| match error {
        ReadError::Io(source) => failed(source),
        ReadError::Keyring(source) => Error::Keyring { path: path.clone(), source },
    })
}

/// What cannot be done without a key says which option brings it.
fn with_advice(error: volume::pack::Error) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        volume::pack::Error::Seal(source) if source.wants_key() => {
            format!("{source}; name the keyring that has it with --keyring").into()
        }
        other => other.into(),
    }
}

/// Does something with every cartridge at `path`. One that fails is told of and holds up no other.
fn each(path: &Path, mut action: impl FnMut(&Path) -> Result<(), Error>) -> Result<(), Error> {
    let mut failed = Vec::new();
    let cartridges = cartridges(path)?;
    let only = cartridges.len() == 1;
    for folder in cartridges {
        match action(&folder) {
            Ok(()) => {}
            Err(error @ (Error::Output(_) | Error::Usage { .. })) => return Err(error),
            Err(error) if only => return Err(error),
            Err(error) => {
                complain(&chain(&error));
                failed.push(name_of(&folder));
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Error::Partial {
        what: format!("not all could be read; cartridges with trouble: {}", failed.join(", ")),
    })
}

/// The cartridge folders at `path`: itself, or those of a library in barcode order.
fn cartridges(path: &Path) -> Result<Vec<PathBuf>, Error> {
    if is_cartridge(path) {
        return Ok(vec![path.to_owned()]);
    }
    let inner = path.join("cartridges");
    let folder = if inner.is_dir() { inner } else { path.to_owned() };
    let failed = |source| Error::File { operation: "list", path: folder.clone(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let entry = entry.map_err(failed)?.path();
        if is_cartridge(&entry) {
            found.push(entry);
        }
    }
    found.sort();
    if found.is_empty() {
        let what = format!(
            "{} is neither the folder of a virtual cartridge nor of a virtual library",
            path.display()
        );
        return Err(Error::Usage { what });
    }
    Ok(found)
}

fn is_cartridge(path: &Path) -> bool {
    path.join("cartridge.json").is_file()
}

/// A folder's own name, for people.
fn name_of(folder: &Path) -> String {
    let name = folder
        .canonicalize()
        .ok()
        .and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| folder.display().to_string())
}

fn list(folder: &Path, keys: &Keyring, as_json: bool) -> Result<(), Error> {
    let Some(mut cartridge) = Cartridge::open(folder)? else {
        return if as_json {
            line(&json!({"kind": "cartridge", "cartridge": name_of(folder), "blank": true}))
        } else {
            write(format!("{}: blank\n", name_of(folder)).as_bytes())
        };
    };
    let packs = cartridge.packs();
    let head = cartridge.describe(packs.len());
    if as_json {
        line(&head)?;
    } else {
        let generation = &head["generation"];
        let text = format!(
            "{}: volume {}, generation {generation}, {} packs\n",
            cartridge.name(),
            cartridge.uuid(),
            packs.len()
        );
        write(text.as_bytes())?;
    }
    for pack in packs {
        list_pack(&mut cartridge, &pack, keys, as_json)?;
    }
    Ok(())
}

fn list_pack(cartridge: &mut Cartridge, pack: &PackFile, keys: &Keyring, as_json: bool) -> Result<(), Error> {
    let (name, uuid) = (cartridge.name().to_owned(), cartridge.uuid());
    let failed = |source: volume::pack::Error| Error::Tape {
        operation: "read the manifest of a pack on",
        cartridge: name.clone(),
        source: with_advice(source),
    };
    let mut reader = cartridge.pack(pack, keys).map_err(failed)?;
    let id = reader.id().to_string();
    if !as_json {
        let sealed = reader.key().map_or(String::new(), |key| format!(", sealed with {key}"));
        write(format!("  pack {id}, {}{sealed}\n", bytes(pack.bytes)).as_bytes())?;
    }
    for entry in reader.manifest().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if as_json {
            let mut object = extract::entry_json(&entry);
            object["kind"] = json!("object");
            object["cartridge"] = json!(name);
            object["volume"] = json!(uuid);
            object["pack"] = json!(id);
            line(&object)?;
        } else {
            let piece = entry
                .segment
                .map_or(String::new(), |piece| format!(", piece {} of {}", piece.index, piece.count));
            let (bucket, key) = (printable(&entry.record.bucket), printable(&entry.record.key));
            write(
                format!("    {}  {:>10}  s3://{bucket}/{key}{piece}\n", entry.id, bytes(entry.length))
                    .as_bytes(),
            )?;
        }
    }
    Ok(())
}

fn export(folder: &Path, to: &Path, as_json: bool) -> Result<(), Error> {
    let failed = |source| Error::File { operation: "make", path: to.to_owned(), source };
    fs::create_dir_all(to).map_err(failed)?;
    if fs::read_dir(to).map_err(failed)?.next().is_some() {
        let what =
            format!("{} is not empty; name a new folder, so that nothing is overwritten", to.display());
        return Err(Error::Usage { what });
    }
    let name = name_of(folder);
    let wrong = |source: volume::ltfs::Error| Error::Tape {
        operation: "export",
        cartridge: name.clone(),
        source: source.into(),
    };
    let files = export_ltfs_dir(&mut cartridge::tape(folder)?, to).map_err(wrong)?;
    if as_json {
        line(&json!({"cartridge": name, "to": to, "files": files}))
    } else {
        write(format!("{name}: {files} files in {}\n", to.display()).as_bytes())
    }
}

/// Prints one JSON object on a line of its own.
fn line(object: &Value) -> Result<(), Error> {
    write(format!("{object}\n").as_bytes())
}

/// Tells a person of something that does not end the work.
fn complain(text: &str) {
    use std::io::Write;
    // With standard error gone there is nobody left to tell; the exit code still says it.
    drop(writeln!(std::io::stderr(), "tapegate: {text}"));
}
