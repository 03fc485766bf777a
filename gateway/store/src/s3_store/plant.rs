//! Archived objects made anew on a store that lost them: buckets, stubs, and small objects with their bytes.

use bytes::Bytes;
use dialect::checksum::Md5;
use dialect::reserved;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::body::full;
use model::marker::{self, Marker};
use model::store::{FlipContent, ObjectRef, Plant, StoreError};
use model::{BucketName, Timestamp, VersionId};

use super::request::Ask;
use super::{S3Store, object};
use crate::service::{Planted, S3Service};

const VERSIONS_ON: &[u8] = b"<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
    <Status>Enabled</Status></VersioningConfiguration>";

impl<S: S3Service> S3Store<S> {
    /// The marker of an object, whoever signed it.
    pub(super) async fn claimed(&self, target: &ObjectRef) -> Result<Option<Marker>, StoreError> {
        let what = format!("head of {}/{}", target.bucket, target.key);
        let response = match self.ask(&what, object(Method::HEAD, target).bare()).await {
            Ok(response) => response,
            Err(StoreError::Missing { .. } | StoreError::Refused { status: 405, .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let record = response.headers().get(reserved::HEADER).and_then(|record| record.to_str().ok());
        Ok(record.and_then(|record| reserved::unverified(record).ok()))
    }

    pub(super) async fn plant_bucket(&self, bucket: &BucketName, versions: bool) -> Result<(), StoreError> {
        let what = format!("bucket {bucket}");
        match self.ask(&what, Ask::bucket(Method::HEAD, bucket).bare()).await {
            Err(StoreError::Missing { .. }) => {
                self.ask(&what, Ask::bucket(Method::PUT, bucket).bare()).await?;
            }
            seen => drop(seen?),
        }
        if versions {
            let ask = Ask::bucket(Method::PUT, bucket).query("versioning", "");
            let ask = ask.header("content-md5", &Md5::of(VERSIONS_ON).to_base64());
            let request = ask.send(full(VERSIONS_ON), VERSIONS_ON.len() as u64);
            self.ask(&format!("versioning of {bucket}"), request).await?;
        }
        Ok(())
    }

    pub(super) async fn plant_object(&self, plant: Plant) -> Result<(), StoreError> {
        let Plant { target, headers, last_modified, hidden, marker, content } = plant;
        let record = reserved::render(&marker, &target.bucket, &target.key, &self.secret);
        let body = match content {
            FlipContent::Stub => Bytes::from(reserved::stub_body(&record)),
            FlipContent::Whole(bytes) => bytes,
        };
        if self.service.capabilities().in_place {
            return self.plant_in_place((target, last_modified, hidden), &headers, &record, body).await;
        }
        let what = format!("stub of {}/{}", target.bucket, target.key);
        let mut ask =
            Ask::object(Method::PUT, &target.bucket, target.key.as_str()).header(reserved::HEADER, &record);
        if target.version.is_none() && self.service.capabilities().create_only {
            ask = ask.header("if-none-match", "*");
        }
        let displaced = marker::displaced(&headers);
        for (name, value) in headers.iter().filter(|header| !displaced.contains(header)) {
            ask = ask.header(name, value);
        }
        let length = body.len() as u64;
        self.ask(&what, ask.send(full(body), length)).await?;
        if hidden {
            let ask = Ask::object(Method::DELETE, &target.bucket, target.key.as_str());
            self.ask(&format!("delete marker of {}/{}", target.bucket, target.key), ask.bare()).await?;
        }
        Ok(())
    }

    async fn plant_in_place(
        &self,
        (target, last_modified, hidden): (ObjectRef, Timestamp, bool),
        headers: &[(String, String)],
        record: &str,
        body: Bytes,
    ) -> Result<(), StoreError> {
        let mut all = HeaderMap::new();
        let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in pairs.chain([(reserved::HEADER, record)]) {
            let Ok(name) = HeaderName::try_from(name) else { continue };
            let value =
                HeaderValue::try_from(value).unwrap_or_else(|_| dialect::metadata::header_value(value));
            all.append(name, value);
        }
        let version = target.version.filter(|version| *version != VersionId::null());
        let target = ObjectRef { version, ..target };
        self.service.plant_in_place(Planted { target, last_modified, hidden, headers: all, body }).await
    }
}
