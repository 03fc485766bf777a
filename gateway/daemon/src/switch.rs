//! How far the gateway goes with a bucket, changed by an operator.
//!
//! Each step is durable before the next, and may be repeated: enabling writes down the store's rules before they are
//! removed there, letting go puts them back before the row forgets them.

#[cfg(test)]
mod tests;

use console::{AdminError, BucketOrder};
use dialect::lifecycle;
use model::BucketName;
use model::bucket::{self, BucketSettings, Mode, Refusal, Survey, Terms};
use model::catalog::{Bucket, Catalog, CatalogError, Change};
use model::rule::{Expiration, LifecycleConfiguration, Predicate, Rule, TransitionMinimum};
use model::store::{ObjectStore, StoreError};
use serde_json::{Value, json};

use crate::error::chain;

/// How often a row that keeps moving is read again.
const TRIES: usize = 8;

/// What the switch works on.
pub struct Switch<'a> {
    /// The book of record.
    pub catalog: &'a dyn Catalog,
    /// The store.
    pub store: &'a dyn ObjectStore,
    /// What the configuration says.
    pub settings: &'a BucketSettings,
}

// === impl Switch ===

impl Switch<'_> {
    /// Makes the gateway carry out the bucket's rules. Those the store holds are taken over, or, when they ask for what
    /// the gateway cannot do, everything is refused and left as it was. Gives how many rules were taken over.
    pub async fn enable(&self, name: &BucketName, order: &BucketOrder) -> Result<usize, AdminError> {
        let survey = self.survey(name).await?;
        let mut taken = 0;
        self.change(name, |row| {
            let terms = Terms { mode: Mode::Enabled, ..ordered(self.settings.terms(name, Some(row)), order) };
            let mut refusals = bucket::refusals(&self.store.capabilities(), &survey, &terms);
            refusals.retain(|refusal| *refusal != Refusal::ForeignRules);
            if !refusals.is_empty() {
                let reasons: Vec<&str> = refusals.iter().map(|refusal| refusal.explain()).collect();
                return Err(refused(format!("{name} cannot be enabled: {}", reasons.join("; "))));
            }
            taken = 0;
            if let Some(text) = &survey.rules {
                taken = take_over(row, text)?;
            }
            row.terms = Some(terms);
            Ok(())
        })
        .await?;
        if survey.rules.is_some() {
            // What was put there since is written down nowhere yet.
            if self.survey(name).await?.rules != survey.rules {
                return Err(refused(format!(
                    "the rules the store holds for {name} were changed at this moment, and none were removed there: \
                     delete the store's or the gateway's, then enable again"
                )));
            }
            self.store.keep_rules(name, None).await.map_err(|error| failed(&error))?;
            if self.survey(name).await?.rules.is_some() {
                let message = format!(
                    "{name}: the store was told to give its rules up and still shows them; try again"
                );
                return Err(AdminError::failed(message));
            }
        }
        Ok(taken)
    }

    /// Goes as far as `mode` with a bucket that is managed.
    pub async fn set_mode(
        &self,
        name: &BucketName,
        mode: Mode,
        order: &BucketOrder,
    ) -> Result<(), AdminError> {
        self.survey(name).await?;
        self.change(name, |row| {
            let terms = self.settings.terms(name, Some(row));
            if !terms.mode.is_managed() {
                return Err(refused(format!("{name} is not managed; `tapegate bucket enable` changes that")));
            }
            row.terms = Some(Terms { mode, ..ordered(terms, order) });
            Ok(())
        })
        .await
    }

    /// Gives the rules back and lets go of a bucket in which nothing is archived any more.
    pub async fn let_go(&self, name: &BucketName) -> Result<Value, AdminError> {
        let Some(row) = self.row(name).await? else { return Ok(json!({"given_back": "none"})) };
        let (given_back, left_out) = self.give_back(&row).await?;
        let unmanaged = !self.settings.terms(name, None).mode.is_managed();
        let mut plain = false;
        self.change(name, |now| {
            if now.lifecycle != row.lifecycle {
                return Err(refused(format!("the rules of {name} were changed at this moment; try again")));
            }
            (now.lifecycle, now.store_rules) = (None, None);
            now.terms = (!unmanaged).then_some(Terms::UNMANAGED);
            plain = unmanaged && !now.has_archives;
            Ok(())
        })
        .await?;
        // Where the deaths of its archives are still to be written down, or the configuration would have it managed, a
        // row stays.
        if plain {
            match self.catalog.commit(vec![Change::ForgetBucket(name.clone())]).await {
                Ok(()) | Err(CatalogError::Missing { .. }) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(json!({"given_back": given_back, "left_out": left_out}))
    }

    /// Puts the rules where they were: as they were when ours are still those, rendered anew otherwise. Rules that only
    /// lead to tape, and what leads there in others, mean nothing without the gateway.
    async fn give_back(&self, row: &Bucket) -> Result<(&'static str, Vec<String>), AdminError> {
        let Some(ours) = &row.lifecycle else { return Ok(("none", Vec::new())) };
        if let Some(text) = &row.store_rules
            && read(text).is_ok_and(|original| original == *ours)
        {
            self.put_rules(&row.name, text.clone().into_bytes()).await?;
            return Ok(("original", Vec::new()));
        }
        let (kept, left_out) = without_tape(ours);
        if kept.rules.is_empty() {
            return Ok(("none", left_out));
        }
        self.put_rules(&row.name, lifecycle::document(&kept)).await?;
        Ok(("rendered", left_out))
    }

    async fn put_rules(&self, name: &BucketName, text: Vec<u8>) -> Result<(), AdminError> {
        self.store.keep_rules(name, Some(text.into())).await.map_err(|error| match error {
            StoreError::Refused { status, code, .. } => refused(format!(
                "everything of {name} is back, but the store refuses its rules ({status} {code}): change or delete them \
                 with put- or delete-bucket-lifecycle, then detach again"
            )),
            other => failed(&other),
        })
    }

    async fn survey(&self, name: &BucketName) -> Result<Survey, AdminError> {
        self.store.survey(name).await.map_err(|error| match error {
            StoreError::Missing { .. } => AdminError::not_found(format!("there is no bucket {name}")),
            other => failed(&other),
        })
    }

    async fn row(&self, name: &BucketName) -> Result<Option<Bucket>, AdminError> {
        self.catalog.bucket(name).await.map_err(|error| failed(&error))
    }

    /// Changes the bucket's row, reading it again when it moved meanwhile.
    async fn change(
        &self,
        name: &BucketName,
        mut change: impl FnMut(&mut Bucket) -> Result<(), AdminError>,
    ) -> Result<(), AdminError> {
        let mut tries = 1;
        loop {
            let mut row = self.row(name).await?.unwrap_or_else(|| Bucket::new(name.clone()));
            change(&mut row)?;
            match self.catalog.commit(vec![Change::Bucket(row)]).await {
                Err(CatalogError::Conflict { .. }) if tries < TRIES => tries += 1,
                done => return done.map_err(|error| failed(&error)),
            }
        }
    }
}

/// The terms with what the order says of them.
fn ordered(terms: Terms, order: &BucketOrder) -> Terms {
    Terms {
        mode: terms.mode,
        exclusive: order.exclusive.unwrap_or(terms.exclusive),
        accept_replicated_stubs: order.accept_replicated_stubs.unwrap_or(terms.accept_replicated_stubs),
        accept_backend_events: order.accept_backend_events.unwrap_or(terms.accept_backend_events),
    }
}

/// Writes the store's rules into the row, unless that was done before; counts them.
fn take_over(row: &mut Bucket, text: &str) -> Result<usize, AdminError> {
    let name = &row.name;
    if row.lifecycle.is_some() {
        if row.store_rules.as_deref() == Some(text) {
            // Written down by an earlier try; only their removal is missing.
            return Ok(0);
        }
        return Err(refused(format!(
            "{name} has rules at the gateway, and the store holds others: delete one of them (the store's with \
             delete-bucket-lifecycle at its own endpoint), then enable again"
        )));
    }
    let rules = read(text).map_err(|problem| {
        refused(format!(
            "the rules the store holds for {name} cannot be taken over, nothing was changed: {problem}"
        ))
    })?;
    let count = rules.rules.len();
    row.lifecycle = Some(rules);
    row.store_rules = Some(text.to_owned());
    Ok(count)
}

/// Understands the store's rules. Rules without an id get the same one every time, so that they can be compared.
fn read(text: &str) -> Result<LifecycleConfiguration, String> {
    let mut number = 0_u128;
    let new_id = || {
        number += 1;
        lifecycle::rule_id(number)
    };
    let rules = lifecycle::read(text.as_bytes(), TransitionMinimum::default(), new_id)
        .map_err(|error| chain(&error))?;
    let beyond: Vec<String> = rules.rules.iter().flat_map(beyond_us).collect();
    if beyond.is_empty() { Ok(rules) } else { Err(beyond.join("; ")) }
}

/// What a rule asks for that the gateway does not carry out, element by element.
fn beyond_us(rule: &Rule) -> Vec<String> {
    if !rule.enabled {
        return Vec::new();
    }
    let mut elements = Vec::new();
    let marker = matches!(rule.expiration, Some(Expiration::DeleteMarker(_)));
    let tagged = rule.scope.predicates().iter().any(|one| matches!(one, Predicate::Tag { .. }));
    for (there, element) in [
        (tagged, "<Tag> in its <Filter>"),
        (marker, "<ExpiredObjectDeleteMarker>"),
        (rule.noncurrent_expiration.is_some(), "<NoncurrentVersionExpiration>"),
        (!rule.noncurrent_transitions.is_empty(), "<NoncurrentVersionTransition>"),
        (rule.abort_multipart_days.is_some(), "<AbortIncompleteMultipartUpload>"),
    ] {
        if there {
            elements.push(element.to_owned());
        }
    }
    let classes = rule.transitions.iter().map(|transition| transition.class);
    elements.extend(
        classes
            .filter(|class| class.tape().is_none())
            .map(|class| format!("<Transition> to <StorageClass>{class}")),
    );
    elements
        .into_iter()
        .map(|element| format!("rule {:?} has {element}, which the gateway does not carry out", rule.id))
        .collect()
}

/// The rules without what leads to tape, and the ids of those of which nothing is left.
fn without_tape(rules: &LifecycleConfiguration) -> (LifecycleConfiguration, Vec<String>) {
    let (mut kept, mut left_out) = (Vec::new(), Vec::new());
    for rule in &rules.rules {
        let mut rule = rule.clone();
        rule.transitions.retain(|transition| transition.class.tape().is_none());
        rule.noncurrent_transitions.retain(|transition| transition.class.tape().is_none());
        let acts = rule.expiration.is_some()
            || !rule.transitions.is_empty()
            || rule.noncurrent_expiration.is_some()
            || !rule.noncurrent_transitions.is_empty()
            || rule.abort_multipart_days.is_some();
        if acts { kept.push(rule) } else { left_out.push(rule.id) }
    }
    (LifecycleConfiguration { rules: kept, minimum_size: rules.minimum_size }, left_out)
}

fn refused(message: String) -> AdminError {
    AdminError { status: 409, code: "Refused".to_owned(), message }
}

fn failed(error: &dyn std::error::Error) -> AdminError {
    AdminError::failed(chain(error))
}
