//! What may be done in a bucket at this moment: the operator's terms, what the store has set the bucket to, and the
//! model's verdict on both. Looked at before objects are taken over, remembered for a while.
//!
//! A look that fails is a refusal to go on for now, never a permission. A look is over when a client switches the
//! bucket's versioning through the gateway: who holds the gate of one of its keys is told what a write comes to until
//! that gate opens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::bucket::{self, Refusal, Survey, Terms, Versioning};
use model::catalog::Bucket;
use model::{BucketName, Timestamp};

use crate::error::{Error, chain};
use crate::flip::milliseconds;
use crate::house::House;
use crate::notice::Notice;

/// How soon a look that failed is repeated.
const AGAIN: Duration = Duration::from_secs(5);
/// What a refused bucket is called in the runbook.
const CODE: &str = "EN-0107";

/// A bucket as the engine treats it, for those who show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketView {
    /// Its name.
    pub name: BucketName,
    /// What holds for it: the command's word, or the configuration's.
    pub terms: Terms,
    /// What the store has set it to; none where that does not matter (not managed, or a store that swaps in place)
    /// or could not be asked.
    pub survey: Option<Survey>,
    /// Why nothing of it is taken over.
    pub refusals: Vec<Refusal>,
    /// Why the store could not be asked: nothing is taken over until it can.
    pub trouble: Option<String>,
}

impl BucketView {
    /// Whether objects are taken over.
    pub fn migrates(&self) -> bool {
        self.terms.mode.migrates() && self.refusals.is_empty() && self.trouble.is_none()
    }
}

/// What may be done in a bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leave {
    /// Objects may be taken over.
    pub(crate) migrates: bool,
    /// Objects whose time is over may be deleted.
    pub(crate) expires: bool,
    /// What a write comes to; of no matter where a store swaps in place.
    pub(crate) versioning: Versioning,
}

impl Leave {
    const NONE: Self = Self { migrates: false, expires: false, versioning: Versioning::Off };
}

/// The latest looks.
#[derive(Default)]
pub(crate) struct Buckets {
    looks: Mutex<BTreeMap<BucketName, Look>>,
    /// Held while the store is asked, so that many who wait for the same answer ask once.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Look {
    at: Timestamp,
    /// The fence's count of switches before the store was asked.
    switches: u64,
    survey: Result<Survey, String>,
    /// What the survey came to under the terms of the latest question.
    refusals: Vec<Refusal>,
    /// Since when nothing is taken over.
    refused: Option<Timestamp>,
}

impl Buckets {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<BucketName, Look>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store is asked anew the next time.
    pub(crate) fn forget(&self, bucket: &BucketName) {
        self.lock().remove(bucket);
    }

    fn known(&self, bucket: &BucketName, switches: u64, now: Timestamp, interval: Duration) -> Option<Look> {
        let look = self.lock().get(bucket).filter(|look| look.switches == switches).cloned()?;
        let interval = if look.survey.is_ok() { interval } else { interval.min(AGAIN) };
        (now < look.at.plus_milliseconds(milliseconds(interval))).then_some(look)
    }

    /// Forgets buckets the catalog knows no more.
    pub(crate) fn retain(&self, known: &[Bucket]) {
        let known: BTreeSet<&BucketName> = known.iter().map(|bucket| &bucket.name).collect();
        self.lock().retain(|name, _| known.contains(name));
    }

    /// What keeps buckets from being migrated, for people.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        let looks = self.lock();
        let refused = looks.iter().filter_map(|(bucket, look)| Some((bucket, look, look.refused?)));
        let notice = |(bucket, look, since): (&BucketName, &Look, Timestamp)| {
            let why = match &look.survey {
                Err(trouble) => trouble.clone(),
                Ok(_) => explained(&look.refusals),
            };
            Notice {
                stage: "bucket",
                code: Some(CODE),
                text: format!("nothing of {bucket} is taken over: {why}"),
                since,
            }
        };
        refused.map(notice).collect()
    }
}

fn explained(refusals: &[Refusal]) -> String {
    refusals.iter().map(|refusal| refusal.explain()).collect::<Vec<_>>().join("; ")
}

