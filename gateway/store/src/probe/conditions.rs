//! Conditions of writes: honoured, and in which form.

use futures_util::future;
use http::Method;
use model::store::IfMatch;

use super::scratch::{Outcome, Scratch};
use super::{Finding, Verdict};
use crate::s3_store::request::escape_key;
use crate::service::S3Service;

/// Rounds of the race of creators, and creators in each.
const CREATOR_ROUNDS: u32 = 10;
const CREATORS: u32 = 8;
/// An ETag no object here has.
const WRONG: &str = "0123456789abcdef0123456789abcdef";

/// In which form a PUT takes If-Match: one that writes with the right ETag and does not with a wrong one.
pub(super) async fn if_match<S: S3Service>(scratch: &Scratch<'_, S>) -> Outcome<(IfMatch, Finding)> {
    let mut seen = Vec::new();
    for (form, name) in [(IfMatch::Quoted, "quoted"), (IfMatch::Unquoted, "unquoted")] {
        let step = "a conditional PUT";
        let spelled = |etag: &str| match form {
            IfMatch::Quoted => format!("\"{}\"", etag.trim_matches('"')),
            _ => etag.trim_matches('"').to_owned(),
        };
        let conditional = |etag: &str| scratch.ask(Method::PUT, name).header("if-match", &spelled(etag));
        let etag = scratch.write(step, name, "old").await?;
        let wrong = scratch.put(step, conditional(WRONG), "wrong").await?;
        let kept = scratch.read(step, name).await?.is_some_and(|body| body == "old");
        let right = scratch.put(step, conditional(&etag), "new").await?;
        let written = scratch.read(step, name).await?.is_some_and(|body| body == "new");
        seen.push(format!("{name}: wrong ETag {}, right ETag {}", wrong.told(), right.told()));
        if wrong.is_refusal() && kept && right.is_done() && written {
            return Ok((form, Finding::new("if_match", Verdict::Proven, seen.join("; "))));
        }
        if wrong.is_done() {
            break;
        }
    }
    Ok((IfMatch::Ignored, Finding::new("if_match", Verdict::Absent, seen.join("; "))))
}

/// `If-None-Match: *`: not over an object, and one winner among many creators.
pub(super) async fn create_only<S: S3Service>(scratch: &Scratch<'_, S>) -> Outcome<Finding> {
    let (name, step) = ("create_only", "creating with a condition");
    let create = |key: &str| scratch.ask(Method::PUT, key).header("if-none-match", "*");
    scratch.write(step, "create", "old").await?;
    let over = scratch.put(step, create("create"), "new").await?;
    let kept = scratch.read(step, "create").await?.is_some_and(|body| body == "old");
    if !over.is_refusal() || !kept {
        let seen = format!("over an object: {}, the old bytes {}", over.told(), stand(kept));
        return Ok(Finding::new(name, Verdict::Absent, seen));
    }
    for round in 0..CREATOR_ROUNDS {
        let key = format!("create-{round}");
        let racing = (0..CREATORS).map(|creator| scratch.put(step, create(&key), creator.to_string()));
        let answers = future::try_join_all(racing).await?;
        let winners: Vec<usize> = (0..answers.len()).filter(|at| answers[*at].is_done()).collect();
        let stands = scratch.read(step, &key).await?;
        let won = matches!(winners[..], [only] if stands.is_some_and(|body| body == only.to_string()));
        if !won {
            let seen = format!("{} of {CREATORS} racing creators were told they had won", winners.len());
            return Ok(Finding::new(name, Verdict::Absent, seen));
        }
    }
    let seen = format!("refused over an object; one winner of {CREATORS} in {CREATOR_ROUNDS} rounds");
    Ok(Finding::new(name, Verdict::Proven, seen))
}

