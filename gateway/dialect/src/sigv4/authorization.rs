//! The claim of a signed request in its Authorization header.

use super::canonical::SignedHeaders;
use super::scope::Credential;
use super::verify::{Claim, RequestView};
use super::{ALGORITHM, AUTHORIZATION_BYTES_MAX, AmzDate, AuthError, PayloadToken};
use http::HeaderMap;
use http::header::{DATE, HeaderValue};

/// Reads the one Authorization header, the time stamp and the payload token.
pub(super) fn claim<'a>(
    request: &RequestView<'a>,
    authorization: &'a HeaderValue,
) -> Result<Claim<'a>, AuthError> {
    if authorization.len() > AUTHORIZATION_BYTES_MAX {
        return Err(AuthError::HeadTooLarge);
    }
    let text = authorization.to_str().map_err(|_| AuthError::AuthorizationTypeNotSupported)?;
    let (kind, fields) = text.split_once(' ').unwrap_or((text, ""));
    match kind {
        ALGORITHM => {}
        // Signature Version 2, 4A, or a version to come.
        "AWS" => return Err(AuthError::MechanismNotSupported),
        other if other.starts_with("AWS4-") => return Err(AuthError::MechanismNotSupported),
        _ => return Err(AuthError::AuthorizationTypeNotSupported),
    }
    let Fields { credential, signed, signature } = Fields::parse(fields)?;
    let credential = Credential::parse(credential).map_err(AuthError::header)?;
    let signed =
        SignedHeaders::parse(signed).ok_or_else(|| AuthError::header("the SignedHeaders are malformed."))?;
    let payload_text = once(request.headers, "x-amz-content-sha256")?.ok_or(AuthError::NoPayloadToken)?;
    let payload = PayloadToken::parse(payload_text)
        .ok_or_else(|| AuthError::PayloadTokenUnusable { given: payload_text.to_owned() })?;
    Ok(Claim {
        credential,
        signed,
        signature,
        date: date(request.headers)?,
        payload,
        payload_text,
        lifetime_seconds: None,
    })
}

/// The value of a header that may stand at most once.
pub(super) fn once<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, AuthError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| AuthError::NotOnce { name }),
        (Some(_), Some(_)) => Err(AuthError::NotOnce { name }),
    }
}

/// `x-amz-date`, else Date in either spelling.
fn date(headers: &HeaderMap) -> Result<AmzDate, AuthError> {
    let date = match once(headers, "x-amz-date")? {
        Some(text) => AmzDate::parse(text),
        None => {
            let text = headers.get(DATE).and_then(|value| value.to_str().ok()).unwrap_or_default();
            AmzDate::parse(text).or_else(|| AmzDate::parse_http(text))
        }
    };
    date.ok_or(AuthError::NoDate)
}

struct Fields<'a> {
    credential: &'a str,
    signed: &'a str,
    signature: &'a str,
}

impl<'a> Fields<'a> {
    /// Reads `Credential=..., SignedHeaders=..., Signature=...` in any order, spaces after commas or not.
    fn parse(text: &'a str) -> Result<Self, AuthError> {
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for field in text.split(',').map(str::trim).filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let place = match name.trim() {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut signature,
                _ => return Err(AuthError::header("a field is unknown.")),
            };
            if place.replace(value.trim()).is_some() {
                return Err(AuthError::header("a field is present more than once."));
            }
        }
        let missing = |name: &str| AuthError::header(format!("the {name} is missing."));
        Ok(Self {
            credential: credential.ok_or_else(|| missing("Credential"))?,
            signed: signed.ok_or_else(|| missing("SignedHeaders"))?,
            signature: signature.ok_or_else(|| missing("Signature"))?,
        })
    }
}
