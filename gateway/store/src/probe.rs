//! What a store can do, found out by trying it: an answer alone proves nothing, what stands there afterwards does.
//!
//! Words: a *finding* is one thing tried, with what was seen; the *scratch* is the prefix all of it happens under.
//!
//! Flow: an object is written, read and compared; then conditions of PUT, DELETE and copy, features, late checksums,
//! and at last the race that decides whether a conditional PUT protects an ordinary one. In the end the scratch is
//! emptied, versions included, whatever has happened.
//!
//! Invariant: nothing outside the scratch is written; no setting of the bucket is touched.
//! Invariant: what is not clearly seen is not proven.
//! Invariant: a probe ends: every request, the race and the whole have a time.

mod conditions;
mod features;
mod race;
mod scratch;

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use model::BucketName;
use model::store::Capabilities;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::remote::UNPROVEN;
use crate::service::S3Service;
use scratch::{Scratch, Trouble};

/// Rounds of the race that an operator gets without asking for another number.
pub const RACE_ROUNDS: u32 = 300;
/// Most rounds that are run.
const ROUNDS_MAX: u32 = 10_000;
/// Time for all findings together; emptying the scratch has as much again.
const PATIENCE: Duration = Duration::from_secs(600);

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What is proven.
    pub capabilities: Capabilities,
    /// Why, in the order tried.
    pub findings: Vec<Finding>,
}

/// One thing tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Name, as the capability.
    pub name: String,
    /// What it came to.
    pub verdict: Verdict,
    /// What was seen, for a reader.
    pub seen: String,
}

/// What a finding came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The store does it.
    Proven,
    /// The store does not do it.
    Absent,
    /// Neither was seen clearly; counts as absent.
    Unclear,
}

/// Finds out what the store behind `service` can do, under a scratch prefix of `bucket`, with `rounds` rounds of the
/// race ([`RACE_ROUNDS`]; at most 10 000). The service's key must be able to read, write, list and delete there. Takes
/// seconds on a store nearby, 20 minutes at most. Versions made are deleted again.
///
/// Some stores honour conditions in buckets without versions alone (Ceph RGW 16.2): what is found holds for buckets
/// set as this one is.
///
/// # Errors
/// [`Error::Probe`] when the scratch cannot be used at all, no answer comes, or it cannot be emptied in the end.
pub async fn probe(service: &impl S3Service, bucket: &BucketName, rounds: u32) -> Result<Evidence, Error> {
    let scratch = Scratch::new(service, bucket)?;
    let found = tokio::time::timeout(PATIENCE, find(&scratch, rounds.clamp(1, ROUNDS_MAX))).await;
    let emptied = tokio::time::timeout(PATIENCE, scratch.empty()).await;
    let failed = |step, source| Error::Probe { bucket: bucket.to_string(), step, source };
    let late = |step| failed(step, "it took too long".into());
    let evidence =
        found.map_err(|_| late("all of it"))?.map_err(|trouble| failed(trouble.step, trouble.source))?;
    emptied
        .map_err(|_| late("emptying the scratch"))?
        .map_err(|trouble| failed(trouble.step, trouble.source))?;
    Ok(evidence)
}

async fn find<S: S3Service>(scratch: &Scratch<'_, S>, rounds: u32) -> Result<Evidence, Trouble> {
    let mut evidence = Evidence {
        capabilities: Capabilities { in_place: scratch.service.capabilities().in_place, ..UNPROVEN },
        findings: Vec::new(),
    };
    scratch.works().await?;
    let (if_match, finding) = conditions::if_match(scratch).await?;
    evidence.capabilities.if_match = if_match;
    evidence.findings.push(finding);
    let can = &mut evidence.capabilities;
    for (capability, finding) in [
        (&mut can.create_only, conditions::create_only(scratch).await?),
        (&mut can.delete_if_match, conditions::delete_if_match(scratch).await?),
        (&mut can.copy_if_match, conditions::copy_if_match(scratch).await?),
        (&mut can.complete_if_match, conditions::complete_if_match(scratch, if_match).await?),
        (&mut can.versions, features::versions(scratch).await?),
        (&mut can.tags, features::tags(scratch).await?),
        (&mut can.acls, features::acls(scratch).await?),
        (&mut can.trailers, features::trailers(scratch).await?),
        (&mut can.compare_and_set, race::compare_and_set(scratch, if_match, rounds).await?),
    ] {
        *capability = finding.verdict == Verdict::Proven;
        evidence.findings.push(finding);
    }
    Ok(evidence)
}

// === impl Finding ===

impl Finding {
    fn new(name: &str, verdict: Verdict, seen: impl Into<String>) -> Self {
        Self { name: name.to_owned(), verdict, seen: seen.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.name, self.verdict, self.seen)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proven => "yes",
            Self::Absent => "no",
            Self::Unclear => "unclear",
        })
    }
}
