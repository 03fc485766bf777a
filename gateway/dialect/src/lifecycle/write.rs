//! A configuration as a document: nothing added to a rule, nothing taken away.

use model::rule::{Expiration, LifecycleConfiguration, Predicate, Rule, Scope, When};

use crate::xml::Writer;

pub(super) fn document(configuration: &LifecycleConfiguration) -> Vec<u8> {
    let mut out = Writer::root("LifecycleConfiguration");
    for rule in &configuration.rules {
        out.open("Rule");
        write_rule(&mut out, rule);
        out.close("Rule");
    }
    out.finish()
}

fn write_rule(out: &mut Writer, rule: &Rule) {
    out.leaf("ID", &rule.id);
    write_scope(out, &rule.scope);
    out.leaf("Status", if rule.enabled { "Enabled" } else { "Disabled" });
    if let Some(expiration) = &rule.expiration {
        out.open("Expiration");
        match expiration {
            Expiration::At(when) => write_when(out, *when),
            Expiration::DeleteMarker(on) => {
                out.leaf("ExpiredObjectDeleteMarker", if *on { "true" } else { "false" })
            }
        }
        out.close("Expiration");
    }
    for transition in &rule.transitions {
        out.open("Transition");
        write_when(out, transition.when);
        out.leaf("StorageClass", transition.class.as_str());
        out.close("Transition");
    }
    if let Some(expiration) = &rule.noncurrent_expiration {
        out.open("NoncurrentVersionExpiration");
        out.leaf("NoncurrentDays", &expiration.days.to_string());
        write_newer(out, expiration.newer_versions);
        out.close("NoncurrentVersionExpiration");
    }
    for transition in &rule.noncurrent_transitions {
        out.open("NoncurrentVersionTransition");
        out.leaf("NoncurrentDays", &transition.days.to_string());
        out.leaf("StorageClass", transition.class.as_str());
        write_newer(out, transition.newer_versions);
        out.close("NoncurrentVersionTransition");
    }
    if let Some(days) = rule.abort_multipart_days {
        out.open("AbortIncompleteMultipartUpload");
        out.leaf("DaysAfterInitiation", &days.to_string());
        out.close("AbortIncompleteMultipartUpload");
    }
}

fn write_scope(out: &mut Writer, scope: &Scope) {
    if let Scope::LegacyPrefix(prefix) = scope {
        out.leaf("Prefix", prefix);
        return;
    }
    out.open("Filter");
    match scope {
        Scope::LegacyPrefix(_) | Scope::Everything => {}
        Scope::One(predicate) => write_predicate(out, predicate),
        Scope::And(predicates) => {
            out.open("And");
            for predicate in predicates {
                write_predicate(out, predicate);
            }
            out.close("And");
        }
    }
    out.close("Filter");
}

fn write_predicate(out: &mut Writer, predicate: &Predicate) {
    match predicate {
        Predicate::Prefix(prefix) => out.leaf("Prefix", prefix),
        Predicate::Tag { key, value } => {
            out.open("Tag");
            out.leaf("Key", key);
            out.leaf("Value", value);
            out.close("Tag");
        }
        Predicate::SizeGreaterThan(bytes) => out.leaf("ObjectSizeGreaterThan", &bytes.to_string()),
        Predicate::SizeLessThan(bytes) => out.leaf("ObjectSizeLessThan", &bytes.to_string()),
    }
}

fn write_when(out: &mut Writer, when: When) {
    match when {
        When::Days(days) => out.leaf("Days", &days.to_string()),
        When::Date(date) => out.leaf("Date", &date.to_string()),
    }
}

fn write_newer(out: &mut Writer, versions: Option<u32>) {
    out.optional("NewerNoncurrentVersions", versions.map(|n| n.to_string()).as_deref());
}
