//! What the parts of a rule, and the rules of a configuration, must not say together.

use std::collections::BTreeSet;

use model::rule::{Expiration, Predicate, Rule, Scope, When};
use model::{StorageClass, TapeClass};

use crate::error::{Code, Result, S3Error};

/// Days an object stays in an infrequent-access class before it may go on to tape.
const ACCESS_DAYS_MIN: u32 = 30;

/// Checks one rule whose form is right.
pub(super) fn rule(rule: &Rule, legacy: bool) -> Result<()> {
    filter(rule)?;
    actions(rule)?;
    newer_versions(rule, legacy)?;
    let current: Vec<(When, StorageClass)> = rule.transitions.iter().map(|t| (t.when, t.class)).collect();
    let noncurrent: Vec<(When, StorageClass)> =
        rule.noncurrent_transitions.iter().map(|t| (When::Days(t.days), t.class)).collect();
    classes(rule, &current, Words { field: "Days", action: "Transition" })?;
    classes(rule, &noncurrent, Words { field: "NoncurrentDays", action: "NoncurrentVersionTransition" })?;
    expiration(rule)
}

/// Rules of the older form may not speak of the same keys with the same kind of action.
pub(super) fn overlap(rules: &[Rule]) -> Result<()> {
    for (index, later) in rules.iter().enumerate() {
        let Scope::LegacyPrefix(second) = &later.scope else {
            continue;
        };
        for earlier in &rules[..index] {
            let Scope::LegacyPrefix(first) = &earlier.scope else {
                continue;
            };
            if !first.starts_with(second.as_str()) && !second.starts_with(first.as_str()) {
                continue;
            }
            if let Some(action) = kinds(earlier).into_iter().find(|action| kinds(later).contains(action)) {
                return Err(S3Error::invalid_request(format!(
                    "Found overlapping prefixes '{first}' and '{second}' for same action type '{action}'"
                )));
            }
        }
    }
    Ok(())
}

/// How an error speaks of the two kinds of transition.
#[derive(Clone, Copy)]
struct Words {
    field: &'static str,
    action: &'static str,
}

fn filter(rule: &Rule) -> Result<()> {
    let predicates = rule.scope.predicates();
    let mut keys = BTreeSet::new();
    let (mut over, mut under) = (None, None);
    for predicate in &predicates {
        match predicate {
            Predicate::Tag { key, .. } if !keys.insert(key) => {
                return Err(S3Error::invalid_request("Duplicate Tag Keys are not allowed."));
            }
            Predicate::SizeGreaterThan(bytes) => over = Some(*bytes),
            Predicate::SizeLessThan(bytes) => under = Some(*bytes),
            Predicate::Tag { .. } | Predicate::Prefix(_) => {}
        }
    }
    if over.zip(under).is_some_and(|(over, under)| over >= under) {
        return Err(S3Error::invalid_request(
            "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.",
        ));
    }
    let marker =
        matches!(rule.expiration, Some(Expiration::DeleteMarker(_))).then_some("ExpiredObjectDeleteMarker");
    let abort = rule.abort_multipart_days.map(|_| "AbortIncompleteMultipartUpload");
    for action in [marker, abort].into_iter().flatten() {
        if !keys.is_empty() {
            return Err(S3Error::invalid_request(format!("{action} cannot be specified with Tags.")));
        }
        if over.is_some() || under.is_some() {
            return Err(S3Error::invalid_request(format!("{action} cannot be specified with Object Size.")));
        }
    }
    Ok(())
}

fn actions(rule: &Rule) -> Result<()> {
    if kinds(rule).is_empty() {
        return Err(S3Error::invalid_request("At least one action needs to be specified in a rule"));
    }
    Ok(())
}

fn newer_versions(rule: &Rule, legacy: bool) -> Result<()> {
    let named = rule.noncurrent_expiration.iter().any(|e| e.newer_versions.is_some())
        || rule.noncurrent_transitions.iter().any(|t| t.newer_versions.is_some());
    if legacy && named {
        return Err(S3Error::invalid_request(
            "NewerNoncurrentVersions element can only be used in Lifecycle V2.",
        ));
    }
    Ok(())
}

