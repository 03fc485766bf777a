//! What nobody should send: it must be refused, never believed, never panic.

use super::{KEY_ID, SECRET, by_key, now, signer, verify};
use crate::sigv4::{AmzDate, Caller, PayloadToken, RequestView, Secret, Verifier};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn hostile_requests_never_panic_nor_pass(
        path in "/[ -~]{0,40}",
        query in "([ -~]{0,30}|X-Amz-(Algorithm|Credential|Signature|Date|Expires|SignedHeaders)=[ -~]{0,20}&){0,6}",
        authorization in proptest::option::of("(AWS4-HMAC-SHA256 )?[ -~]{0,80}"),
        values in proptest::collection::vec((prop_oneof![
            Just("x-amz-date"), Just("x-amz-content-sha256"), Just("host"), Just("date"), Just("x-amz-acl"),
        ], proptest::collection::vec(32_u8..=255, 0..40)), 0..6),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        if let Some(authorization) = &authorization {
            headers.insert("authorization", HeaderValue::from_str(authorization).unwrap());
        }
        let view = RequestView { method: "GET", path: &path, query: &query, headers: &headers };
        let secret_of = |_: &str| Some(Secret::new(SECRET));
        if let Ok(verdict) = Verifier::new("us-east-1").verify(&view, now(), secret_of) {
            prop_assert_eq!(verdict.caller, Caller::Anonymous);
            prop_assert!(authorization.is_none());
        }
    }

    #[test]
    fn what_the_signer_signs_the_verifier_believes(
        path in "(/[a-zA-Z0-9()!:,+=@$~._ -]{0,8}|/%[0-9a-fA-F]{2}|/){1,6}",
        query in "([a-z]{1,4}=?[a-z0-9%+ ]{0,4}&){0,4}",
        metadata in "[ -~]{0,40}",
    ) {
        let target = format!("http://h:9000{}?{}", path.replace(' ', "%20"), query.replace([' ', '%'], "%25"));
        let request = Request::builder().method(Method::PUT).uri(target).header("x-amz-meta-m", metadata);
        let mut parts = request.body(()).unwrap().into_parts().0;
        signer().sign(&mut parts, &PayloadToken::Unsigned, now()).unwrap();
        prop_assert_eq!(verify(&parts).unwrap().caller, by_key(false));
        let secret_of = |id: &str| (id != KEY_ID).then(|| Secret::new(SECRET));
        prop_assert!(Verifier::new("us-east-1").verify(&RequestView::of_parts(&parts), now(), secret_of).is_err());
    }

    #[test]
    fn dates_are_read_exactly(text in "[0-9]{8}T[0-9]{6}Z|\\PC{0,20}") {
        if let Some(date) = AmzDate::parse(&text) {
            prop_assert_eq!(date.to_string(), text);
        }
    }
}
