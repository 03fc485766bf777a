//! How buckets are kept, as journals tell it: rules and terms, which are no object's. A journal that is written anyway tells
//! them all, as they are then.

use std::collections::BTreeMap;

use model::catalog::Bucket;
use model::rule::LifecycleConfiguration;
use model::{BucketName, Timestamp};
use serde::{Deserialize, Serialize};
use volume::journal::Entry;
use volume::seal::note;

use crate::error::{Error, chain};
use crate::house::House;
use crate::seals;
use crate::settings::PoolSettings;

/// Longest settings of one bucket that are told, as text: however they are written, they fit a line of a journal.
const BYTES_MAX: usize = 3 << 20;
/// Most of all buckets: a journal has its bounds, and deaths go before.
const ALL_BYTES_MAX: usize = 32 << 20;
/// What the note of a sealed one is about.
pub(crate) const ABOUT: &str = "bucket";

/// What is told of a bucket.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    bucket: String,
    lifecycle: Option<LifecycleConfiguration>,
    terms: Option<model::bucket::Terms>,
    store_rules: Option<String>,
}

/// Every bucket, sealed where the pool is. One without rules is told too: what was told of it before must not come back.
pub(crate) async fn entries(house: &House, pool: &PoolSettings) -> Result<Vec<Entry>, Error> {
    let key = seals::key_for(house, pool)?;
    let at_ms = house.now().milliseconds();
    let mut entries = Vec::new();
    let mut total = 0;
    for Bucket { name, lifecycle, terms, store_rules, .. } in house.catalog.buckets().await? {
        let mut text = text_of(Settings { bucket: name.to_string(), lifecycle, terms, store_rules })?;
        if text.len() > BYTES_MAX || total + text.len() > ALL_BYTES_MAX {
            tracing::warn!(bucket = %name, "rules and terms are too long to be told to tape: a rebuild will not know them");
            let bucket = name.to_string();
            text = text_of(Settings { bucket, lifecycle: None, terms: None, store_rules: None })?;
        }
        total += text.len();
        let settings = match &key {
            None => text,
            Some(key) => note::seal_text(key, ABOUT, &text)
                .map_err(|source| Error::Key { what: format!("the settings of {name}"), source })?,
        };
        entries.push(Entry::BucketKept { at_ms, settings });
    }
    Ok(entries)
}

fn text_of(settings: Settings) -> Result<String, Error> {
    serde_json::to_string(&settings)
        .map_err(|error| Error::Bug { what: format!("settings have no JSON form: {error}") })
}

/// The same, for a mount that does without where the key is missing, which its packs tell of.
pub(crate) async fn entries_if_sealable(house: &House, pool: &PoolSettings) -> Result<Vec<Entry>, Error> {
    match entries(house, pool).await {
        Err(error @ Error::Key { .. }) => {
            tracing::warn!(error = chain(&error), "rules and terms of buckets are not told to tape");
            Ok(Vec::new())
        }
        entries => entries,
    }
}

/// How buckets were kept, by the latest journal that tells it.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    at_ms: Option<i64>,
    rows: BTreeMap<BucketName, Bucket>,
}

// === impl Kept ===

impl Kept {
    /// Takes what a journal tells, out of its seal. Errors say what is wrong with it.
    pub(crate) fn take(&mut self, at_ms: i64, settings: &str) -> Result<(), String> {
        if self.at_ms.is_some_and(|latest| latest > at_ms) {
            return Ok(());
        }
        let told: Settings = serde_json::from_str(settings).map_err(|error| error.to_string())?;
        let bucket = BucketName::parse(&told.bucket).map_err(|error| error.to_string())?;
        if self.at_ms != Some(at_ms) {
            self.rows.clear();
            self.at_ms = Some(at_ms);
        }
        let Settings { lifecycle, terms, store_rules, .. } = told;
        let row = Bucket { lifecycle, terms, store_rules, ..Bucket::new(bucket.clone()) };
        self.rows.insert(bucket, row);
        Ok(())
    }

    /// When that was told; none when nothing is.
    pub(crate) fn told_at(&self) -> Option<Timestamp> {
        self.at_ms.map(Timestamp::from_milliseconds)
    }

