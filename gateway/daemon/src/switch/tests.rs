#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use catalog::RedbCatalog;
use console::BucketAction;
use dialect::reserved::MarkerKey;
use http::{Method, Request, Response};
use model::Body;
use model::body::{empty, full};
use model::store::Capabilities;
use store::{EmbeddedStore, Options, Reserved, S3Service, S3Store, Swap};

use super::*;

/// A store that holds lifecycle rules of its own.
struct RuleKeeper {
    inner: EmbeddedStore,
    rules: Arc<Mutex<Option<String>>>,
    /// What somebody else puts there right after the next look at the rules.
    next: Arc<Mutex<Option<String>>>,
    meanwhile: Meanwhile,
}

/// What becomes of a bucket's row while rules are put there.
type Meanwhile = Arc<Mutex<Option<(Arc<RedbCatalog>, Bucket)>>>;

#[async_trait]
impl S3Service for RuleKeeper {
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, StoreError> {
        if request.uri().query() != Some("lifecycle=") {
            return self.inner.call(request).await;
        }
        let mut answer = Response::new(empty());
        let held = self.rules.lock().unwrap().clone();
        match *request.method() {
            Method::GET => match held {
                Some(text) => {
                    *answer.body_mut() = full(text);
                    if let Some(next) = self.next.lock().unwrap().take() {
                        *self.rules.lock().unwrap() = Some(next);
                    }
                }
                None => *answer.status_mut() = http::StatusCode::NOT_FOUND,
            },
            Method::DELETE => *self.rules.lock().unwrap() = None,
            _ => {
                use http_body_util::BodyExt;
                let text = request.into_body().collect().await.unwrap().to_bytes();
                *self.rules.lock().unwrap() = Some(String::from_utf8(text.to_vec()).unwrap());
                let meanwhile = self.meanwhile.lock().unwrap().take();
                if let Some((catalog, row)) = meanwhile {
                    catalog.commit(vec![Change::Bucket(row)]).await.unwrap();
                }
            }
        }
        Ok(answer)
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn swap_in_place(&self, swap: Swap) -> Result<(), StoreError> {
        self.inner.swap_in_place(swap).await
    }
}

/// A bucket on such a store.
struct Ground {
    catalog: Arc<RedbCatalog>,
    store: S3Store<RuleKeeper>,
    rules: Arc<Mutex<Option<String>>>,
    next: Arc<Mutex<Option<String>>>,
    meanwhile: Meanwhile,
    settings: BucketSettings,
    name: BucketName,
    _folder: tempfile::TempDir,
}

const EXPIRES: &str = "<LifecycleConfiguration><Rule><Filter><Prefix>log/</Prefix></Filter><Status>Enabled</Status>\
                       <Expiration><Days>3</Days></Expiration></Rule></LifecycleConfiguration>";
const TAPE: &str = "<LifecycleConfiguration><Rule><ID>tape</ID><Filter/><Status>Enabled</Status>\
                    <Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition></Rule>\
                    <Rule><ID>end</ID><Filter/><Status>Enabled</Status><Expiration><Days>9</Days></Expiration></Rule>\
                    </LifecycleConfiguration>";

impl Ground {
    async fn new(rules: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { pretend_remote: true, sync: false, ..Options::default() };
        let inner = EmbeddedStore::open(&folder.path().join("store"), options).unwrap();
        let rules = Arc::new(Mutex::new(rules.map(str::to_owned)));
        let reserved =
            Reserved { bucket: BucketName::parse("reserved-of-tests").unwrap(), catalog: "tests".to_owned() };
        let next: Arc<Mutex<Option<String>>> = Arc::default();
        let meanwhile = Meanwhile::default();
        let service =
            RuleKeeper { inner, rules: rules.clone(), next: next.clone(), meanwhile: meanwhile.clone() };
        let store = S3Store::open(service, reserved, MarkerKey::new([7; 32])).await.unwrap();
        let request = Request::put("/bucket").header("host", "localhost").body(empty()).unwrap();
        assert!(store.call(request).await.unwrap().status().is_success());
        let catalog = Arc::new(RedbCatalog::open(folder.path().join("catalog.redb")).unwrap());
        let settings = BucketSettings { otherwise: Terms::UNMANAGED, ..BucketSettings::all() };
        let name = BucketName::parse("bucket").unwrap();
        Self { catalog, store, rules, next, meanwhile, settings, name, _folder: folder }
    }

