//! `rebuild`: a catalog made anew from cartridges, in a data directory that has none.
//!
//! 1. the cartridges of every configured library are read
//! 2. their catalog's id makes this the same installation again; a store that has its reserved bucket was kept
//! 3. a catalog is made beside its place, with stubs made anew or found on the store
//! 4. the finished catalog is put in its place: there is the whole one or none
//!
//! It may be cut off and given again at any time.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use catalog::RedbCatalog;
use engine::rebuild::{self, Found, Missing, Options, Owner, Parts, Report};
use library::{CatalogId, Library};
use serde_json::{Value, json};

use crate::assemble::open_libraries;
use crate::cli::{RebuildArgs, WhenMissing};
use crate::clock::SystemClock;
use crate::command::write;
use crate::config::Config;
use crate::data::DataDir;
use crate::error::Error;
use crate::keyring::KeyFile;
use crate::stores;
use crate::table::{Column, Show, bytes, table};

/// How long cartridges may take back to their slots.
const SHELVE: Duration = Duration::from_secs(600);

/// `tapegate rebuild`
pub fn rebuild(args: &RebuildArgs) -> Result<(), Error> {
    let mut config = Config::load(args.config.as_deref())?;
    if let Some(data) = &args.data {
        config.data.clone_from(data);
    }
    let data = DataDir::create(&config.data)?;
    if data.catalog().exists() {
        let what = format!(
            "{} has a catalog; it is made anew only where there is none: move the file away first",
            data.path().display()
        );
        return Err(Error::Usage { what });
    }
    let wanted = wanted(args, &data)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::assemble("runtime", error))?;
    let begun = Instant::now();
    let report = runtime.block_on(async {
        let libraries = open_libraries(&config, &data, wanted).await?.libraries;
        let report = run(args, &config, &data, &libraries, wanted).await;
        shelve(libraries).await;
        report
    })?;
    tell(args, &report, begun.elapsed())
}

/// The catalog that is asked for, or that the directory belongs to already.
fn wanted(args: &RebuildArgs, data: &DataDir) -> Result<Option<CatalogId>, Error> {
    let known = data.known_installation()?.map(|installation| installation.catalog_id);
    match (args.catalog, known) {
        (Some(wanted), Some(known)) if wanted != known => {
            let what = format!("{} belongs to catalog {known}, not {wanted}", data.path().display());
            Err(Error::Usage { what })
        }
        (wanted, known) => Ok(wanted.or(known)),
    }
}

async fn run(
    args: &RebuildArgs,
    config: &Config,
    data: &DataDir,
    libraries: &BTreeMap<String, Arc<Library>>,
    wanted: Option<CatalogId>,
) -> Result<Report, Error> {
    let failed = |error| Error::assemble("catalog of these cartridges", error);
    let own = KeyFile::new(config.keyring.clone().unwrap_or_else(|| data.keyring()));
    let keys = match &args.keyring {
        Some(given) => {
            let given = KeyFile::new(given.clone());
            if !args.dry_run {
                // Where the gateway finds them, before anything could make a new key of an old name.
                let keyring = given.keyring()?;
                own.change(|keys| keys.merge(&keyring))?;
            }
            given
        }
        None => own,
    };
    let keys = Arc::new(keys);
    let folder = data.rebuild();
    let found = rebuild::read(libraries, &folder, keys, wanted, &progress).await.map_err(failed)?;
    let catalog_id = chosen(&found, wanted)?;
    let kept = stores::reserved_of(config, data, catalog_id).await?;
    let installation = data.installation_of(catalog_id, kept.as_ref())?;
    let store = match kept.is_some() {
        true => stores::open(config, data, &installation).await?.store,
        false => stores::open_new(config, data, &installation).await?,
    };
    let unfinished = data.unfinished_catalog()?;
    let catalog = RedbCatalog::open(&unfinished).map_err(|error| Error::assemble("catalog", error))?;
    let parts = Parts {
        catalog: Arc::new(catalog),
        store,
        libraries: libraries.clone(),
        clock: Arc::new(SystemClock),
        pools: config.pools.clone(),
    };
    let missing = match (args.missing, kept.is_some()) {
        (Some(WhenMissing::Plant), _) | (None, false) => Missing::Plant,
        (Some(WhenMissing::Dead), _) => Missing::EndAll,
        (None, true) => Missing::End,
    };
    let options =
        Options { catalog: catalog_id, missing, incomplete: args.incomplete, dry_run: args.dry_run };
    let report = rebuild::rebuild(&parts, &found, options, &progress).await.map_err(failed)?;
    drop(parts);
    data.end_rebuild(&unfinished, !args.dry_run)?;
    Ok(report)
}

