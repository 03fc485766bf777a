#![allow(clippy::unwrap_used)]
use super::*;
use crate::error::{Code, MALFORMED_XML};
use model::rule::{Expiration, Scope, When};
use proptest::prelude::*;

mod faults;

const EXPIRE: &str = "<Expiration><Days>400</Days></Expiration>";
const TAG: &str = "<Tag><Key>k</Key><Value>v</Value></Tag>";

fn read_text(rules: &str) -> Result<LifecycleConfiguration> {
    let body = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
    read(body.as_bytes(), TransitionMinimum::default(), || rule_id(7))
}

/// An enabled rule with this inside.
fn enabled(inside: &str) -> String {
    let inside = inside.replace("$WHOLE", "<Filter/>").replace("$EXPIRE", EXPIRE).replace("$TAG", TAG);
    format!("<Rule><Status>Enabled</Status>{inside}</Rule>")
}

/// A rule with an expiration.
fn rule(scope: &str) -> String {
    enabled(&format!("{scope}$EXPIRE"))
}

fn check(rules: &str, code: Code, message: &str) {
    let error = read_text(rules).unwrap_err();
    assert_eq!((error.code, error.message.as_ref()), (code, message), "{rules:.300}");
}

#[test]
fn faults_inside_a_rule() {
    for inside in faults::MALFORMED {
        check(&enabled(inside), Code::MalformedXML, MALFORMED_XML);
    }
    for (inside, code, message) in faults::INSIDE {
        check(&enabled(inside), *code, message);
    }
    for (transitions, beside, code, message) in faults::TRANSITIONS {
        check(&enabled(&(moves(transitions) + beside)), *code, message);
    }
    let long = format!("<Filter><Prefix>{}</Prefix></Filter>", "p".repeat(1025));
    check(&rule(&long), Code::InvalidRequest, "The maximum size of a prefix is 1024");
    let error =
        read_text(&enabled("$WHOLE<Expiration><Date>2030-01-01T01:00:00Z</Date></Expiration>")).unwrap_err();
    let named = S3Error::argument("'Date' must be at midnight GMT", "Date", "2030-01-01T01:00:00Z");
    assert_eq!(error, named);
}

#[test]
fn faults_of_the_whole() {
    let whole = rule("$WHOLE");
    let long_id = format!("$WHOLE<ID>{}</ID>", "i".repeat(256));
    let unknown = whole.replace("<Filter/>", "<Filter/><Other/>");
    let lower = whole.replace("Enabled", "enabled");
    let stateless = whole.replace("<Status>Enabled</Status>", "");
    for rules in ["", "<Other/>", &unknown, &lower, &stateless, &format!("x{whole}")] {
        check(rules, Code::MalformedXML, MALFORMED_XML);
    }
    for body in [&b"not xml"[..], b"", b"<Other/>", b"<LifecycleConfiguration>"] {
        let read = read(body, TransitionMinimum::default(), String::new);
        assert_eq!(read, Err(S3Error::malformed_xml()));
    }
    for (rules, code, message) in [
        (
            whole.repeat(1001),
            Code::InvalidRequest,
            "The number of lifecycle rules must not exceed the allowed limit of 1000 rules.",
        ),
        (rule(&long_id), Code::InvalidArgument, "ID length should not exceed allowed limit of 255"),
        (
            rule("<ID>a</ID>$WHOLE").repeat(2),
            Code::InvalidArgument,
            "Rule ID must be unique. Found same ID for more than one rule",
        ),
        (
            rule("<Prefix>a</Prefix>") + &whole,
            Code::InvalidRequest,
            "Filter element can only be used in Lifecycle V2.",
        ),
        (
            whole.clone() + &rule("<Prefix>a</Prefix>"),
            Code::InvalidRequest,
            "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter.",
        ),
    ] {
        check(&rules, code, message);
    }
}

#[test]
fn a_thousand_rules_each_get_an_id() {
    let mut number = 0u128;
    let body = format!("<LifecycleConfiguration>{}</LifecycleConfiguration>", rule("$WHOLE").repeat(1000));
    let many = read(body.as_bytes(), TransitionMinimum::default(), || {
        number += 1;
        rule_id(number)
    });
    assert_eq!(many.map(|configuration| configuration.rules.len()), Ok(1000));
}

fn moves(transitions: &[(&str, &str)]) -> String {
    let one = |(when, class): &(&str, &str)| {
        let field = if when.len() > 10 { "Date" } else { "Days" };
        format!("<Transition><{field}>{when}</{field}><StorageClass>{class}</StorageClass></Transition>")
    };
    transitions.iter().map(one).collect()
}

#[test]
fn legal_rules() {
    for inside in [
        moves(&[("0", "GLACIER")]) + "$WHOLE",
        moves(&[("0", "DEEP_ARCHIVE")]) + "<Filter></Filter>",
        moves(&[("2020-01-01T00:00:00.000Z", "GLACIER")]) + "<Prefix/>",
        moves(&[("90", "DEEP_ARCHIVE"), ("30", "STANDARD_IA"), ("60", "GLACIER")]) + "$WHOLE$EXPIRE",
        "<Filter><And><Prefix></Prefix>$TAG</And></Filter>$EXPIRE".to_owned(),
    ] {
        assert!(read_text(&enabled(&inside)).is_ok(), "{inside}");
    }
}