/// What may be done in a bucket now. Said with the gate of one of its keys held, what a write comes to stays so for as
/// long as the gate is; said without, it may be over at once.
pub(crate) async fn leave(house: &House, name: &BucketName) -> Result<Leave, Error> {
    let terms = house.terms(name).await?;
    if !terms.mode.migrates() {
        house.buckets.lock().remove(name);
        return Ok(Leave::NONE);
    }
    let capabilities = house.store.capabilities();
    let expires = bucket::may_expire(&capabilities, &terms);
    if capabilities.in_place {
        return Ok(Leave { migrates: true, expires, versioning: Versioning::Off });
    }
    let look = look(house, name, &terms).await;
    Ok(match look.survey {
        Ok(survey) if look.refusals.is_empty() => {
            Leave { migrates: true, expires, versioning: survey.versioning }
        }
        _ => Leave::NONE,
    })
}

/// [`leave`] for each of these buckets.
pub(crate) async fn leaves(
    house: &House,
    names: impl Iterator<Item = &BucketName>,
) -> Result<BTreeMap<BucketName, Leave>, Error> {
    let names: BTreeSet<&BucketName> = names.collect();
    let mut leaves = BTreeMap::new();
    for name in names {
        leaves.insert(name.clone(), leave(house, name).await?);
    }
    Ok(leaves)
}

/// Every bucket of the store and of the catalog, by name. Asks the store of managed ones.
pub(crate) async fn view(house: &House) -> Result<Vec<BucketView>, Error> {
    let mut names: BTreeSet<BucketName> = house.store.buckets().await?.into_iter().collect();
    names.extend(house.catalog.buckets().await?.into_iter().map(|row| row.name));
    let mut views = Vec::with_capacity(names.len());
    for name in names {
        let terms = house.terms(&name).await?;
        let mut view = BucketView { name, terms, survey: None, refusals: Vec::new(), trouble: None };
        if terms.mode.is_managed() && !house.store.capabilities().in_place {
            let look = look(house, &view.name, &terms).await;
            view.refusals = look.refusals;
            match look.survey {
                Ok(survey) => view.survey = Some(survey),
                Err(trouble) => view.trouble = Some(trouble),
            }
        }
        views.push(view);
    }
    Ok(views)
}

/// The bucket's settings, from memory when they were asked for lately, and the verdict under these terms.
async fn look(house: &House, name: &BucketName, terms: &Terms) -> Look {
    let switches = || house.fence.switches(name);
    let known = || house.buckets.known(name, switches(), house.now(), house.settings.survey_interval);
    let mut is_new = false;
    let (at, asked, survey) = match known() {
        Some(look) => (look.at, look.switches, look.survey),
        None => {
            let _asking = house.buckets.asking.lock().await;
            match known() {
                Some(look) => (look.at, look.switches, look.survey),
                None => {
                    let before = switches();
                    let survey = house.store.survey(name).await.map_err(|error| chain(&error));
                    is_new = true;
                    (house.now(), before, survey)
                }
            }
        }
    };
    let refusals = survey
        .as_ref()
        .map_or_else(|_| Vec::new(), |survey| bucket::refusals(&house.store.capabilities(), survey, terms));
    let refused = terms.mode.migrates() && (survey.is_err() || !refusals.is_empty());
    let mut looks = house.buckets.lock();
    let before = looks.get(name);
    let since = before.and_then(|look| look.refused);
    if refused && before.is_none_or(|look| look.refused.is_none() || look.refusals != refusals) {
        let why = survey.as_ref().map_or_else(Clone::clone, |_| explained(&refusals));
        tracing::error!(bucket = %name, code = CODE, why, "nothing of the bucket is taken over");
    }
    let refused = refused.then(|| since.unwrap_or_else(|| house.now()));
    // An answer across a switch is not remembered, nor is one again that was forgotten meanwhile.
    let stands =
        if is_new { asked == switches() } else { before.is_some_and(|b| b.at == at && b.switches == asked) };
    let look = Look { at, switches: asked, survey, refusals, refused };
    if stands {
        looks.insert(name.clone(), look.clone());
    }
    look
}
