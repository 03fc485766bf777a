//! The policy of a signed form: until when, and what the form may say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{BucketName, Timestamp};
use serde_json::Value;

use super::Form;
use crate::date;
use crate::error::{Code, Result, S3Error};

/// A policy, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    expiration: Timestamp,
    conditions: Vec<Condition>,
    length: LengthRange,
}

/// How long the file may be, in bytes, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthRange {
    /// Least.
    pub least: u64,
    /// Most.
    pub most: u64,
}

/// One condition on a field, whose name is in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    starts_with: bool,
    name: String,
    value: String,
}

// === impl Policy ===

impl Policy {
    /// Reads the `policy` field: JSON in base64.
    ///
    /// Errors: `InvalidPolicyDocument`.
    pub fn parse(base64: &str) -> Result<Self> {
        let json = STANDARD.decode(base64).map_err(|_| invalid("Invalid Base64."))?;
        let document: Value = serde_json::from_slice(&json).map_err(|_| invalid("Invalid JSON."))?;
        let document = document.as_object().ok_or_else(|| invalid("Invalid JSON."))?;
        let expiration = document.get("expiration").ok_or_else(|| invalid("Policy missing expiration."))?;
        let expiration = expiration
            .as_str()
            .and_then(date::parse_iso)
            .ok_or_else(|| invalid(&format!("Invalid 'expiration' value: {expiration}")))?;
        let conditions = document.get("conditions").and_then(Value::as_array);
        let conditions = conditions.ok_or_else(|| invalid("Policy missing conditions."))?;
        let length = LengthRange { least: 0, most: u64::MAX };
        let mut policy = Self { expiration, conditions: Vec::new(), length };
        for condition in conditions {
            policy.add(condition)?;
        }
        Ok(policy)
    }

    /// Checks a form for this bucket. What it gives is to be held against the file: `EntityTooSmall` below,
    /// `EntityTooLarge` above.
    ///
    /// Errors: `AccessDenied` when the policy is over, a condition does not hold, or a field (the bucket is one) has
    /// no condition.
    pub fn check(&self, form: &Form, bucket: &BucketName, now: Timestamp) -> Result<LengthRange> {
        if now > self.expiration {
            return Err(denied("Policy expired."));
        }
        for condition in &self.conditions {
            let value = match condition.name.as_str() {
                "bucket" => Some(bucket.as_str()),
                name => form.field(name),
            };
            if !value.is_some_and(|value| condition.holds(value)) {
                return Err(denied(&format!("Policy Condition failed: {condition}")));
            }
        }
        if let Some(value) = form.field("bucket").filter(|named| *named != bucket.as_str()) {
            let named = Condition { starts_with: false, name: "bucket".into(), value: value.into() };
            return Err(denied(&format!("Policy Condition failed: {named}")));
        }
        let names = form.fields.keys().map(String::as_str).filter(|name| !is_free(name));
        let named = |name: &str| self.conditions.iter().any(|condition| condition.name == name);
        if let Some(name) = names.chain(["bucket"]).find(|name| !named(name)) {
            return Err(denied(&format!("Extra input fields: {name}")));
        }
        Ok(self.length)
    }

    fn add(&mut self, condition: &Value) -> Result<()> {
        let unusable = || invalid(&format!("Invalid Condition: {condition}"));
        if let Some(exact) = condition.as_object() {
            for (name, value) in exact {
                self.conditions.push(Condition {
                    starts_with: false,
                    name: name.to_ascii_lowercase(),
                    value: value.as_str().ok_or_else(unusable)?.to_owned(),
                });
            }
            return Ok(());
        }
        let [operator, first, second] = condition.as_array().map(Vec::as_slice).unwrap_or_default() else {
            return Err(unusable());
        };
        let operator = operator.as_str().ok_or_else(unusable)?.to_ascii_lowercase();
        if operator == "content-length-range" {
            let (least, most) = number(first).zip(number(second)).ok_or_else(unusable)?;
            self.length.least = self.length.least.max(least);
            self.length.most = self.length.most.min(most);
            return Ok(());
        }
        let starts_with = match operator.as_str() {
            "eq" => false,
            "starts-with" => true,
            _ => return Err(unusable()),
        };
        let name = first.as_str().and_then(|name| name.strip_prefix('$')).ok_or_else(unusable)?;
        let value = second.as_str().ok_or_else(unusable)?.to_owned();
        self.conditions.push(Condition { starts_with, name: name.to_ascii_lowercase(), value });
        Ok(())
    }
}

// === impl Condition ===

impl Condition {
    fn holds(&self, given: &str) -> bool {
        match (self.starts_with, self.name.as_str()) {
            (false, _) => given == self.value,
            // A content type with commas is a list.
            (true, "content-type") => {
                given.split(',').all(|one| one.trim_ascii_start().starts_with(&self.value))
            }
            (true, _) => given.starts_with(&self.value),
        }
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let operator = if self.starts_with { "starts-with" } else { "eq" };
        let (name, value) = (Value::from(format!("${}", self.name)), Value::from(self.value.as_str()));
        write!(f, "[\"{operator}\", {name}, {value}]")
    }
}

/// Fields that need no condition.
fn is_free(name: &str) -> bool {
    matches!(name, "policy" | "x-amz-signature") || name.starts_with("x-ignore-")
}

/// A count of bytes, as a number or, as some write it, in quotes.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn invalid(why: &str) -> S3Error {
    S3Error::with_message(Code::InvalidPolicyDocument, format!("Invalid Policy: {why}"))
}

fn denied(why: &str) -> S3Error {
    S3Error::with_message(Code::AccessDenied, format!("Invalid according to Policy: {why}"))
}