/// Transitions of one rule: every class once, dates or days throughout, each class later than the warmer ones.
fn classes(rule: &Rule, transitions: &[(When, StorageClass)], words: Words) -> Result<()> {
    let Words { field, action } = words;
    let scope = described(rule);
    for (when, class) in transitions {
        let infrequent = matches!(class, StorageClass::StandardIa | StorageClass::OneZoneIa);
        if infrequent && matches!(when, When::Days(days) if *days < ACCESS_DAYS_MIN) {
            return Err(invalid_argument(format!(
                "'{field}' in {action} action must be greater than or equal to 30 for storageClass '{class}'"
            )));
        }
    }
    for (index, (when, class)) in transitions.iter().enumerate() {
        for (earlier, other) in &transitions[..index] {
            if class == other {
                return Err(S3Error::invalid_request(format!(
                    "'StorageClass' must be different for '{action}' actions in same 'Rule' with filter '{scope}'"
                )));
            }
            if is_days(*when) != is_days(*earlier) {
                return Err(S3Error::invalid_request(format!(
                    "Found mixed 'Date' and 'Days' based {action} actions in lifecycle rule for filter '{scope}'"
                )));
            }
        }
    }
    let mut ordered = transitions.to_vec();
    ordered.sort_by_key(|(_, class)| warmth(*class));
    ordered.windows(2).try_for_each(|pair| descent(pair[0], pair[1], &scope, words))
}

/// A later class must be reached later, from a class that can be left for it, and from an infrequent-access class
/// to tape only after a stay.
fn descent(from: (When, StorageClass), to: (When, StorageClass), scope: &str, words: Words) -> Result<()> {
    let ((earlier, warm), (later, cold)) = (from, to);
    let Words { field, action } = words;
    let infrequent = matches!(warm, StorageClass::StandardIa | StorageClass::OneZoneIa);
    let stay = if infrequent && cold.tape().is_some() { ACCESS_DAYS_MIN } else { 0 };
    let impossible = warm == StorageClass::OneZoneIa && cold == StorageClass::GlacierIr;
    let in_order = match (earlier, later) {
        (When::Days(earlier), When::Days(later)) => later > earlier && later - earlier >= stay,
        (When::Date(earlier), When::Date(later)) => later > earlier,
        _ => true,
    };
    if in_order && !impossible {
        return Ok(());
    }
    let (field, distance) = match (later, stay) {
        (When::Date(_), _) => ("Date", "later than".to_owned()),
        (_, 0) => (field, "more than".to_owned()),
        (_, stay) => (field, format!("{stay} days more than")),
    };
    Err(invalid_argument(format!(
        "'{field}' in the '{action}' action for StorageClass '{cold}' for filter '{scope}' must be {distance} '{field}' in the '{action}' action for StorageClass '{warm}'"
    )))
}

fn expiration(rule: &Rule) -> Result<()> {
    let Some(Expiration::At(end)) = rule.expiration else {
        return Ok(());
    };
    let scope = described(rule);
    for transition in &rule.transitions {
        let (field, in_order) = match (end, transition.when) {
            (When::Days(end), When::Days(days)) => ("Days", end > days),
            (When::Date(end), When::Date(date)) => ("Date", end > date),
            _ => {
                return Err(S3Error::invalid_request(format!(
                    "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for filter '{scope}'"
                )));
            }
        };
        if !in_order {
            let greater = if field == "Days" { "greater" } else { "later" };
            return Err(invalid_argument(format!(
                "'{field}' in the Expiration action for filter '{scope}' must be {greater} than '{field}' in the Transition action"
            )));
        }
    }
    Ok(())
}

/// The kinds of action a rule has, by their element names.
fn kinds(rule: &Rule) -> Vec<&'static str> {
    [
        ("Expiration", rule.expiration.is_some()),
        ("Transition", !rule.transitions.is_empty()),
        ("NoncurrentVersionExpiration", rule.noncurrent_expiration.is_some()),
        ("NoncurrentVersionTransition", !rule.noncurrent_transitions.is_empty()),
        ("AbortIncompleteMultipartUpload", rule.abort_multipart_days.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, present)| present.then_some(name))
    .collect()
}

/// Place of a class in the waterfall; objects only move to higher places.
fn warmth(class: StorageClass) -> u8 {
    match class {
        StorageClass::Standard | StorageClass::ReducedRedundancy => 0,
        StorageClass::StandardIa => 1,
        StorageClass::IntelligentTiering => 2,
        StorageClass::OneZoneIa => 3,
        StorageClass::GlacierIr => 4,
        StorageClass::Tape(TapeClass::Glacier) => 5,
        StorageClass::Tape(TapeClass::DeepArchive) => 6,
    }
}

fn is_days(when: When) -> bool {
    matches!(when, When::Days(_))
}

/// The filter as S3's errors write it.
fn described(rule: &Rule) -> String {
    format!("(prefix={})", rule.scope.prefix())
}

fn invalid_argument(message: String) -> S3Error {
    S3Error::with_message(Code::InvalidArgument, message)
}
