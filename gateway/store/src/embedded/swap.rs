//! The swap in place: another body under an existing version, in one transaction.

use std::sync::Arc;

use dialect::Code;
use dialect::checksum::{Algorithm, Checksum, Md5};
use model::Timestamp;
use model::store::{ObjectRef, StoreError};

use super::Inner;
use super::fault::{Failure, Outcome};
use super::put::full_checksum;
use super::record::Entry;
use super::versions::Which;
use crate::service::Swap;

/// Swaps; whatever is refused was not done.
pub(super) async fn swap(inner: &Arc<Inner>, swap: Swap) -> Result<(), StoreError> {
    let target = swap.target.clone();
    let id = inner.files.fresh_id();
    let done = inner
        .writer
        .commit(None, move |tables| {
            let bucket = tables.bucket(swap.target.bucket.as_str())?;
            let key = swap.target.key.as_str();
            let named = swap.target.version.as_ref().map(|id| Which::Named(id.as_str().to_owned()));
            let standing = tables.entry(&bucket, key, &named.unwrap_or(Which::Current))?;
            let standing = standing.and_then(Entry::object);
            let Some(mut version) = standing.filter(|version| is_expected(&swap, version)) else {
                return Ok(false);
            };
            for segment in &version.segments {
                tables.discard(segment)?;
            }
            version.segments =
                if swap.body.is_empty() { Vec::new() } else { vec![tables.keep_inline(id, &swap.body)?] };
            version.part_bytes = Vec::new();
            version.part_checksums = Vec::new();
            version.upload = None;
            version.size = swap.body.len() as u64;
            version.etag = Md5::of(&swap.body).etag();
            version.checksum = Some(full_checksum(&Checksum::of(Algorithm::Crc64Nvme, &swap.body)));
            version.headers.retain(|(name, _)| *name != swap.header.0);
            version.headers.push(swap.header);
            version.headers.sort();
            tables.rewrite(&bucket, key, version)?;
            Ok(true)
        })
        .await;
    outcome(done, &target)
}

fn is_expected(swap: &Swap, version: &super::Version) -> bool {
    let seconds = Timestamp::from_milliseconds(version.last_modified).seconds();
    version.etag == swap.expected_etag.as_str() && seconds == swap.expected_seconds
}

pub(super) fn outcome(done: Outcome<bool>, target: &ObjectRef) -> Result<(), StoreError> {
    let what = || format!("{}/{}", target.bucket, target.key);
    match done {
        Ok(true) => Ok(()),
        Ok(false) => Err(StoreError::Changed { what: what() }),
        Err(Failure::Refused(error)) if error.code == Code::NoSuchBucket => {
            Err(StoreError::Missing { what: what() })
        }
        Err(Failure::Refused(error)) => Err(StoreError::Refused {
            what: what(),
            status: error.status().as_u16(),
            code: error.code.as_str().to_owned(),
        }),
        Err(Failure::Fault(fault)) if fault.is_full() => Err(StoreError::Full { what: what() }),
        Err(Failure::Fault(fault)) => Err(StoreError::Doubt { what: what(), source: Box::new(fault) }),
    }
}
