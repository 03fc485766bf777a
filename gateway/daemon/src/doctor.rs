//! What an operator is told of the store: what it can do and why that is believed, whose the reserved bucket is,
//! whether conditions work at this moment, and what becomes of each bucket.

use engine::BucketView;
use model::bucket::Refusal;
use model::store::ObjectStore;
use serde_json::{Value, json};

use crate::error::chain;
use crate::stores::Behind;
use crate::units;

/// Everything as JSON. `views` are the buckets as the engine treats them; one of the reserved bucket's name is none of
/// them. With `writes` the canary is tried, which writes its object. `libraries` is what [`units::survey`] says.
pub async fn report(
    behind: &Behind,
    store: &dyn ObjectStore,
    views: Result<Vec<BucketView>, String>,
    writes: bool,
    libraries: Value,
) -> Value {
    let (views, trouble) = match views {
        Ok(views) => (views, None),
        Err(trouble) => (Vec::new(), Some(trouble)),
    };
    let found = behind.found();
    let reserved = behind.reserved();
    let owner = behind.reserved_owner().await;
    json!({
        "running": writes,
        "store": {
            "kind": behind.kind(),
            "endpoint": behind.endpoint(),
            "probed": found.as_ref().map(|found| found.probed.to_string()),
            "rounds": found.as_ref().map(|found| found.rounds),
            "capabilities": store.capabilities(),
            "findings": found.map(|found| found.evidence.findings),
        },
        "reserved": {
            "bucket": reserved.bucket.as_str(),
            "ours": owner.as_ref().ok().and_then(Option::as_ref).map(|owner| *owner == reserved.catalog),
            "owner": owner.as_ref().ok(),
            "detail": owner.as_ref().err().map(|error| chain(error)),
        },
        "canary": canary(store, writes).await,
        "libraries": libraries,
        "buckets": views.iter().map(bucket).collect::<Vec<_>>(),
        "trouble": trouble,
    })
}

/// Whether conditional writes work now: `works`, `broken`, `not needed` where none are relied on, `not tried`, or why
/// it could not be told.
async fn canary(store: &dyn ObjectStore, writes: bool) -> String {
    let capabilities = store.capabilities();
    if capabilities.in_place || !capabilities.compare_and_set {
        return "not needed".to_owned();
    }
    if !writes {
        return "not tried".to_owned();
    }
    match store.canary().await {
        Ok(true) => "works".to_owned(),
        Ok(false) => "broken".to_owned(),
        Err(error) => chain(&error),
    }
}

/// A bucket with what holds for it, what becomes of it, and why.
pub fn bucket(view: &BucketView) -> Value {
    let refusal = |refusal: &Refusal| json!({"reason": refusal, "explanation": refusal.explain()});
    json!({
        "name": view.name.as_str(),
        "managed": view.terms.mode.is_managed(),
        "mode": view.terms.mode,
        "exclusive": view.terms.exclusive,
        "accept_replicated_stubs": view.terms.accept_replicated_stubs,
        "accept_backend_events": view.terms.accept_backend_events,
        "migrates": view.migrates(),
        "versioning": view.survey.as_ref().map(|survey| survey.versioning),
        "refusals": view.refusals.iter().map(refusal).collect::<Vec<_>>(),
        "detail": view.trouble,
    })
}

/// What is the matter, by name; empty when all is well.
pub fn matters(report: &Value) -> Vec<String> {
    let mut matters = Vec::new();
    if report["trouble"].is_string() {
        matters.push("the buckets cannot be listed".to_owned());
    }
    let ours = &report["reserved"]["ours"];
    if *ours == false || *ours != true && report["running"] == true {
        matters.push("the reserved bucket is not ours".to_owned());
    }
    if !matches!(report["canary"].as_str(), Some("works" | "not needed" | "not tried")) {
        matters.push("conditional writes do not work".to_owned());
    }
    report["libraries"]
        .as_array()
        .into_iter()
        .flatten()
        .for_each(|library| matters.extend(units::matters(library)));
    for bucket in report["buckets"].as_array().into_iter().flatten() {
        if bucket["mode"] == "enabled" && bucket["migrates"] != true {
            matters.push(format!("nothing of {} is taken over", bucket["name"].as_str().unwrap_or_default()));
        }
    }
    matters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_matter_is_named() {
        let bucket = |name: &str, mode: &str, migrates: bool| json!({"name": name, "mode": mode, "migrates": migrates});
        let well = json!({
            "running": true, "trouble": null, "reserved": {"ours": true}, "canary": "works",
            "buckets": [bucket("a", "enabled", true), bucket("b", "unmanaged", false), bucket("c", "paused", false)],
        });
        assert_eq!(matters(&well), Vec::<String>::new());
        let mut ill = well.clone();
        ill["canary"] = json!("broken");
        ill["reserved"]["ours"] = json!(false);
        ill["buckets"][0]["migrates"] = json!(false);
        ill["libraries"] = json!([{"name": "main", "changer": {"matter": "it is not there"}, "drives": []}]);
        assert_eq!(matters(&ill).len(), 4);
        assert!(matters(&ill)[2].contains("library main: it is not there"));
        assert!(matters(&ill)[3].contains("nothing of a"));
    }
}
