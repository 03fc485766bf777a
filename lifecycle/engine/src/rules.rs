//! What the rules of a bucket ask for an object at a moment. Pure.

use model::limits::TRANSITION_BYTES_MIN;
use model::rule::{Expiration, LifecycleConfiguration, Predicate, Rule, TransitionMinimum, When};
use model::time::DayLength;
use model::{ObjectKey, StorageClass, TapeClass, Timestamp};

/// An object as its clients see it.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// Key.
    pub key: &'a ObjectKey,
    /// Size in bytes.
    pub size: u64,
    /// Last-Modified.
    pub last_modified: Timestamp,
    /// Class.
    pub class: StorageClass,
}

/// What is due for an object; at most one action at a time. Deletion wins over moving, and among the tape classes
/// the cheaper wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Delete it.
    Expire,
    /// Move it to this class.
    Transition(TapeClass),
}

/// What the enabled rules ask for `subject` at `now`; `None` when nothing is due yet.
pub fn due(
    rules: &LifecycleConfiguration,
    subject: &Subject<'_>,
    now: Timestamp,
    day: DayLength,
) -> Option<Action> {
    let matching = || rules.rules.iter().filter(|rule| rule.enabled && matches(rule, subject));
    let expires = matching().any(|rule| match rule.expiration {
        Some(Expiration::At(when)) => is_due(when, subject.last_modified, now, day),
        Some(Expiration::DeleteMarker(_)) | None => false,
    });
    if expires {
        return Some(Action::Expire);
    }
    matching()
        .filter(|rule| large_enough(rules.minimum_size, rule, subject.size))
        .flat_map(|rule| &rule.transitions)
        .filter(|transition| is_due(transition.when, subject.last_modified, now, day))
        .filter_map(|transition| transition.class.tape())
        .filter(|class| goes_down(subject.class, *class))
        .max()
        .map(Action::Transition)
}

fn matches(rule: &Rule, subject: &Subject<'_>) -> bool {
    rule.scope.predicates().iter().all(|predicate| match predicate {
        Predicate::Prefix(prefix) => subject.key.as_str().starts_with(prefix.as_str()),
        // Tags are not offered yet, so no object has one.
        Predicate::Tag { .. } => false,
        Predicate::SizeGreaterThan(bound) => subject.size > *bound,
        Predicate::SizeLessThan(bound) => subject.size < *bound,
    })
}

/// Small objects stay, unless the bucket's setting or a size filter of the rule says otherwise. Both tape classes
/// take them under `varies_by_storage_class`.
fn large_enough(minimum: TransitionMinimum, rule: &Rule, size: u64) -> bool {
    let sized = rule
        .scope
        .predicates()
        .iter()
        .any(|p| matches!(p, Predicate::SizeGreaterThan(_) | Predicate::SizeLessThan(_)));
    sized || minimum == TransitionMinimum::VariesByStorageClass || size >= TRANSITION_BYTES_MIN
}

fn is_due(when: When, last_modified: Timestamp, now: Timestamp, day: DayLength) -> bool {
    match when {
        When::Days(days) => now >= day.end(last_modified, days),
        When::Date(date) => now >= date,
    }
}

/// Transitions lead down the waterfall only; an archive that is already on tape stays in its class until
/// class changes on tape are built.
fn goes_down(from: StorageClass, _to: TapeClass) -> bool {
    from.tape().is_none()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use model::rule::{Scope, Transition};
    use model::time::DAY_MILLISECONDS;

    const NOW: Timestamp = Timestamp::from_milliseconds(1_800_000_030_000);

    fn rule(scope: Scope, when: When) -> Rule {
        Rule {
            id: "rule".to_owned(),
            enabled: true,
            scope,
            expiration: None,
            transitions: vec![Transition { when, class: StorageClass::Tape(TapeClass::Glacier) }],
            noncurrent_expiration: None,
            noncurrent_transitions: Vec::new(),
            abort_multipart_days: None,
        }
    }

    fn evaluate(
        rules: Vec<Rule>,
        minimum_size: TransitionMinimum,
        size: u64,
        age_days: i64,
    ) -> Option<Action> {
        let key = ObjectKey::parse("logs/2024/a").unwrap();
        let subject = Subject {
            key: &key,
            size,
            last_modified: NOW.plus_milliseconds(-age_days * DAY_MILLISECONDS),
            class: StorageClass::Standard,
        };
        due(&LifecycleConfiguration { rules, minimum_size }, &subject, NOW, DayLength::Real)
    }

    #[test]
    fn days_count_to_the_midnight_after() {
        let rules = vec![rule(Scope::Everything, When::Days(3))];
        let all = TransitionMinimum::AllStorageClasses128K;
        assert_eq!(evaluate(rules.clone(), all, 1 << 20, 3), None, "three days and not yet midnight");
        assert_eq!(evaluate(rules, all, 1 << 20, 4), Some(Action::Transition(TapeClass::Glacier)));
    }

    #[test]
    fn small_objects_stay_unless_told_otherwise() {
        let past = When::Date(Timestamp::from_seconds(0));
        let glacier = Some(Action::Transition(TapeClass::Glacier));
        let all = TransitionMinimum::AllStorageClasses128K;
        let everything = || vec![rule(Scope::Everything, past)];
        assert_eq!(evaluate(everything(), all, 131_071, 0), None);
        assert_eq!(evaluate(everything(), all, 131_072, 0), glacier);
        assert_eq!(evaluate(everything(), TransitionMinimum::VariesByStorageClass, 1, 0), glacier);
        let sized = rule(Scope::One(Predicate::SizeGreaterThan(100)), past);
        assert_eq!(evaluate(vec![sized.clone()], all, 101, 0), glacier);
        assert_eq!(evaluate(vec![sized], all, 100, 0), None, "the bound itself is out");
    }

    #[test]
    fn filters_must_all_hold_and_disabled_rules_do_nothing() {
        let past = When::Date(Timestamp::from_seconds(0));
        let and = Scope::And(vec![Predicate::Prefix("logs/".into()), Predicate::SizeLessThan(10)]);
        let all = TransitionMinimum::AllStorageClasses128K;
        assert!(evaluate(vec![rule(and.clone(), past)], all, 9, 0).is_some());
        assert!(evaluate(vec![rule(and.clone(), past)], all, 10, 0).is_none());
        let disabled = Rule { enabled: false, ..rule(and, past) };
        assert!(evaluate(vec![disabled], all, 9, 0).is_none());
        assert!(evaluate(vec![rule(Scope::LegacyPrefix("other".into()), past)], all, 1 << 20, 0).is_none());
    }

    #[test]
    fn deletion_beats_moving_and_the_cheaper_class_wins() {
        let past = When::Date(Timestamp::from_seconds(0));
        let all = TransitionMinimum::AllStorageClasses128K;
        let glacier = rule(Scope::Everything, past);
        let mut deep = rule(Scope::Everything, past);
        deep.transitions[0].class = StorageClass::Tape(TapeClass::DeepArchive);
        assert_eq!(
            evaluate(vec![glacier.clone(), deep], all, 1 << 20, 0),
            Some(Action::Transition(TapeClass::DeepArchive))
        );
        let expiring = Rule { expiration: Some(Expiration::At(past)), ..glacier };
        assert_eq!(evaluate(vec![expiring], all, 1 << 20, 0), Some(Action::Expire));
    }
}
