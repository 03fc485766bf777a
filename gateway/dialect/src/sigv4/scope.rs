//! Day, region and service a signature is good for, and the credential that names them.

use std::fmt;

/// `YYYYMMDD/region/service/aws4_request`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub day: String,
    pub region: String,
    pub service: String,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{TERMINATOR}", self.day, self.region, self.service)
    }
}

/// Access key id and scope, as Authorization and `X-Amz-Credential` carry them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credential {
    pub access_key_id: String,
    pub scope: Scope,
}

// === impl Credential ===

impl Credential {
    /// Reads `key id/day/region/service/aws4_request`; a key id may itself contain slashes. The error is the
    /// clause S3 ends its text with.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut fields = text.rsplitn(5, '/');
        let mut next = || fields.next().unwrap_or_default().to_owned();
        let (terminator, service, region, day, access_key_id) = (next(), next(), next(), next(), next());
        if access_key_id.is_empty() || access_key_id.len() > ACCESS_KEY_ID_BYTES_MAX {
            return Err(format!(
                "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/{TERMINATOR}\"."
            ));
        }
        if terminator != TERMINATOR {
            return Err(format!("incorrect terminator. This endpoint uses \"{TERMINATOR}\"."));
        }
        if day.len() != 8 || !day.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(
                "incorrect date format. This date in the credential must be in the format \"yyyyMMdd\"."
                    .to_owned(),
            );
        }
        Ok(Self { access_key_id, scope: Scope { day, region, service } })
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.access_key_id, self.scope)
    }
}

const TERMINATOR: &str = "aws4_request";
/// S3 allows 128; more is no key of ours.
const ACCESS_KEY_ID_BYTES_MAX: usize = 128;
