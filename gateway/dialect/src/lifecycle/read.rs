//! The form of a configuration: elements, numbers, dates.

use std::collections::BTreeSet;

use model::rule::{
    Expiration, NoncurrentExpiration, NoncurrentTransition, Predicate, Rule, Scope, Transition, When,
};
use model::{StorageClass, TapeClass, Timestamp};

use super::check;
use crate::date;
use crate::error::{Code, Result, S3Error};
use crate::xml::Element;

const RULES_MAX: usize = 1000;
const ID_CHARACTERS_MAX: usize = 255;
const PREFIX_BYTES_MAX: usize = 1024;
/// Largest size a filter may name, in bytes (1 000 TiB).
const FILTER_SIZE_MAX: i64 = 1_099_511_627_776_000;

/// The rules of a configuration.
pub(super) fn rules(root: &Element, mut new_id: impl FnMut() -> String) -> Result<Vec<Rule>> {
    root.only(&["Rule"])?;
    let count = root.children.len();
    if count == 0 {
        return Err(S3Error::malformed_xml());
    }
    if count > RULES_MAX {
        return Err(S3Error::invalid_request(
            "The number of lifecycle rules must not exceed the allowed limit of 1000 rules.",
        ));
    }
    let ids = ids(root)?;
    let legacy = root.children[0].child("Filter").is_none();
    let mut rules = Vec::with_capacity(count);
    for (element, id) in root.children.iter().zip(ids) {
        let rule = rule(element, id.unwrap_or_else(&mut new_id), legacy)?;
        check::rule(&rule, legacy)?;
        rules.push(rule);
    }
    Ok(rules)
}

/// The ids in order; an empty one is none.
fn ids(root: &Element) -> Result<Vec<Option<String>>> {
    let mut seen = BTreeSet::new();
    let mut ids = Vec::with_capacity(root.children.len());
    for rule in &root.children {
        let id = rule.at_most_one("ID")?.map(Element::exact).transpose()?.filter(|id| !id.is_empty());
        if id.is_some_and(|id| id.chars().count() > ID_CHARACTERS_MAX) {
            return Err(invalid_argument("ID length should not exceed allowed limit of 255"));
        }
        if id.is_some_and(|id| !seen.insert(id)) {
            return Err(invalid_argument("Rule ID must be unique. Found same ID for more than one rule"));
        }
        ids.push(id.map(str::to_owned));
    }
    Ok(ids)
}

fn rule(element: &Element, id: String, legacy: bool) -> Result<Rule> {
    element.only(&[
        "ID",
        "Status",
        "Prefix",
        "Filter",
        "Expiration",
        "Transition",
        "NoncurrentVersionExpiration",
        "NoncurrentVersionTransition",
        "AbortIncompleteMultipartUpload",
    ])?;
    let enabled = match element.at_most_one("Status")?.map(Element::exact).transpose()? {
        Some("Enabled") => true,
        Some("Disabled") => false,
        _ => return Err(S3Error::malformed_xml()),
    };
    Ok(Rule {
        id,
        enabled,
        scope: scope(element, legacy)?,
        expiration: element.at_most_one("Expiration")?.map(expiration).transpose()?,
        transitions: element.all("Transition").map(transition).collect::<Result<_>>()?,
        noncurrent_expiration: element
            .at_most_one("NoncurrentVersionExpiration")?
            .map(noncurrent_expiration)
            .transpose()?,
        noncurrent_transitions: element
            .all("NoncurrentVersionTransition")
            .map(noncurrent_transition)
            .collect::<Result<_>>()?,
        abort_multipart_days: element
            .at_most_one("AbortIncompleteMultipartUpload")?
            .map(abort)
            .transpose()?,
    })
}

fn scope(rule: &Element, legacy: bool) -> Result<Scope> {
    match (rule.at_most_one("Prefix")?, rule.at_most_one("Filter")?) {
        (None, None) | (Some(_), Some(_)) => Err(S3Error::malformed_xml()),
        (None, Some(_)) if legacy => {
            Err(S3Error::invalid_request("Filter element can only be used in Lifecycle V2."))
        }
        (Some(_), None) if !legacy => Err(S3Error::invalid_request(
            "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter.",
        )),
        (Some(text), None) => prefix(text).map(Scope::LegacyPrefix),
        (None, Some(filter)) => scope_of_filter(filter),
    }
}

fn scope_of_filter(filter: &Element) -> Result<Scope> {
    filter.only(&["Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan", "And"])?;
    match filter.children.as_slice() {
        [] => Ok(Scope::Everything),
        [and] if and.name == "And" => {
            and.only(&["Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan"])?;
            for name in ["Prefix", "ObjectSizeGreaterThan", "ObjectSizeLessThan"] {
                and.at_most_one(name)?;
            }
            if and.children.len() < 2 {
                return Err(S3Error::malformed_xml());
            }
            and.children.iter().map(predicate).collect::<Result<_>>().map(Scope::And)
        }
        [one] => predicate(one).map(Scope::One),
        _ => Err(S3Error::malformed_xml()),
    }
}

fn predicate(element: &Element) -> Result<Predicate> {
    match element.name.as_str() {
        "Prefix" => prefix(element).map(Predicate::Prefix),
        "Tag" => tag(element),
        "ObjectSizeGreaterThan" => size(element, 0).map(Predicate::SizeGreaterThan),
        "ObjectSizeLessThan" => size(element, 1).map(Predicate::SizeLessThan),
        _ => Err(S3Error::malformed_xml()),
    }
}