/// The one catalog whose cartridges these are.
fn chosen(found: &Found, wanted: Option<CatalogId>) -> Result<CatalogId, Error> {
    let owners = found.owners();
    let told =
        |owner: &Owner| format!("{} ({} cartridges, {} packs)", owner.catalog, owner.cartridges, owner.packs);
    match (&owners[..], wanted) {
        ([one], _) => Ok(one.catalog),
        ([], Some(wanted)) => {
            Err(Error::Refused { message: format!("no cartridge of catalog {wanted} is in the libraries") })
        }
        ([], None) => Err(Error::Refused {
            message: "no cartridge in the libraries carries a volume of a catalog".to_owned(),
        }),
        (several, _) => {
            let several: Vec<String> = several.iter().map(told).collect();
            let message = format!(
                "the cartridges belong to several catalogs; name one with --catalog: {}",
                several.join(", ")
            );
            Err(Error::Refused { message })
        }
    }
}

/// Has every cartridge put back.
async fn shelve(libraries: BTreeMap<String, Arc<Library>>) {
    let shelved = tokio::task::spawn_blocking(move || {
        for (name, library) in libraries {
            if let Err(error) = library.shutdown(SHELVE) {
                tracing::warn!(library = name, %error, "left with cartridges in drives");
            }
        }
    });
    if shelved.await.is_err() {
        tracing::error!("shutting down the libraries panicked");
    }
}

/// Draws how far it is, for somebody at a terminal.
fn progress(what: &str, done: u64, all: u64) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        let end = if done == all { "\n" } else { "" };
        // With standard error gone there is nobody left to tell.
        drop(write!(out, "\r\x1b[K{what}: {done} of {all}{end}"));
    }
}

fn tell(args: &RebuildArgs, report: &Report, took: Duration) -> Result<(), Error> {
    let mut answer = json!(report);
    answer["seconds"] = json!(took.as_secs_f64());
    let text = if args.json { format!("{answer:#}\n") } else { draw(report, &answer, took) };
    write(text.as_bytes())?;
    let lost = report.unconfirmed.iter().filter(|unconfirmed| unconfirmed.lost).count();
    if lost == 0 {
        return Ok(());
    }
    let what = format!("{lost} things on tape could not be taken over; they are listed as unconfirmed");
    Err(Error::Partial { what })
}

fn draw(report: &Report, answer: &Value, took: Duration) -> String {
    let done = if report.dry_run { "would be" } else { "is" };
    let mut text = format!(
        "catalog {} {done} made of {} cartridges and {} packs, in {:.1} s\n",
        report.catalog,
        report.cartridges,
        report.packs,
        took.as_secs_f64()
    );
    let mut line = |count: u64, what: &str| {
        if count > 0 {
            text.push_str(&format!("{count:>12}  {what}\n"));
        }
    };
    line(report.archived, &format!("objects live, of {}", bytes(report.bytes)));
    line(report.found, "of them had their stub on the store");
    line(report.signed, "of them had a stub signed with another key, signed anew");
    line(report.planted, "of them were made anew on the store");
    line(report.hot, "are whole on the store still");
    line(report.deleted, "were deleted, tape tells");
    line(report.missing, "were deleted, the store tells");
    line(report.replaced, "were replaced, the store tells");
    line(report.buckets_made, "buckets were made anew");
    let told = report.buckets_told.as_deref().unwrap_or_default();
    line(report.buckets_kept, &format!("buckets have their lifecycle rules and terms again, as of {told}"));
    line(
        report.rules_disabled,
        "rules that delete objects came back disabled: look at them, and put them again",
    );
    if !report.unconfirmed.is_empty() {
        let rows = answer["unconfirmed"].as_array().map_or(&[][..], Vec::as_slice);
        text.push_str(&format!("\nunconfirmed\n{}", table(UNCONFIRMED, rows)));
    }
    text
}

const UNCONFIRMED: &[Column] = &[
    ("CARTRIDGE", "barcode", Show::Plain),
    ("WHAT", "what", Show::Plain),
    ("REASON", "reason", Show::Plain),
];
