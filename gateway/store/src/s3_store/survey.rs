//! What a bucket is set to, asked setting by setting.

use bytes::Bytes;
use dialect::checksum::Md5;
use dialect::xml::{self, Element};
use http::Method;
use model::BucketName;
use model::body::full;
use model::bucket::{Survey, Versioning};
use model::store::StoreError;

use super::S3Store;
use super::answer::{leaf, nonsense};
use super::request::Ask;
use crate::service::S3Service;
use crate::stream::collect;

/// Longest configuration of a bucket read, in bytes.
const BYTES_MAX: usize = 1 << 20;

impl<S: S3Service> S3Store<S> {
    pub(super) async fn survey_bucket(&self, bucket: &BucketName) -> Result<Survey, StoreError> {
        self.ask(&format!("head of bucket {bucket}"), Ask::bucket(Method::HEAD, bucket).bare()).await?;
        let versioning = self.setting(bucket, "versioning").await?;
        let lock = self.setting(bucket, "object-lock").await?;
        let replication = self.setting(bucket, "replication").await?;
        let notifications = self.setting(bucket, "notification").await?;
        let state = |name| versioning.as_ref().and_then(|(_, setting)| leaf(setting, name));
        Ok(Survey {
            versioning: match state("Status") {
                Some("Enabled") => Versioning::Enabled,
                Some(_) => Versioning::Suspended,
                None => Versioning::Off,
            },
            mfa_delete: matches!(state("MfaDelete").or(state("MFADelete")), Some("Enabled")),
            object_lock: lock.is_some_and(|(_, lock)| leaf(&lock, "ObjectLockEnabled") == Some("Enabled")),
            replication: replication.is_some_and(|(_, rules)| rules.child("Rule").is_some()),
            notifications: notifications.is_some_and(|(_, targets)| !targets.children.is_empty()),
            rules: self.setting(bucket, "lifecycle").await?.map(|(text, _)| text),
        })
    }

    pub(super) async fn keep_bucket_rules(
        &self,
        bucket: &BucketName,
        rules: Option<Bytes>,
    ) -> Result<(), StoreError> {
        let what = format!("lifecycle rules of {bucket}");
        let ask = |method| Ask::bucket(method, bucket).query("lifecycle", "");
        let request = match rules {
            None => ask(Method::DELETE).bare(),
            Some(rules) => {
                let length = rules.len() as u64;
                let digest = Md5::of(&rules).to_base64();
                ask(Method::PUT).header("content-md5", &digest).send(full(rules), length)
            }
        };
        self.ask(&what, request).await.map(drop)
    }

    /// One setting as the store wrote it; none where it is not set or the store does not know it.
    async fn setting(
        &self,
        bucket: &BucketName,
        name: &str,
    ) -> Result<Option<(String, Element)>, StoreError> {
        let what = format!("{name} of bucket {bucket}");
        let asked = self.ask(&what, Ask::bucket(Method::GET, bucket).query(name, "").bare()).await;
        let response = match asked {
            Ok(response) => response,
            Err(StoreError::Missing { .. }) => return Ok(None),
            // What a store does not offer cannot be set there.
            Err(StoreError::Refused { status: 400 | 405 | 501, .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let text = collect(response.into_body(), BYTES_MAX)
            .await
            .map_err(|source| StoreError::Doubt { what: what.clone(), source: Box::new(source) })?;
        let setting = xml::read_any(&text, BYTES_MAX).map_err(|_| nonsense(&what, name))?;
        Ok(Some((String::from_utf8_lossy(&text).into_owned(), setting)))
    }
}