fn prefix(element: &Element) -> Result<String> {
    let text = element.exact()?;
    if text.len() > PREFIX_BYTES_MAX {
        return Err(S3Error::invalid_request("The maximum size of a prefix is 1024"));
    }
    Ok(text.to_owned())
}

fn tag(element: &Element) -> Result<Predicate> {
    element.only(&["Key", "Value"])?;
    let leaf =
        |name| element.at_most_one(name)?.ok_or_else(S3Error::malformed_xml)?.exact().map(str::to_owned);
    let (key, value): (String, String) = (leaf("Key")?, leaf("Value")?);
    if key.is_empty() {
        return Err(S3Error::malformed_xml());
    }
    Ok(Predicate::Tag { key, value })
}

fn size(element: &Element, least: i64) -> Result<u64> {
    let size = element.integer()?;
    let legal = (least..=FILTER_SIZE_MAX).contains(&size);
    u64::try_from(size).ok().filter(|_| legal).ok_or_else(|| {
        S3Error::invalid_request(format!(
            "'{}' should be between {least} and {FILTER_SIZE_MAX}.",
            element.name
        ))
    })
}

fn expiration(element: &Element) -> Result<Expiration> {
    element.only(&["Days", "Date", "ExpiredObjectDeleteMarker"])?;
    let [only] = element.children.as_slice() else {
        return Err(S3Error::malformed_xml());
    };
    match only.name.as_str() {
        "ExpiredObjectDeleteMarker" => only.boolean().map(Expiration::DeleteMarker),
        "Date" => midnight(only).map(|date| Expiration::At(When::Date(date))),
        _ => {
            let message = "'Days' for Expiration action must be a positive integer";
            days(only, 1, message).map(|days| Expiration::At(When::Days(days)))
        }
    }
}

fn transition(element: &Element) -> Result<Transition> {
    element.only(&["Days", "Date", "StorageClass"])?;
    let class = class(element)?;
    let when = match (element.at_most_one("Days")?, element.at_most_one("Date")?) {
        (Some(number), None) => {
            When::Days(days(number, 0, "'Days' in Transition action must be nonnegative")?)
        }
        (None, Some(date)) => When::Date(midnight(date)?),
        _ => return Err(S3Error::malformed_xml()),
    };
    Ok(Transition { when, class })
}

fn noncurrent_expiration(element: &Element) -> Result<NoncurrentExpiration> {
    element.only(&["NoncurrentDays", "NewerNoncurrentVersions"])?;
    let number = element.at_most_one("NoncurrentDays")?.ok_or_else(S3Error::malformed_xml)?;
    let message = "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer";
    Ok(NoncurrentExpiration { days: days(number, 1, message)?, newer_versions: newer_versions(element)? })
}

fn noncurrent_transition(element: &Element) -> Result<NoncurrentTransition> {
    element.only(&["NoncurrentDays", "StorageClass", "NewerNoncurrentVersions"])?;
    let class = class(element)?;
    let number = element.at_most_one("NoncurrentDays")?.ok_or_else(S3Error::malformed_xml)?;
    let message = "'NoncurrentDays' in NoncurrentVersionTransition action must be nonnegative";
    Ok(NoncurrentTransition {
        days: days(number, 0, message)?,
        class,
        newer_versions: newer_versions(element)?,
    })
}

fn newer_versions(element: &Element) -> Result<Option<u32>> {
    let message = "'NewerNoncurrentVersions' must be a positive integer";
    element.at_most_one("NewerNoncurrentVersions")?.map(|number| days(number, 1, message)).transpose()
}

fn abort(element: &Element) -> Result<u32> {
    element.only(&["DaysAfterInitiation"])?;
    let number = element.at_most_one("DaysAfterInitiation")?.ok_or_else(S3Error::malformed_xml)?;
    let message =
        "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer";
    days(number, 1, message)
}

/// A class that a rule may move objects to.
fn class(element: &Element) -> Result<StorageClass> {
    match element.leaf("StorageClass")?.and_then(|name| name.parse().ok()) {
        Some(
            class @ (StorageClass::StandardIa
            | StorageClass::OneZoneIa
            | StorageClass::IntelligentTiering
            | StorageClass::GlacierIr
            | StorageClass::Tape(TapeClass::Glacier | TapeClass::DeepArchive)),
        ) => Ok(class),
        _ => Err(S3Error::malformed_xml()),
    }
}

/// A count of days (or versions) from `least` to 2^31-1; below it the text given, above it `MalformedXML`.
fn days(element: &Element, least: i64, message: &'static str) -> Result<u32> {
    let days = element.integer()?;
    if days < least {
        return Err(invalid_argument(message));
    }
    i32::try_from(days).map(i32::unsigned_abs).map_err(|_| S3Error::malformed_xml())
}

fn midnight(element: &Element) -> Result<Timestamp> {
    let text = element.trimmed()?;
    let moment = date::parse_iso(text).ok_or_else(S3Error::malformed_xml)?;
    if moment != moment.midnight() {
        return Err(S3Error::argument("'Date' must be at midnight GMT", "Date", text));
    }
    Ok(moment)
}

fn invalid_argument(message: &'static str) -> S3Error {
    S3Error::with_message(Code::InvalidArgument, message)
}