    /// The buckets of which something is kept, new rows of a catalog; and how many rules in them were disabled: those that
    /// delete. Somebody may have taken one back since, on a cartridge that is not there.
    pub(crate) fn into_rows(self) -> (Vec<Bucket>, u64) {
        let is_kept =
            |row: &Bucket| row.lifecycle.is_some() || row.terms.is_some() || row.store_rules.is_some();
        let mut rows: Vec<Bucket> = self.rows.into_values().filter(is_kept).collect();
        let mut disabled = 0;
        for rule in rows.iter_mut().filter_map(|row| row.lifecycle.as_mut()).flat_map(|all| &mut all.rules) {
            if rule.enabled && (rule.expiration.is_some() || rule.noncurrent_expiration.is_some()) {
                rule.enabled = false;
                disabled += 1;
            }
        }
        (rows, disabled)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use model::rule::{Expiration, Rule, Scope, TransitionMinimum, When};

    fn settings(bucket: &str, rules: Option<&str>) -> String {
        let (bucket, store_rules) = (bucket.to_owned(), rules.map(str::to_owned));
        serde_json::to_string(&Settings { bucket, lifecycle: None, terms: None, store_rules }).unwrap()
    }

    #[test]
    fn the_latest_moment_counts_with_every_bucket_told_of_then() {
        let mut kept = Kept::default();
        for (at_ms, bucket, rules) in [
            (5, "one", Some("newer")),
            (5, "two", None),
            (4, "one", Some("older")),
            (4, "gone", Some("older")),
            (5, "two", Some("told twice")),
            (5, "three", None),
        ] {
            kept.take(at_ms, &settings(bucket, rules)).unwrap();
        }
        assert_eq!(kept.told_at(), Some(Timestamp::from_milliseconds(5)));
        let rows: Vec<_> =
            kept.into_rows().0.into_iter().map(|row| (row.name.to_string(), row.store_rules)).collect();
        let told = |bucket: &str, rules: &str| (bucket.to_owned(), Some(rules.to_owned()));
        assert_eq!(rows, [told("one", "newer"), told("two", "told twice")]);
    }

    #[test]
    fn rules_that_were_taken_back_stay_so() {
        let mut kept = Kept::default();
        kept.take(4, &settings("one", Some("older"))).unwrap();
        kept.take(5, &settings("one", None)).unwrap();
        assert_eq!(kept.into_rows(), (Vec::new(), 0));
    }

    #[test]
    fn a_rule_that_deletes_comes_back_disabled() {
        let rule = |id: &str, expiration| Rule {
            id: id.to_owned(),
            enabled: true,
            scope: Scope::Everything,
            expiration,
            transitions: Vec::new(),
            noncurrent_expiration: None,
            noncurrent_transitions: Vec::new(),
            abort_multipart_days: None,
        };
        let deletes = Some(Expiration::At(When::Date(Timestamp::from_seconds(0))));
        let rules = vec![rule("moves", None), rule("deletes", deletes)];
        let minimum_size = TransitionMinimum::VariesByStorageClass;
        let lifecycle = Some(LifecycleConfiguration { rules, minimum_size });
        let told = Settings { bucket: "one".to_owned(), lifecycle, terms: None, store_rules: None };
        let mut kept = Kept::default();
        kept.take(4, &text_of(told).unwrap()).unwrap();
        let (rows, disabled) = kept.into_rows();
        let enabled: Vec<_> =
            rows[0].lifecycle.as_ref().unwrap().rules.iter().map(|rule| rule.enabled).collect();
        assert_eq!((enabled, disabled), (vec![true, false], 1));
    }

    #[test]
    fn what_cannot_be_understood_changes_nothing() {
        let mut kept = Kept::default();
        kept.take(5, &settings("one", Some("rules"))).unwrap();
        assert!(kept.take(6, &settings("UPPER", None)).is_err());
        assert!(kept.take(6, "no settings").is_err());
        assert_eq!((kept.told_at(), kept.into_rows().0.len()), (Some(Timestamp::from_milliseconds(5)), 1));
    }
}
