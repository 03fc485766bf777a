//! Whether a conditional PUT protects an ordinary one that runs beside it.
//!
//! In a round an object is written; then an ordinary PUT and a PUT with If-Match on that object's ETag run at the same
//! time. Whichever comes first, an ordinary PUT that was acknowledged must be what stands in the end: if it came
//! first, the condition is false; if second, it is the last. Anything else is an acknowledged write that was lost.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use http::Method;
use model::store::IfMatch;
use tokio::time::Instant;

use super::scratch::{Outcome, Scratch};
use super::{Finding, Verdict};
use crate::service::S3Service;

/// Rounds at a time, each on a key of its own.
const LANES: usize = 4;
/// Time for all rounds.
const PATIENCE: Duration = Duration::from_secs(240);
/// By how much one of the two starts later, in steps of this.
const STAGGER: Duration = Duration::from_micros(100);

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// The ordinary PUT stands, the conditional one was done before it.
    Before,
    /// The ordinary PUT stands, the conditional one was refused.
    Refused,
    /// The ordinary PUT was acknowledged and does not stand.
    Lost,
    /// The store failed one of them: this proves nothing.
    Failed,
    /// There was no time left.
    Skipped,
}

#[derive(Default)]
struct Tally {
    before: u32,
    refused: u32,
    lost: u32,
    failed: u32,
    skipped: u32,
}

/// Races so many rounds.
pub(super) async fn compare_and_set<S: S3Service>(
    scratch: &Scratch<'_, S>,
    form: IfMatch,
    rounds: u32,
) -> Outcome<Finding> {
    let name = "compare_and_set";
    if form == IfMatch::Ignored {
        return Ok(Finding::new(name, Verdict::Absent, "If-Match is ignored"));
    }
    let end = Instant::now() + PATIENCE;
    let mut racing = stream::iter(0..rounds)
        .map(|number| async move {
            if Instant::now() >= end { Ok(Round::Skipped) } else { round(scratch, form, number).await }
        })
        .buffer_unordered(LANES);
    let mut tally = Tally::default();
    while let Some(ended) = racing.next().await {
        match ended? {
            Round::Before => tally.before += 1,
            Round::Refused => tally.refused += 1,
            Round::Lost => tally.lost += 1,
            Round::Failed => tally.failed += 1,
            Round::Skipped => tally.skipped += 1,
        }
    }
    Ok(Finding::new(name, tally.verdict(), tally.told(rounds)))
}

async fn round<S: S3Service>(scratch: &Scratch<'_, S>, form: IfMatch, number: u32) -> Outcome<Round> {
    let step = "racing two writers";
    let key = format!("race-{number}");
    let etag = scratch.write(step, &key, "before both").await?;
    let etag = if form == IfMatch::Quoted { &*etag } else { etag.trim_matches('"') };
    let (ordinary, conditional) = (format!("ordinary {number}"), format!("conditional {number}"));
    let (first, second) = stagger(number);
    let (plain, guarded) = tokio::join!(
        async {
            tokio::time::sleep(first).await;
            scratch.put(step, scratch.ask(Method::PUT, &key), ordinary.clone()).await
        },
        async {
            tokio::time::sleep(second).await;
            let ask = scratch.ask(Method::PUT, &key).header("if-match", etag);
            scratch.put(step, ask, conditional).await
        }
    );
    let (plain, guarded) = (plain?, guarded?);
    let stands = scratch.read(step, &key).await?;
    if !plain.is_done() {
        return Ok(Round::Failed);
    }
    if stands.is_none_or(|body| body != ordinary) {
        return Ok(Round::Lost);
    }
    if guarded.is_done() {
        return Ok(Round::Before);
    }
    Ok(if guarded.is_refusal() { Round::Refused } else { Round::Failed })
}

/// How long either waits: none, or one of them a little, so that every order and overlap comes about.
fn stagger(number: u32) -> (Duration, Duration) {
    let late = STAGGER * (number / 3 % 16);
    match number % 3 {
        0 => (Duration::ZERO, Duration::ZERO),
        1 => (late, Duration::ZERO),
        _ => (Duration::ZERO, late),
    }
}

// === impl Tally ===

impl Tally {
    fn verdict(&self) -> Verdict {
        let raced = self.before + self.refused;
        if self.lost > 0 {
            Verdict::Absent
        } else if self.skipped > 0 || self.failed > raced / 10 || self.refused == 0 {
            // Too few rounds count, or the condition was never false: nothing was put to the test.
            Verdict::Unclear
        } else {
            Verdict::Proven
        }
    }

    fn told(&self, rounds: u32) -> String {
        let Self { before, refused, lost, failed, skipped } = self;
        let mut text = format!(
            "{rounds} rounds: {lost} acknowledged writes lost, conditional PUT first in {before}, refused in {refused}"
        );
        if failed + skipped > 0 {
            text.push_str(&format!(", {failed} failed, {skipped} had no time"));
        }
        text
    }
}
