//! Every fault of a configuration, with the exact answer. `$WHOLE`, `$EXPIRE` and `$TAG` stand for fragments.

use crate::error::Code::{self, InvalidArgument, InvalidRequest};

/// Insides of a rule whose Status is Enabled; each is `MalformedXML`.
pub(super) const MALFORMED: &[&str] = &[
    "$WHOLE$EXPIRE<Other/>",
    "$WHOLE$EXPIRE text",
    "$WHOLE$EXPIRE<Status>Enabled</Status>",
    "$EXPIRE",
    "$WHOLE<Prefix/>$EXPIRE",
    "<Filter><Prefix>a</Prefix>$TAG</Filter>$EXPIRE",
    "<Filter><And><Prefix/>$TAG</And><Prefix>a</Prefix></Filter>$EXPIRE",
    "<Filter><And><Prefix>a</Prefix></And></Filter>$EXPIRE",
    "<Filter><And/></Filter>$EXPIRE",
    "<Filter><And><Prefix>a</Prefix><Prefix>b</Prefix></And></Filter>$EXPIRE",
    "<Filter><Tag><Key>k</Key></Tag></Filter>$EXPIRE",
    "<Filter><ObjectSizeLessThan>x</ObjectSizeLessThan></Filter>$EXPIRE",
    "$WHOLE<Expiration/>",
    "$WHOLE<Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
    "$WHOLE<Expiration><Days>1</Days><Date>2030-01-01T00:00:00Z</Date></Expiration>",
    "$WHOLE<Expiration><Days>2147483648</Days></Expiration>",
    "$WHOLE<Expiration><Days>one</Days></Expiration>",
    "$WHOLE<Expiration><Date>Tue, 01 Jan 2030 00:00:00 GMT</Date></Expiration>",
    "$WHOLE<NoncurrentVersionExpiration/>",
    "$WHOLE<NoncurrentVersionExpiration><NewerNoncurrentVersions>1</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
    "$WHOLE<AbortIncompleteMultipartUpload/>",
    "$WHOLE<Transition><Days>1</Days></Transition>",
    "$WHOLE<Transition><StorageClass>GLACIER</StorageClass></Transition>",
    "$WHOLE<Transition><Days>1</Days><Date>2030-01-01T00:00:00Z</Date><StorageClass>GLACIER</StorageClass></Transition>",
    "$WHOLE<Transition><Days>1</Days><StorageClass>STANDARD</StorageClass></Transition>",
    "$WHOLE<Transition><Days>1</Days><StorageClass>REDUCED_REDUNDANCY</StorageClass></Transition>",
    "$WHOLE<Transition><Days>1</Days><StorageClass>TAPE</StorageClass></Transition>",
    "$WHOLE<NoncurrentVersionTransition><StorageClass>GLACIER</StorageClass></NoncurrentVersionTransition>",
];

