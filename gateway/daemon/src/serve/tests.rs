//! The whole gateway in this process: put, get, and the end.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc;

use console::Question;
use dialect::sigv4::{PayloadToken, Secret, Signer};
use serde_json::Value;

use super::*;
use crate::cli::At;
use crate::client::Client;
use crate::data::RootOrigin;

const ROOT: &str = "root-of-tests";
const SECRET: &str = "secret-of-tests";

/// A gateway that serves until dropped; its end must be a good one.
struct Running {
    address: SocketAddr,
    at: At,
    stop: watch::Sender<bool>,
    thread: Option<std::thread::JoinHandle<Result<(), Error>>>,
}

fn start(data: &Path) -> Running {
    start_with(data, "")
}

/// With these lines of configuration.
fn start_with(data: &Path, lines: &str) -> Running {
    let library = "[[library]]\nname = \"main\"\nkind = \"virtual\"\nslots = 2\ndrives = 1";
    let mut config = Config::parse(&format!("{lines}{library}"), data).unwrap();
    config.data = data.to_owned();
    config.listen = "127.0.0.1:0".parse().unwrap();
    config.admin_listen = "127.0.0.1:0".parse().unwrap();
    let root =
        Root { access_key_id: ROOT.to_owned(), secret: SECRET.to_owned(), origin: RootOrigin::Environment };
    let (stop, stopped) = watch::channel(false);
    let (told, ready) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(run(&config, Some(root), stopped, |welcome| {
            told.send(welcome.address).unwrap();
            Ok(())
        }))
    });
    let at = At { data: data.to_owned(), admin: None, json: false };
    Running { address: ready.recv().unwrap(), at, stop, thread: Some(thread) }
}

impl Running {
    /// Status and body of the answer to a signed request.
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        self.ask_as(SECRET, method, path, body)
    }

    fn ask_as(&self, secret: &str, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let headers = signed(secret, method, path, self.address);
        let mut socket = TcpStream::connect(self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).unwrap();
        socket.write_all(body).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
        (status, answer[end + 4..].to_vec())
    }

    fn admin(&self, question: &Question) -> Value {
        Client::new(&self.at).ask(question).unwrap()
    }

    fn end(mut self) {
        self.stop.send_replace(true);
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

/// The headers of a request signed as the aws cli signs over plain HTTP: the payload by its length alone.
fn signed(secret: &str, method: &str, path: &str, address: SocketAddr) -> String {
    let request = http::Request::builder().method(method).uri(path).header("host", address.to_string());
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let signer = Signer::new(ROOT, Secret::new(secret), "us-east-1");
    let now = model::Timestamp::from(std::time::SystemTime::now());
    signer.sign(&mut parts, &PayloadToken::Unsigned, now).unwrap();
    parts.headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap())).collect()
}

#[test]
fn an_object_goes_in_and_out_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    let gateway = start(folder.path());
    assert_eq!(gateway.ask("PUT", "/first-try", b"").0, 200);
    assert_eq!(gateway.ask("PUT", "/first-try/a%20key", &bytes).0, 200);
    assert_eq!(gateway.ask_as("another secret", "GET", "/first-try/a%20key", b"").0, 403);
    gateway.end();

    let gateway = start(folder.path());
    assert_eq!(gateway.ask("GET", "/first-try/a%20key", b""), (200, bytes));
    gateway.end();
}

#[test]
fn a_start_that_fails_at_a_taken_address_keeps_the_secret_for_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = Config::parse("", folder.path()).unwrap();
    config.data = folder.path().join("data");
    config.listen = "127.0.0.1:0".parse().unwrap();
    config.admin_listen = taken.local_addr().unwrap();
    let (_stop, stopped) = watch::channel(false);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let error = runtime.block_on(run(&config, None, stopped, |_| Ok(()))).unwrap_err();
    assert!(error.to_string().contains("--admin-listen"), "{error}");
    let root = DataDir::create(&config.data).unwrap().root(None).unwrap();
    assert_eq!(root.origin, RootOrigin::Made, "it is still to be shown");
}

