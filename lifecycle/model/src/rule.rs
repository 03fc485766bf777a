//! Lifecycle rules as a client put them. The form is kept, so that a GET returns what was put.

use serde::{Deserialize, Serialize};

use crate::{StorageClass, Timestamp};

/// A bucket's lifecycle configuration: 1 to 1 000 rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleConfiguration {
    /// The rules in the order they were put.
    pub rules: Vec<Rule>,
    /// Which objects are too small to transition.
    pub minimum_size: TransitionMinimum,
}

/// `x-amz-transition-default-minimum-object-size`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransitionMinimum {
    /// `all_storage_classes_128K`: objects under 128 KiB go nowhere.
    #[default]
    AllStorageClasses128K,
    /// `varies_by_storage_class`: small objects may go to the tape classes.
    VariesByStorageClass,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// At most 255 characters; unique in the configuration.
    pub id: String,
    /// `Status` is `Enabled`.
    pub enabled: bool,
    /// Which objects it speaks of.
    pub scope: Scope,
    /// When current versions end.
    pub expiration: Option<Expiration>,
    /// When current versions move, one entry a class.
    pub transitions: Vec<Transition>,
    /// When noncurrent versions end.
    pub noncurrent_expiration: Option<NoncurrentExpiration>,
    /// When noncurrent versions move.
    pub noncurrent_transitions: Vec<NoncurrentTransition>,
    /// Days after which an unfinished multipart upload is aborted.
    pub abort_multipart_days: Option<u32>,
}

/// Which objects a rule speaks of, in the form it was put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// `<Prefix>` directly in the rule (the older form).
    LegacyPrefix(String),
    /// `<Filter/>`: the whole bucket.
    Everything,
    /// `<Filter>` with one predicate.
    One(Predicate),
    /// `<Filter><And>` with all of these.
    And(Vec<Predicate>),
}

/// One condition of a filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Predicate {
    /// The key begins with this.
    Prefix(String),
    /// The object has this tag.
    Tag {
        /// Tag key.
        key: String,
        /// Tag value.
        value: String,
    },
    /// The object is larger than this many bytes.
    SizeGreaterThan(u64),
    /// The object is smaller than this many bytes.
    SizeLessThan(u64),
}

impl Scope {
    /// The conditions, all of which must hold.
    pub fn predicates(&self) -> Vec<Predicate> {
        match self {
            Self::LegacyPrefix(prefix) => vec![Predicate::Prefix(prefix.clone())],
            Self::Everything => Vec::new(),
            Self::One(predicate) => vec![predicate.clone()],
            Self::And(predicates) => predicates.clone(),
        }
    }

    /// The prefix every object it speaks of begins with; empty for all.
    pub fn prefix(&self) -> &str {
        let of = |predicate: &'_ Predicate| matches!(predicate, Predicate::Prefix(_));
        let found = match self {
            Self::LegacyPrefix(prefix) => return prefix,
            Self::Everything => None,
            Self::One(predicate) => Some(predicate).filter(|p| of(p)),
            Self::And(predicates) => predicates.iter().find(|p| of(p)),
        };
        match found {
            Some(Predicate::Prefix(prefix)) => prefix,
            _ => "",
        }
    }
}

/// When a day-based or date-based action is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// So many days after the object's Last-Modified, at the next midnight UTC.
    Days(u32),
    /// At this midnight UTC; a past date makes every match due at once, new objects too.
    Date(Timestamp),
}

/// `Expiration`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expiration {
    /// The object is deleted then.
    At(When),
    /// `ExpiredObjectDeleteMarker`
    DeleteMarker(bool),
}

/// `Transition`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub when: When,
    /// Where to.
    pub class: StorageClass,
}

/// `NoncurrentVersionExpiration`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoncurrentExpiration {
    /// Days since the version became noncurrent.
    pub days: u32,
    /// How many newer noncurrent versions are kept.
    pub newer_versions: Option<u32>,
}

/// `NoncurrentVersionTransition`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoncurrentTransition {
    /// Days since the version became noncurrent.
    pub days: u32,
    /// Where to.
    pub class: StorageClass,
    /// How many newer noncurrent versions are kept.
    pub newer_versions: Option<u32>,
}