/// If-Match on DELETE.
pub(super) async fn delete_if_match<S: S3Service>(scratch: &Scratch<'_, S>) -> Outcome<Finding> {
    let step = "deleting with a condition";
    let etag = scratch.write(step, "delete", "old").await?;
    let delete = |etag: &str| scratch.ask(Method::DELETE, "delete").header("if-match", etag).bare();
    let wrong = scratch.send(step, delete(&format!("\"{WRONG}\""))).await?;
    let kept = scratch.read(step, "delete").await?.is_some();
    let right = scratch.send(step, delete(&etag)).await?;
    let gone = scratch.read(step, "delete").await?.is_none();
    let seen =
        format!("wrong ETag {}, the object {}; right ETag {}", wrong.told(), stand(kept), right.told());
    let proven = wrong.is_refusal() && kept && right.is_done() && gone;
    Ok(Finding::new("delete_if_match", verdict(proven), seen))
}

/// `x-amz-copy-source-if-match`.
pub(super) async fn copy_if_match<S: S3Service>(scratch: &Scratch<'_, S>) -> Outcome<Finding> {
    let step = "copying with a condition";
    let etag = scratch.write(step, "source", "old").await?;
    let source = format!("/{}/{}", scratch.bucket, escape_key(&scratch.key("source")));
    let copy = |to: &str, etag: &str| {
        let ask = scratch.ask(Method::PUT, to).header("x-amz-copy-source", &source);
        ask.header("x-amz-copy-source-if-match", etag).bare()
    };
    let wrong = scratch.send(step, copy("copy-wrong", &format!("\"{WRONG}\""))).await?;
    let copied = scratch.read(step, "copy-wrong").await?.is_some();
    let right = scratch.send(step, copy("copy-right", &etag)).await?;
    let there = scratch.read(step, "copy-right").await?.is_some_and(|body| body == "old");
    let seen = format!("wrong ETag {}, right ETag {}", wrong.told(), right.told());
    let proven = wrong.is_refusal() && !copied && right.is_done() && there;
    Ok(Finding::new("copy_if_match", verdict(proven), seen))
}

/// If-Match on CompleteMultipartUpload, in the form a PUT takes it.
pub(super) async fn complete_if_match<S: S3Service>(
    scratch: &Scratch<'_, S>,
    form: IfMatch,
) -> Outcome<Finding> {
    let (key, step) = ("complete", "completing an upload with a condition");
    let absent = |seen: String| Ok(Finding::new("complete_if_match", Verdict::Absent, seen));
    if form == IfMatch::Ignored {
        return absent("a PUT ignores If-Match".to_owned());
    }
    let spelled = |etag: &str| match form {
        IfMatch::Quoted => format!("\"{}\"", etag.trim_matches('"')),
        _ => etag.trim_matches('"').to_owned(),
    };
    let etag = scratch.write(step, key, "old").await?;
    let begun = scratch.send(step, scratch.ask(Method::POST, key).query("uploads", "").bare()).await?;
    let root = begun.element("InitiateMultipartUploadResult");
    let Some(upload) = root.as_ref().and_then(|root| root.child("UploadId")?.exact().ok()) else {
        return absent(format!("no upload could be begun: {}", begun.told()));
    };
    let to_upload = |method| scratch.ask(method, key).query("uploadId", upload);
    let part = scratch.put(step, to_upload(Method::PUT).query("partNumber", "1"), "new").await?;
    let Some(part) = part.header("etag") else {
        return absent(format!("no part could be written: {}", part.told()));
    };
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part}</ETag></Part></CompleteMultipartUpload>"
    );
    let complete = |etag: &str| to_upload(Method::POST).header("if-match", &spelled(etag));
    let wrong = scratch.put(step, complete(WRONG), list.clone()).await?;
    let kept = scratch.read(step, key).await?.is_some_and(|body| body == "old");
    let right = scratch.put(step, complete(&etag), list).await?;
    let written = scratch.read(step, key).await?.is_some_and(|body| body == "new");
    let seen =
        format!("wrong ETag {}, the object {}; right ETag {}", wrong.told(), stand(kept), right.told());
    let proven = wrong.is_refusal() && kept && right.is_done() && written;
    Ok(Finding::new("complete_if_match", verdict(proven), seen))
}

pub(super) fn verdict(proven: bool) -> Verdict {
    if proven { Verdict::Proven } else { Verdict::Absent }
}

fn stand(kept: bool) -> &'static str {
    if kept { "stayed" } else { "did not stay" }
}