    fn switch(&self) -> Switch<'_> {
        Switch { catalog: &*self.catalog, store: &self.store, settings: &self.settings }
    }

    async fn enable(&self) -> Result<usize, AdminError> {
        self.switch().enable(&self.name, &BucketAction::Enable.into()).await
    }

    async fn row(&self) -> Option<Bucket> {
        self.catalog.bucket(&self.name).await.unwrap()
    }

    fn held(&self) -> Option<String> {
        self.rules.lock().unwrap().clone()
    }

    async fn set_lifecycle(&self, text: Option<&str>) {
        let mut row = self.row().await.unwrap();
        row.lifecycle = text.map(|text| read(text).unwrap());
        self.catalog.commit(vec![Change::Bucket(row)]).await.unwrap();
    }
}

#[tokio::test]
async fn rules_are_taken_over_and_given_back_as_they_were() {
    let ground = Ground::new(Some(EXPIRES)).await;
    assert_eq!(ground.enable().await, Ok(1));
    assert_eq!(ground.held(), None);
    let row = ground.row().await.unwrap();
    assert_eq!(row.terms.unwrap().mode, Mode::Enabled);
    assert_eq!((row.lifecycle.unwrap().rules.len(), row.store_rules.as_deref()), (1, Some(EXPIRES)));
    assert_eq!(ground.enable().await, Ok(0), "once more changes nothing");

    let order = BucketAction::Drain.into();
    ground.switch().set_mode(&ground.name, Mode::Draining, &order).await.unwrap();
    assert_eq!(ground.switch().let_go(&ground.name).await.unwrap()["given_back"], "original");
    assert_eq!(ground.held().as_deref(), Some(EXPIRES));
    assert_eq!(ground.row().await, None, "a plain bucket");
    let again = ground.switch().let_go(&ground.name).await.unwrap();
    assert_eq!(again["given_back"], "none");
    assert_eq!(ground.held().as_deref(), Some(EXPIRES), "once more changes nothing");
}

#[tokio::test]
async fn a_take_over_that_broke_off_is_ended_by_the_next() {
    let ground = Ground::new(Some(EXPIRES)).await;
    ground.enable().await.unwrap();
    // Written down, but not removed yet.
    *ground.rules.lock().unwrap() = Some(EXPIRES.to_owned());
    assert_eq!(ground.enable().await, Ok(0));
    assert_eq!(ground.held(), None);
}

#[tokio::test]
async fn rules_on_both_sides_are_refused() {
    let ground = Ground::new(Some(EXPIRES)).await;
    ground.enable().await.unwrap();
    *ground.rules.lock().unwrap() = Some(TAPE.to_owned());
    let refusal = ground.enable().await.unwrap_err();
    assert!(refusal.status == 409 && refusal.message.contains("delete one of them"), "{refusal}");
    assert_eq!(ground.held().as_deref(), Some(TAPE));
}

#[tokio::test]
async fn rules_put_on_the_store_at_the_same_moment_stay_there() {
    let ground = Ground::new(Some(EXPIRES)).await;
    *ground.next.lock().unwrap() = Some(TAPE.to_owned());
    let refusal = ground.enable().await.unwrap_err();
    assert!(refusal.status == 409 && refusal.message.contains("none were removed"), "{refusal}");
    assert_eq!(ground.held().as_deref(), Some(TAPE));
}

