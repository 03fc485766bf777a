//! Whose key signs a request.

use std::collections::BTreeMap;

use dialect::sigv4::{self, PayloadToken};
use dialect::{Code, S3Error};
use http::HeaderValue;
use http::request::Parts;
use model::Timestamp;
use model::store::Signer;

use super::settings::RemoteSettings;

/// The keys of one store.
pub(super) struct Keys {
    service: sigv4::Signer,
    own: BTreeMap<String, sigv4::Signer>,
}

// === impl Keys ===

impl Keys {
    pub(super) fn new(settings: &RemoteSettings) -> Self {
        let signer = |id: &str, secret: &sigv4::Secret| {
            sigv4::Signer::new(id, secret.clone(), settings.region.clone())
        };
        Self {
            service: signer(&settings.key.access_key_id, &settings.key.secret),
            own: settings.own_keys.iter().map(|(id, secret)| (id.clone(), signer(id, secret))).collect(),
        }
    }

    /// Signs a request, or leaves it unsigned.
    ///
    /// # Errors
    /// `InvalidAccessKeyId` when the caller has no key here, `InternalError` when a key cannot stand in a header.
    pub(super) fn sign(
        &self,
        parts: &mut Parts,
        signer: &Signer,
        payload: &PayloadToken,
        now: Timestamp,
    ) -> Result<(), S3Error> {
        let key = match signer {
            Signer::Service => &self.service,
            Signer::Own(id) => self.own.get(id).ok_or_else(|| unknown(id))?,
            Signer::Nobody => {
                sigv4::host(&mut parts.headers, &parts.uri).map_err(internal)?;
                // The framing of a body is told by this header even where nobody signs. Any other token without a
                // signature is refused by Garage.
                if let PayloadToken::StreamingUnsignedTrailer = payload {
                    let token = HeaderValue::try_from(payload.to_string()).map_err(internal)?;
                    parts.headers.insert("x-amz-content-sha256", token);
                }
                return Ok(());
            }
        };
        key.sign(parts, payload, now).map(drop).map_err(internal)
    }
}

fn unknown(id: &str) -> S3Error {
    let text = "The gateway holds no key of the store for this access key id.";
    S3Error::with_message(Code::InvalidAccessKeyId, text).extra("AWSAccessKeyId", id)
}

fn internal(error: impl std::error::Error + 'static) -> S3Error {
    tracing::error!(error = &error as &dyn std::error::Error, "a request to the store cannot be signed");
    Code::InternalError.into()
}