#[test]
fn older_rules_do_not_overlap() {
    let legacy = |prefix: &str| rule(&format!("<Prefix>{prefix}</Prefix>"));
    let message = "Found overlapping prefixes '' and 'a' for same action type 'Expiration'";
    check(&(legacy("") + &legacy("a")), Code::InvalidRequest, message);
    assert!(read_text(&(legacy("a") + &legacy("b"))).is_ok());
    let newer = |prefix: &str| rule(&format!("<Filter><Prefix>{prefix}</Prefix></Filter>"));
    assert!(read_text(&(newer("") + &newer("a"))).is_ok());
}

#[test]
fn what_was_put_is_what_is_got() {
    let put = "<Rule><ID>one</ID><Filter><And><Prefix>a&amp;b</Prefix><Tag><Key>k</Key><Value></Value></Tag>\
        <ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></And></Filter><Status>Disabled</Status>\
        <Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration>\
        <Transition><Date>2029-01-01T00:00:00.000Z</Date><StorageClass>GLACIER</StorageClass></Transition>\
        <NoncurrentVersionExpiration><NoncurrentDays>9</NoncurrentDays><NewerNoncurrentVersions>500</NewerNoncurrentVersions></NoncurrentVersionExpiration>\
        <NoncurrentVersionTransition><NoncurrentDays>1</NoncurrentDays><StorageClass>DEEP_ARCHIVE</StorageClass></NoncurrentVersionTransition></Rule>\
        <Rule><ID>two</ID><Filter></Filter><Status>Enabled</Status>\
        <Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>\
        <AbortIncompleteMultipartUpload><DaysAfterInitiation>3</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>";
    let legacy = "<Rule><ID>old</ID><Prefix></Prefix><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>";
    for rules in [put, legacy] {
        let configuration = read_text(rules).unwrap();
        let got = String::from_utf8(document(&configuration)).unwrap();
        let expected = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{rules}</LifecycleConfiguration>"
        );
        assert_eq!(got, expected);
        let again = read(got.as_bytes(), TransitionMinimum::default(), String::new);
        assert_eq!(again, Ok(configuration));
    }
}

#[test]
fn missing_ids_are_given() {
    let configuration = read_text(&rule("<Filter/>")).unwrap();
    assert_eq!(configuration.rules[0].id, rule_id(7));
    assert_eq!(configuration.rules[0].scope, Scope::Everything);
    assert_eq!(configuration.rules[0].expiration, Some(Expiration::At(When::Days(400))));
    assert_eq!(rule_id(7).len(), 48);
    let uuid = STANDARD.decode(rule_id(u128::MAX)).unwrap();
    assert_eq!(uuid, b"ffffffff-ffff-4fff-bfff-ffffffffffff");
}

#[test]
fn headers() {
    let with = |name: &'static str, value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    };
    for minimum in [TransitionMinimum::AllStorageClasses128K, TransitionMinimum::VariesByStorageClass] {
        assert_eq!(minimum_size(&with(MINIMUM_HEADER, minimum_size_text(minimum))), Ok(minimum));
    }
    assert_eq!(minimum_size(&HeaderMap::new()), Ok(TransitionMinimum::AllStorageClasses128K));
    let error = minimum_size(&with(MINIMUM_HEADER, "value")).unwrap_err();
    assert_eq!(error, S3Error::invalid_request("Invalid TransitionDefaultMinimumObjectSize found: value"));
    assert_eq!(
        expiration_header(Timestamp::from_seconds(1_356_048_000), "my rule"),
        "expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT\", rule-id=\"my rule\""
    );
    assert!(require_digest(&with("content-md5", "x")).is_ok());
    assert!(require_digest(&with("x-amz-checksum-crc32", "x")).is_ok());
    assert_eq!(require_digest(&HeaderMap::new()).unwrap_err().code, Code::InvalidRequest);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn any_configuration_is_survived_and_valid_ones_round_trip(
        prefix in "[a<&\\PC]{0,8}",
        days in -2i64..400,
        class in "(GLACIER|DEEP_ARCHIVE|STANDARD_IA|TAPE)",
        noise in "[</>a-z]{0,6}",
    ) {
        let mut escaped = String::new();
        xml::escape(&prefix, &mut escaped);
        let text = format!(
            "<Rule><Status>Enabled</Status><Filter><Prefix>{escaped}</Prefix></Filter>{noise}\
             <Transition><StorageClass>{class}</StorageClass><Days>{days}</Days></Transition></Rule>"
        );
        if let Ok(configuration) = read_text(&text) {
            let again = read(&document(&configuration), configuration.minimum_size, String::new);
            prop_assert_eq!(again, Ok(configuration));
        }
    }
}