#[test]
fn administrators_are_answered_with_and_without_a_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = start(folder.path());
    gateway.ask("PUT", "/first-try", b"");
    let status = gateway.admin(&Question::Status);
    assert_eq!(
        (&status["running"], &status["libraries"][0]["drives"]),
        (&Value::Bool(true), &Value::from(1))
    );
    assert_eq!(gateway.admin(&Question::Buckets)["buckets"][0]["name"], "first-try");
    let elements = gateway.admin(&Question::Inventory { library: Some("main".to_owned()) });
    assert_eq!(elements["elements"].as_array().unwrap().len(), 1 + 4 + 2);
    let unknown = Client::new(&gateway.at).ask(&Question::Inventory { library: Some("other".to_owned()) });
    assert!(unknown.unwrap_err().to_string().contains("no library other"));
    let second = DataDir::existing(folder.path());
    assert!(matches!(second, Err(Error::DataInUse { .. })), "the directory is the gateway's");
    let at = gateway.at.clone();
    gateway.end();

    assert_eq!(Client::new(&at).ask(&Question::Status).unwrap()["running"], false);
    assert!(matches!(Client::new(&at).ask(&Question::Drives), Err(Error::NotRunning { .. })));
}

const TO_TAPE: &[u8] = b"<LifecycleConfiguration><Rule><ID>r</ID><Filter><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan>\
    </Filter><Status>Enabled</Status><Transition><Date>2024-01-01T00:00:00Z</Date><StorageClass>GLACIER</StorageClass>\
    </Transition></Rule></LifecycleConfiguration>";

impl Running {
    fn order(&self, action: console::BucketAction) -> Value {
        let name = model::BucketName::parse("first-try").unwrap();
        self.admin(&Question::Bucket { name, order: action.into() })
    }

    /// Asks until the answer will do.
    fn until(&self, what: &str, mut ask: impl FnMut(&Self) -> Option<Value>) -> Value {
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(answer) = ask(self) {
                return answer;
            }
            assert!(std::time::Instant::now() < deadline, "waited in vain for {what}");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    fn archived(&self) -> u64 {
        let status = self.admin(&Question::Status);
        let counts = status["archives"].as_array().unwrap().iter();
        counts.filter(|count| count["state"] == "archived").filter_map(|count| count["count"].as_u64()).sum()
    }
}

#[test]
fn a_bucket_is_migrated_and_given_back() {
    const QUICK: &str =
        "[store]\npretend_remote = true\n[testing]\nlifecycle_interval_seconds = 0.2\ngrace_seconds = 0\n";
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..50_000u32).flat_map(u32::to_le_bytes).collect();
    let gateway = start_with(folder.path(), QUICK);
    assert_eq!(gateway.ask("PUT", "/first-try", b"").0, 200);
    assert_eq!(gateway.ask("PUT", "/first-try/key", &bytes).0, 200);
    assert_eq!(gateway.order(console::BucketAction::Enable)["mode"], "enabled");
    let bucket = &gateway.admin(&Question::Buckets)["buckets"][0];
    assert_eq!((&bucket["migrates"], &bucket["rules"]), (&Value::Bool(true), &Value::from(0)));
    put_rules(&gateway);
    gateway.until("the object to be archived", |gateway| (gateway.archived() == 1).then_some(Value::Null));
    assert_eq!(gateway.ask("GET", "/first-try/key", b"").0, 403);
    let report = gateway.admin(&Question::Doctor);
    assert_eq!(crate::doctor::matters(&report), Vec::<String>::new(), "{report:#}");
    assert_eq!(report["reserved"]["ours"], true);

    assert_eq!(gateway.order(console::BucketAction::Pause)["mode"], "paused");
    let begun = gateway.order(console::BucketAction::Detach);
    assert_eq!((&begun["done"], &begun["mode"]), (&Value::Bool(false), &Value::from("draining")));
    // It goes on where it was.
    gateway.end();
    let gateway = start_with(folder.path(), QUICK);
    let end = gateway.until("the bucket to be detached", |gateway| {
        let answer = gateway.order(console::BucketAction::Detach);
        (answer["done"] == true).then_some(answer)
    });
    assert_eq!((&end["mode"], &end["rules"]["left_out"][0]), (&Value::from("unmanaged"), &Value::from("r")));
    assert_eq!(gateway.ask("GET", "/first-try/key", b""), (200, bytes));
    assert_eq!(gateway.archived(), 0);
    assert_eq!(
        gateway.order(console::BucketAction::Detach)["mode"],
        "unmanaged",
        "once more changes nothing"
    );
    assert_eq!(gateway.admin(&Question::Buckets)["buckets"][0]["managed"], false);
    gateway.end();
}

