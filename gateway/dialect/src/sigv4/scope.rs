//! Day, region and service a signature is good for, and the credential that names them.

/// `YYYYMMDD/region/service/aws4_request`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope<'a> {
    pub day: &'a str,
    pub region: &'a str,
    pub service: &'a str,
    /// The whole, which is what is signed.
    pub text: &'a str,
}

// === impl Scope ===

impl Scope<'_> {
    /// The text of a scope.
    pub fn spell(day: &str, region: &str, service: &str) -> String {
        [day, region, service, TERMINATOR].join("/")
    }
}

/// Access key id and scope, as Authorization and `X-Amz-Credential` carry them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Credential<'a> {
    pub access_key_id: &'a str,
    pub scope: Scope<'a>,
}

// === impl Credential ===

impl<'a> Credential<'a> {
    /// Reads `key id/day/region/service/aws4_request`; a key id may itself contain slashes. The error is the
    /// clause S3 ends its text with.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let mut fields = text.rsplitn(5, '/');
        let mut next = || fields.next().unwrap_or_default();
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
        let text = &text[access_key_id.len() + 1..];
        Ok(Self { access_key_id, scope: Scope { day, region, service, text } })
    }
}

const TERMINATOR: &str = "aws4_request";
/// S3 allows 128; more is no key of ours.
const ACCESS_KEY_ID_BYTES_MAX: usize = 128;
