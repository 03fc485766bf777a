//! Headers of one connection, which nobody passes on (RFC 9110 7.6.1).

use http::HeaderMap;
use http::header::{
    CONNECTION, HOST, HeaderName, PROXY_AUTHENTICATE, RANGE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

/// Takes out what concerns one connection, in either direction: headers that always do, and those its Connection
/// header names.
pub fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().filter(|name| !is_kept(name)) {
        headers.remove(name);
    }
    remove(headers, &HOP);
}

/// Takes out those of these names that are there.
pub fn remove(headers: &mut HeaderMap, names: &[HeaderName]) {
    // A request has few headers and most of these are not among them: comparing names is cheaper than looking each up.
    let found: Vec<HeaderName> = headers.keys().filter(|name| names.contains(name)).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

/// Headers of one connection.
static HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Whether no Connection header can take a header out: what says what is asked for, which may be signed while the
/// Connection header is not.
fn is_kept(name: &HeaderName) -> bool {
    const ASKED: [&str; 3] = ["content-", "if-", "x-amz-"];
    *name == HOST || *name == RANGE || ASKED.iter().any(|begin| name.as_str().starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_a_connection_names_goes_with_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Hop ,content-length"),
            ("connection", "x-other,host,, if-none-match,x-amz-acl"),
            ("if-none-match", "*"),
            ("x-amz-acl", "private"),
            ("x-hop", "1"),
            ("x-other", "2"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("content-length", "4"),
            ("host", "here"),
            ("x-amz-meta-a", "kept"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "host", "if-none-match", "x-amz-acl", "x-amz-meta-a"]);
    }
}
