//! Encryption and locks of an object, in the headers of an answer.

use http::HeaderMap;
use model::Protection;

/// What the headers of a HEAD or GET tell.
pub(super) fn of(headers: &HeaderMap) -> Protection {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Protection {
        encryption: text("x-amz-server-side-encryption").map(str::to_owned),
        customer_key: headers.contains_key("x-amz-server-side-encryption-customer-algorithm"),
        retention: headers.contains_key("x-amz-object-lock-mode"),
        legal_hold: text("x-amz-object-lock-legal-hold") == Some("ON"),
    }
}
