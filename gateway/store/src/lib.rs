//! The object stores behind the gateway.
//!
//! A store is an [`S3Service`], which answers S3 requests; [`S3Store`] makes the port [`model::store::ObjectStore`]
//! of any of them, speaking S3 alone. [`EmbeddedStore`] is a service in this process, [`RemoteStore`] one behind a
//! network; [`Faulty`] is one that lies.

mod embedded;
mod error;
mod faulty;
mod probe;
mod remote;
mod s3_store;
mod service;
mod stream;

#[cfg(test)]
mod conformance;

pub use embedded::{Damage, EmbeddedStore, Options};
pub use error::Error;
pub use faulty::{Fault, Faults, Faulty};
pub use probe::{Evidence, Finding, RACE_ROUNDS, Verdict, probe};
pub use remote::{
    Addressing, BucketOwner, ClientCertificate, Endpoint, OWNER_BYTES_MAX, RemoteSettings, RemoteStore,
    Silence, StoreKey, Timeouts, TlsFiles, UNPROVEN,
};
pub use s3_store::{Reserved, S3Store};
pub use service::{OwnRequest, S3Service, StoreFull, Swap};