#[test]
fn a_cartridge_that_fails_in_a_pack_is_told_and_the_pack_goes_to_another() {
    // Two cartridges, one drive: labelling both takes twelve blocks, the object forty.
    const FAILING: &str = "[testing]\nlifecycle_interval_seconds = 0.2\ngrace_seconds = 0\n\
        faults = [\"failing drive 0 write_6 fail 3/0C/00 after 30\"]\n\
        [[library]]\nname = \"failing\"\nkind = \"virtual\"\nslots = 3\ndrives = 1\n";
    let folder = tempfile::tempdir().unwrap();
    let numbers = (0..5_000_000_u32).map(|n| n.wrapping_mul(0x9E37_79B9).rotate_left(n % 31));
    let bytes: Vec<u8> = numbers.flat_map(u32::to_le_bytes).collect();
    let gateway = start_with(folder.path(), FAILING);
    assert_eq!(gateway.ask("PUT", "/first-try", b"").0, 200);
    assert_eq!(gateway.ask("PUT", "/first-try/key", &bytes).0, 200);
    put_rules(&gateway);
    gateway.until("the object to be archived", |gateway| (gateway.archived() == 1).then_some(Value::Null));
    let drives = gateway.admin(&Question::Drives)["drives"].clone();
    let errors: Vec<&str> =
        drives.as_array().unwrap().iter().filter_map(|drive| drive["last_error"].as_str()).collect();
    assert!(errors.iter().any(|error| error.contains("3/0c/00")), "{drives:#}");
    gateway.order(console::BucketAction::Detach);
    gateway.until("everything to be back", |gateway| {
        (gateway.order(console::BucketAction::Detach)["done"] == true).then_some(Value::Null)
    });
    assert!(gateway.ask("GET", "/first-try/key", b"") == (200, bytes), "byte for byte");
    gateway.end();
}

/// Puts a rule with the digest that S3 asks for.
fn put_rules(gateway: &Running) {
    let digest = dialect::checksum::Md5::of(TO_TAPE).to_base64();
    let headers = signed(SECRET, "PUT", "/first-try?lifecycle=", gateway.address);
    let mut socket = TcpStream::connect(gateway.address).unwrap();
    let head = format!(
        "PUT /first-try?lifecycle= HTTP/1.1\r\n{headers}Content-MD5: {digest}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        TO_TAPE.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(TO_TAPE).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_remote_store_is_probed_once_and_looked_at_without_a_gateway() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = start(there.path());
    let config = format!(
        "[store]\nkind = \"remote\"\nendpoint = \"http://{}\"\naccess_key_id = \"{ROOT}\"\nsecret_access_key = \"{SECRET}\"\n\
         [bucket.first-try]\n[testing]\nprobe_rounds = 5\n",
        store.address
    );
    let gateway = start_with(here.path(), &config);
    assert_eq!(gateway.ask("PUT", "/first-try", b"").0, 200);
    assert_eq!(gateway.ask("PUT", "/other-one", b"").0, 200);
    let report = gateway.admin(&Question::Doctor);
    assert_eq!(
        (&report["store"]["rounds"], &report["reserved"]["ours"]),
        (&Value::from(5), &Value::Bool(true))
    );
    let modes: Vec<&Value> =
        report["buckets"].as_array().unwrap().iter().map(|bucket| &bucket["mode"]).collect();
    assert!(
        modes.contains(&&Value::from("enabled")) && modes.contains(&&Value::from("unmanaged")),
        "{report:#}"
    );
    let probed = report["store"]["probed"].clone();
    gateway.end();

    let gateway = start_with(here.path(), &config);
    assert_eq!(gateway.admin(&Question::Doctor)["store"]["probed"], probed, "not probed again");
    let again = gateway.admin(&Question::Probe);
    assert_eq!(again["store"]["findings"].as_array().unwrap().len(), 10, "{again:#}");
    gateway.end();

    let file = here.path().join("tapegate.toml");
    std::fs::write(&file, &config).unwrap();
    let at = At { data: here.path().to_owned(), admin: None, json: true };
    let looked = crate::command::doctor(crate::cli::DoctorArgs { probe: false, config: Some(file), at });
    assert!(looked.is_ok() || matches!(looked, Err(Error::Partial { .. })), "{looked:?}");
    store.end();
}
