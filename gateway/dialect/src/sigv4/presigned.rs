//! The claim of a presigned URL in its query.

use super::authorization::once;
use super::canonical::{Query, SignedHeaders};
use super::scope::Credential;
use super::verify::{Claim, RequestView};
use super::{ALGORITHM, AmzDate, AuthError, PRESIGN_SECONDS_MAX, PayloadToken};

/// Reads the six parameters; all of them must be there, each once.
pub(super) fn claim<'a>(request: &RequestView<'a>, query: &'a Query) -> Result<Claim<'a>, AuthError> {
    let one = |name| match query.one(name) {
        Ok(Some(value)) => Ok(value),
        Ok(None) | Err(()) => Err(AuthError::query_incomplete()),
    };
    let algorithm = one("X-Amz-Algorithm")?;
    let credential = one("X-Amz-Credential")?;
    let signature = one("X-Amz-Signature")?;
    let (date, signed, expires) = (one("X-Amz-Date")?, one("X-Amz-SignedHeaders")?, one("X-Amz-Expires")?);
    self::algorithm(algorithm)?;
    let credential = self::credential(credential)?;
    let signed = SignedHeaders::parse(signed)
        .ok_or_else(|| AuthError::query("X-Amz-SignedHeaders must be a list of header names"))?;
    let date = self::date(date)?;
    let (payload, payload_text) = payload(request, query)?;
    Ok(Claim {
        credential,
        signed,
        signature,
        date,
        payload,
        payload_text,
        lifetime_seconds: Some(lifetime(expires)?),
    })
}

/// Only one algorithm is spoken here.
pub(super) fn algorithm(text: &str) -> Result<(), AuthError> {
    match text {
        ALGORITHM => Ok(()),
        _ if text.starts_with("AWS4-ECDSA") => Err(AuthError::MechanismNotSupported),
        _ => Err(AuthError::query("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"")),
    }
}

pub(super) fn credential(text: &str) -> Result<Credential<'_>, AuthError> {
    Credential::parse(text)
        .map_err(|reason| AuthError::query(format!("Error parsing the X-Amz-Credential parameter; {reason}")))
}

pub(super) fn date(text: &str) -> Result<AmzDate, AuthError> {
    AmzDate::parse(text).ok_or_else(|| {
        AuthError::query("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    })
}

fn lifetime(text: &str) -> Result<i64, AuthError> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AuthError::query("X-Amz-Expires should be a number"));
    }
    // More digits than fit is certainly too long.
    let seconds = digits.parse::<i64>().unwrap_or(i64::MAX) * sign;
    match seconds {
        ..0 => Err(AuthError::query("X-Amz-Expires must be non-negative")),
        0 => Err(AuthError::query("X-Amz-Expires must be at least 1 second")),
        1..=PRESIGN_SECONDS_MAX => Ok(seconds),
        _ => Err(AuthError::query_too_long_lived()),
    }
}

/// The header, which must then be signed like every `x-amz-*`; else the parameter of the same name, else unsigned.
/// A streaming body cannot be presigned: there is no seed its chunks could start from.
fn payload<'a>(request: &RequestView<'a>, query: &'a Query) -> Result<(PayloadToken, &'a str), AuthError> {
    let header = once(request.headers, "x-amz-content-sha256")?;
    let parameter = query.one("X-Amz-Content-Sha256").map_err(|()| AuthError::query_incomplete())?;
    let text = header.or(parameter).unwrap_or("UNSIGNED-PAYLOAD");
    match PayloadToken::parse(text) {
        Some(token @ (PayloadToken::Hash(_) | PayloadToken::Unsigned)) => Ok((token, text)),
        _ => Err(AuthError::PayloadTokenUnusable { given: text.to_owned() }),
    }
}
