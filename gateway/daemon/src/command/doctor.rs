//! `tapegate doctor`: what the store can do and what becomes of each bucket, asked of the gateway that runs; with none
//! running a remote store is looked at, and nothing is written.

use std::path::Path;
use std::sync::Arc;

use catalog::RedbCatalog;
use console::Question;
use engine::BucketView;
use model::bucket;
use model::catalog::Catalog;
use model::store::ObjectStore;
use serde_json::Value;

use super::print;
use crate::cli::{At, DoctorArgs};
use crate::client::Client;
use crate::config::{Config, DATA_DEFAULT, StoreConfig};
use crate::data::DataDir;
use crate::doctor::{matters, report};
use crate::error::{Error, chain};
use crate::stores;
use crate::table::printable;
use crate::units;

/// `tapegate doctor`
pub fn doctor(args: DoctorArgs) -> Result<(), Error> {
    let DoctorArgs { probe, config, at } = args;
    let question = if probe { Question::Probe } else { Question::Doctor };
    let answer = match (Client::new(&at).ask(&question), config) {
        (Err(Error::NotRunning { .. } | Error::NoData { .. }), Some(file)) if !probe => look(&file, &at)?,
        (answer, _) => answer?,
    };
    print(&at, &answer, draw)?;
    let matters = matters(&answer);
    if matters.is_empty() { Ok(()) } else { Err(Error::Partial { what: matters.join("; ") }) }
}

/// Looks at the remote store the configuration names.
fn look(file: &Path, at: &At) -> Result<Value, Error> {
    let config = Config::load(Some(file))?;
    let StoreConfig::Remote(settings) = &config.store else {
        return Err(Error::Refused {
            message:
                "the embedded store is looked at by the gateway that runs it; start it with `tapegate serve`"
                    .to_owned(),
        });
    };
    let folder = if at.data == Path::new(DATA_DEFAULT) { &config.data } else { &at.data };
    let data = DataDir::existing(folder)?;
    let installation = data.installation()?;
    let catalog = RedbCatalog::open(data.catalog()).map_err(|error| Error::assemble("catalog", error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::assemble("runtime", error))?;
    runtime.block_on(async {
        let (store, behind) = stores::look(&config, settings, &data, &installation)?;
        let views = views(&config, &catalog, &store).await;
        Ok(report(&behind, &*store, views, false, units::survey(&config.libraries)).await)
    })
}

async fn views(
    config: &Config,
    catalog: &RedbCatalog,
    store: &Arc<dyn ObjectStore>,
) -> Result<Vec<BucketView>, String> {
    let mut views = Vec::new();
    for name in store.buckets().await.map_err(|error| chain(&error))? {
        let row = catalog.bucket(&name).await.map_err(|error| chain(&error))?;
        let terms = config.buckets.terms(&name, row.as_ref());
        let mut view = BucketView { name, terms, survey: None, refusals: Vec::new(), trouble: None };
        if terms.mode.is_managed() {
            match store.survey(&view.name).await {
                Ok(survey) => {
                    view.refusals = bucket::refusals(&store.capabilities(), &survey, &terms);
                    view.survey = Some(survey);
                }
                Err(error) => view.trouble = Some(chain(&error)),
            }
        }
        views.push(view);
    }
    Ok(views)
}

fn draw(report: &Value) -> String {
    let text_of = |value: &Value| value.as_str().map(printable);
    let store = &report["store"];
    let mut text = format!("store     {}", text_of(&store["kind"]).unwrap_or_default());
    if let Some(endpoint) = text_of(&store["endpoint"]) {
        text.push_str(&format!(" {endpoint}"));
    }
    text.push('\n');
    match text_of(&store["probed"]) {
        Some(probed) => {
            text.push_str(&format!("probed    {probed}, {} rounds of the race\n", store["rounds"]))
        }
        None if store["kind"] == "remote" => {
            text.push_str("probed    not yet: the gateway does it when it starts\n");
        }
        None => {}
    }
    findings(store, &mut text);
    let reserved = &report["reserved"];
    let owner = match (&reserved["ours"], text_of(&reserved["owner"]), text_of(&reserved["detail"])) {
        (Value::Bool(true), ..) => "ours".to_owned(),
        (_, Some(owner), _) => format!("of catalog {owner}, not ours"),
        (_, _, Some(detail)) => format!("cannot be read: {detail}"),
        _ => "not there yet".to_owned(),
    };
    text.push_str(&format!("reserved  {}: {owner}\n", text_of(&reserved["bucket"]).unwrap_or_default()));
    text.push_str(&format!("canary    {}\n", text_of(&report["canary"]).unwrap_or_default()));
    if report["running"] != true {
        text.push_str(
            "no gateway runs: the store was only looked at; a probe and the canary need `tapegate serve`\n",
        );
    }
    report["libraries"].as_array().into_iter().flatten().for_each(|library| draw_units(library, &mut text));
    text.push('\n');
    report["buckets"].as_array().into_iter().flatten().for_each(|bucket| verdict(bucket, &mut text));
    if let Some(trouble) = text_of(&report["trouble"]) {
        text.push_str(&format!("the buckets cannot be listed: {trouble}\n"));
    }
    text
}

/// What a real library is made of.
fn draw_units(library: &Value, text: &mut String) {
    let part = |value: &Value| printable(value.as_str().unwrap_or_default());
    let drives = library["drives"].as_array().into_iter().flatten();
    for unit in [library, &library["changer"]].into_iter().chain(drives) {
        let said = if unit["matter"].is_string() { &unit["matter"] } else { &unit["unit"] };
        if said.is_string() {
            text.push_str(&format!("library   {}: {}\n", part(&library["name"]), part(said)));
        }
    }
}

/// What each capability is, and why that is believed.
fn findings(store: &Value, text: &mut String) {
    let found = store["findings"].as_array().map_or(&[][..], Vec::as_slice);
    for finding in found {
        let part = |name: &str| printable(finding[name].as_str().unwrap_or_default());
        text.push_str(&format!("  {:16} {:8} {}\n", part("name"), part("verdict"), part("seen")));
    }
    if found.is_empty() {
        for (name, value) in store["capabilities"].as_object().into_iter().flatten() {
            let value = value.as_str().map_or_else(|| value.to_string(), printable);
            text.push_str(&format!("  {name:16} {value}\n"));
        }
    }
}

fn verdict(bucket: &Value, text: &mut String) {
    let part = |value: &Value| printable(value.as_str().unwrap_or_default());
    let (name, mode) = (part(&bucket["name"]), part(&bucket["mode"]));
    let exclusive = if bucket["exclusive"] == true { ", exclusive" } else { "" };
    let state = match (mode.as_str(), bucket["migrates"] == true) {
        ("unmanaged", _) => "unmanaged: requests pass through".to_owned(),
        ("enabled", true) => format!("enabled{exclusive}: migrates"),
        ("enabled", false) => format!("enabled{exclusive}: NOTHING IS TAKEN OVER"),
        _ => format!("{mode}{exclusive}"),
    };
    text.push_str(&format!("{name}  {state}\n"));
    for refusal in bucket["refusals"].as_array().into_iter().flatten() {
        text.push_str(&format!("  {}: {}\n", part(&refusal["reason"]), part(&refusal["explanation"])));
    }
    if bucket["detail"].is_string() {
        text.push_str(&format!("  the store cannot be asked: {}\n", part(&bucket["detail"])));
    }
}