/// The rules are given back, and a client changes them at the gateway before the row is let go of.
#[tokio::test]
async fn rules_changed_while_a_bucket_is_let_go_of_are_not_dropped() {
    let ground = Ground::new(Some(EXPIRES)).await;
    ground.enable().await.unwrap();
    let row = ground.row().await.unwrap();
    assert!(!row.has_archives);
    let changed = Bucket { lifecycle: Some(read(TAPE).unwrap()), ..row };
    *ground.meanwhile.lock().unwrap() = Some((ground.catalog.clone(), changed));
    let switch = ground.switch();
    let refusal = switch.let_go(&ground.name).await.unwrap_err();
    assert!(refusal.status == 409 && refusal.message.contains("try again"), "{refusal}");
    assert_eq!(ground.row().await.unwrap().lifecycle, Some(read(TAPE).unwrap()), "they are still known");
    assert_eq!(switch.let_go(&ground.name).await.unwrap()["given_back"], "rendered");
    assert_eq!(ground.row().await, None);
}

#[tokio::test]
async fn what_the_gateway_cannot_do_is_named_and_nothing_is_changed() {
    let rules = "<LifecycleConfiguration><Rule><ID>old</ID><Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>\
                 <Status>Enabled</Status><Transition><Days>40</Days><StorageClass>STANDARD_IA</StorageClass></Transition>\
                 <NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays></NoncurrentVersionExpiration></Rule>\
                 </LifecycleConfiguration>";
    for (text, named) in [
        (rules, &["\"old\"", "<Tag>", "STANDARD_IA", "<NoncurrentVersionExpiration>"][..]),
        ("<LifecycleConfiguration><Rule/></LifecycleConfiguration>", &["cannot be taken over"][..]),
    ] {
        let ground = Ground::new(Some(text)).await;
        let refusal = ground.enable().await.unwrap_err();
        assert!(named.iter().all(|name| refusal.message.contains(name)), "{refusal}");
        assert_eq!((ground.held().as_deref(), ground.row().await), (Some(text), None));
    }
}

#[tokio::test]
async fn changed_rules_go_back_without_what_leads_to_tape() {
    let ground = Ground::new(Some(EXPIRES)).await;
    ground.enable().await.unwrap();
    ground.set_lifecycle(Some(TAPE)).await;
    let given = ground.switch().let_go(&ground.name).await.unwrap();
    assert_eq!((&given["given_back"], &given["left_out"][0]), (&json!("rendered"), &json!("tape")));
    let held = ground.held().unwrap();
    assert!(held.contains("<ID>end</ID>") && !held.contains("GLACIER"), "{held}");
}

#[tokio::test]
async fn rules_deleted_at_the_gateway_do_not_come_back() {
    let ground = Ground::new(Some(EXPIRES)).await;
    ground.enable().await.unwrap();
    ground.set_lifecycle(None).await;
    assert_eq!(ground.switch().let_go(&ground.name).await.unwrap()["given_back"], "none");
    assert_eq!(ground.held(), None);
}

#[tokio::test]
async fn a_bucket_the_configuration_manages_stays_let_go_of() {
    let mut ground = Ground::new(None).await;
    ground.settings.otherwise = Terms::MANAGED;
    let order = BucketOrder { exclusive: Some(true), ..BucketAction::Pause.into() };
    ground.switch().set_mode(&ground.name, Mode::Paused, &order).await.unwrap();
    let terms = ground.row().await.unwrap().terms.unwrap();
    assert_eq!((terms.mode, terms.exclusive), (Mode::Paused, true));
    ground.switch().let_go(&ground.name).await.unwrap();
    let row = ground.row().await.unwrap();
    assert_eq!((row.terms, row.lifecycle), (Some(Terms::UNMANAGED), None));
    let refusal = ground.switch().set_mode(&ground.name, Mode::Paused, &order).await.unwrap_err();
    assert!(refusal.message.contains("not managed"), "{refusal}");
}

#[tokio::test]
async fn buckets_that_are_not_there_are_not_switched() {
    let ground = Ground::new(None).await;
    let other = BucketName::parse("other").unwrap();
    let refusal = ground.switch().enable(&other, &BucketAction::Enable.into()).await.unwrap_err();
    assert_eq!(refusal.status, 404);
    assert_eq!(ground.catalog.bucket(&other).await.unwrap(), None);
}