/// Insides of a rule whose Status is Enabled, with code and message.
pub(super) const INSIDE: &[(&str, Code, &str)] = &[
    ("$WHOLE", InvalidRequest, "At least one action needs to be specified in a rule"),
    ("<Filter><And>$TAG$TAG</And></Filter>$EXPIRE", InvalidRequest, "Duplicate Tag Keys are not allowed."),
    (
        "<Filter><ObjectSizeLessThan>0</ObjectSizeLessThan></Filter>$EXPIRE",
        InvalidRequest,
        "'ObjectSizeLessThan' should be between 1 and 1099511627776000.",
    ),
    (
        "<Filter><And><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>\
         <ObjectSizeLessThan>5</ObjectSizeLessThan></And></Filter>$EXPIRE",
        InvalidRequest,
        "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.",
    ),
    (
        "<Filter>$TAG</Filter><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
        InvalidRequest,
        "ExpiredObjectDeleteMarker cannot be specified with Tags.",
    ),
    (
        "<Filter><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>\
         <Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
        InvalidRequest,
        "ExpiredObjectDeleteMarker cannot be specified with Object Size.",
    ),
    (
        "<Filter>$TAG</Filter><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>\
         </AbortIncompleteMultipartUpload>",
        InvalidRequest,
        "AbortIncompleteMultipartUpload cannot be specified with Tags.",
    ),
    (
        "<Filter><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></Filter><AbortIncompleteMultipartUpload>\
         <DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
        InvalidRequest,
        "AbortIncompleteMultipartUpload cannot be specified with Object Size.",
    ),
    (
        "$WHOLE<Expiration><Days>0</Days></Expiration>",
        InvalidArgument,
        "'Days' for Expiration action must be a positive integer",
    ),
    (
        "$WHOLE<Expiration><Days>-1</Days></Expiration>",
        InvalidArgument,
        "'Days' for Expiration action must be a positive integer",
    ),
    (
        "$WHOLE<Expiration><Date>2030-01-01T01:00:00Z</Date></Expiration>",
        InvalidArgument,
        "'Date' must be at midnight GMT",
    ),
    (
        "$WHOLE<NoncurrentVersionExpiration><NoncurrentDays>0</NoncurrentDays></NoncurrentVersionExpiration>",
        InvalidArgument,
        "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer",
    ),
    (
        "$WHOLE<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>\
         <NewerNoncurrentVersions>0</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
        InvalidArgument,
        "'NewerNoncurrentVersions' must be a positive integer",
    ),
    (
        "<Prefix>a</Prefix><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>\
         <NewerNoncurrentVersions>5</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
        InvalidRequest,
        "NewerNoncurrentVersions element can only be used in Lifecycle V2.",
    ),
    (
        "$WHOLE<AbortIncompleteMultipartUpload><DaysAfterInitiation>0</DaysAfterInitiation>\
         </AbortIncompleteMultipartUpload>",
        InvalidArgument,
        "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer",
    ),
];

/// Times and classes.
pub(super) type Moves = &'static [(&'static str, &'static str)];

/// Transitions and what else stands in the rule, with code and message.
pub(super) const TRANSITIONS: &[(Moves, &str, Code, &str)] = &[
    (&[("-1", "GLACIER")], "$WHOLE", InvalidArgument, "'Days' in Transition action must be nonnegative"),
    (
        &[("29", "STANDARD_IA")],
        "$WHOLE",
        InvalidArgument,
        "'Days' in Transition action must be greater than or equal to 30 for storageClass 'STANDARD_IA'",
    ),
    (
        &[("0", "ONEZONE_IA")],
        "$WHOLE",
        InvalidArgument,
        "'Days' in Transition action must be greater than or equal to 30 for storageClass 'ONEZONE_IA'",
    ),
    (
        &[("1", "GLACIER"), ("2", "GLACIER")],
        "$WHOLE",
        InvalidRequest,
        "'StorageClass' must be different for 'Transition' actions in same 'Rule' with filter '(prefix=)'",
    ),
    (
        &[("1", "GLACIER"), ("2030-01-01T00:00:00Z", "DEEP_ARCHIVE")],
        "<Filter><Prefix>a</Prefix></Filter>",
        InvalidRequest,
        "Found mixed 'Date' and 'Days' based Transition actions in lifecycle rule for filter '(prefix=a)'",
    ),
    (
        &[("2030-01-01T00:00:00Z", "GLACIER")],
        "$WHOLE$EXPIRE",
        InvalidRequest,
        "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for filter '(prefix=)'",
    ),
    (
        &[("400", "GLACIER")],
        "$WHOLE$EXPIRE",
        InvalidArgument,
        "'Days' in the Expiration action for filter '(prefix=)' must be greater than 'Days' in the Transition action",
    ),
    (
        &[("5", "GLACIER"), ("1", "DEEP_ARCHIVE")],
        "$WHOLE",
        InvalidArgument,
        "'Days' in the 'Transition' action for StorageClass 'DEEP_ARCHIVE' for filter '(prefix=)' must be more than 'Days' in the 'Transition' action for StorageClass 'GLACIER'",
    ),
    (
        &[("30", "STANDARD_IA"), ("59", "GLACIER")],
        "$WHOLE",
        InvalidArgument,
        "'Days' in the 'Transition' action for StorageClass 'GLACIER' for filter '(prefix=)' must be 30 days more than 'Days' in the 'Transition' action for StorageClass 'STANDARD_IA'",
    ),
];
