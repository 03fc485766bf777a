#![allow(clippy::unwrap_used)]

use super::*;
use engine::{Affinity, Compression};
use virtual_library::Geometry;

fn parse(text: &str) -> Result<Config, Vec<Fault>> {
    Config::parse(text, Path::new("/etc/tapegate")).map_err(|error| match error {
        ConfigError::Faults { faults } => faults,
        ConfigError::Read { .. } => unreachable!("nothing is read"),
    })
}

fn pool(name: &str) -> PoolName {
    PoolName::parse(name).unwrap()
}

#[test]
fn nothing_said_is_a_whole_house() {
    let config = parse("").unwrap();
    assert_eq!(config.data, Path::new(DATA_DEFAULT));
    assert_eq!(
        (config.listen.to_string(), config.admin_listen.to_string()),
        ("127.0.0.1:9000".into(), "127.0.0.1:9001".into())
    );
    assert_eq!((config.libraries.len(), config.libraries[0].name.as_str()), (1, "main"));
    assert_eq!(config.libraries[0].geometry(), Some(&Geometry::default()));
    assert_eq!(config.classes[&TapeClass::Glacier], pool("glacier"));
    assert_eq!(config.classes[&TapeClass::DeepArchive], pool("deep"));
    let glacier = &config.pools[&pool("glacier")];
    assert_eq!((glacier.pack_bytes_target, glacier.quiet), (1 << 30, Duration::from_secs(5)));
    assert_eq!((config.pace, config.flips_per_second), (Pace::default(), None));
}

/// A configuration that says everything.
const WHOLE: &str = r#"
        data = "data"
        listen = "[::1]:80"
        region = "eu-west-1"
        store = { kind = "embedded", pretend_remote = true }
        bucket.archive = { managed = true, exclusive = true }
        identity = [{ access_key_id = "reader", secret_access_key = "0123456789" }]
        spool.bytes_max = 1_000_000_000
        keyring.file = "keys/ring"
        lifecycle.flips_per_second = 50
        [[library]]
        name = "small"
        kind = "virtual"
        drives = 1
        slots = 6
        mail_slots = 0
        cartridge_bytes = 100_000_000
        [[pool]]
        name = "one"
        copies = ["two"]
        sealed = true
        key = "vault"
        pack_bytes_target = 10_000_000
        quiet_seconds = 0.5
        compression_level = 1
        affinity = "prefix:2"
        generation = "LTO-9"
        drives_max = 3
        mount_bytes = 1_000_000
        mount_age_seconds = 60
        [[pool]]
        name = "two"
        library = "small"
        [class.GLACIER]
        pool = "one"
        [testing]
        day_seconds = 20
        lifecycle_interval_seconds = 1
        grace_seconds = 0
        restore_hold_seconds = 0.25
        virtual_time_scale = 0.01
        faults = ["small drive 0 write_6 fail 3/0C/00 after 5", "small cartridge TG0001L9 unreadable 1/57"]
        "#;

#[test]
fn every_key_is_understood() {
    let config = parse(WHOLE).unwrap();
    assert_eq!(config.data, Path::new("/etc/tapegate/data"));
    assert!(matches!(config.store, StoreConfig::Embedded { pretend_remote: true }));
    let archive = config.buckets.named[&model::BucketName::parse("archive").unwrap()];
    assert!(archive.exclusive && archive.mode == model::bucket::Mode::Enabled);
    assert_eq!(config.identities.keys().collect::<Vec<_>>(), ["reader"]);
    assert_eq!(config.libraries[0].geometry().unwrap().index_partition_bytes, 5_000_000);
    let one = &config.pools[&pool("one")];
    assert_eq!(
        (one.copies.clone(), one.library.as_str(), one.compression),
        (vec![pool("two")], "small", Compression::Zstd(1))
    );
    assert_eq!((one.affinity, one.generation), (Affinity::Prefix(2), Some(library::Generation::Lto9)));
    assert_eq!((one.drives_max, one.mount_bytes, one.mount_age), (3, 1_000_000, Duration::from_secs(60)));
    assert_eq!((one.quiet, one.pack_bytes_target), (Duration::from_millis(500), 10_000_000));
    assert_eq!(
        config.pools[&pool("two")].quiet,
        Duration::from_secs(1),
        "no longer than the interval of a test"
    );
    assert_eq!(config.classes.len(), 1);
    assert_eq!(config.pace.day, DayLength::Seconds(20));
    assert_eq!((config.pace.grace, config.pace.restore_hold), (Duration::ZERO, Duration::from_millis(250)));
    assert_eq!(config.spool_bytes_max, Some(1_000_000_000));
    assert_eq!((config.machines.time_scale, config.machines.faults.len()), (0.01, 2));
    assert_eq!(config.flips_per_second.map(NonZeroU32::get), Some(50));
}

#[test]
fn a_real_library_is_named_by_its_changer() {
    let config = parse(
        r#"
        [[library]]
        name = "main"
        kind = "sg"
        changer = "LIB0001"
        drives = ["DRV1", "DRV2"]
        barcodes = ["TG"]
        "#,
    )
    .unwrap();
    let Machine::Sg(units) = &config.libraries[0].machine else { panic!("{:?}", config.libraries) };
    assert_eq!((units.changer.as_str(), units.drives.as_ref().unwrap().len()), ("LIB0001", 2));
    assert!(units.ours.covers(&library::Barcode::parse("TG0001L9").unwrap()));
    assert!(!units.ours.covers(&library::Barcode::parse("XX0001L9").unwrap()));
    // Nothing in it is labelled by itself, and mounts are rarer.
    assert!(config.labels_blank().is_empty());
    let glacier = &config.pools[&pool("glacier")];
    assert_eq!((glacier.pack_bytes_target, glacier.quiet), (16 << 30, Duration::from_secs(900)));
}

#[test]
fn each_fault_of_a_real_library_names_its_key() {
    for (text, key) in [
        ("", "library[0].changer"),
        ("changer = \"x\"\nslots = 4", "library[0].slots"),
        ("changer = \"x\"\nbarcodes = [\"\"]", "library[0].barcodes"),
        ("changer = \"x\"\ndrives = 2", "library[0].drives"),
        ("changer = \"x\"\ndrives = [\"/dev/sg1\"]", "library[0].drives"),
        ("changer = \"x\"\n[testing]\nfaults = [\"main drive 0 write_6 busy\"]", "testing.faults[0]"),
    ] {
        let faults = parse(&format!("[[library]]\nname = \"main\"\nkind = \"sg\"\n{text}")).unwrap_err();
        assert!(faults.iter().any(|fault| fault.key == key), "{text}: {faults:?}");
    }
}

/// What is wrong, and the key that is to be named for it.
const FAULTS: &[(&str, &str)] = &[
    ("lisen = \"x\"", "lisen"),
    ("listen = \"x\"", "listen"),
    ("listen = 9000", "listen"),
    ("listen = \"127.0.0.1:9001\"", "admin_listen"),
    ("region = \"US East\"", "region"),
    ("[store]\nkind = \"odd\"", "store.kind"),
    ("[store]\nendpoint = \"http://x\"", "store.endpoint"),
    ("[bucket.\"a\"]", "bucket.\"a\"."),
    ("[bucket.abc]\nmanaged = 1", "bucket.\"abc\".managed"),
    ("[[identity]]\naccess_key_id = \"a b\"\nsecret_access_key = \"12345678\"", "identity[0].access_key_id"),
    ("[[identity]]\naccess_key_id = \"abc\"", "identity[0].secret_access_key_file"),
    ("[[identity]]\naccess_key_id = \"abc\"\nsecret_access_key = \"short\"", "identity[0].secret_access_key"),
    (
        "[[identity]]\naccess_key_id = \"abc\"\nsecret_access_key_file = \"none\"",
        "identity[0].secret_access_key_file",
    ),
    ("[[library]]\nname = \"main\"\nkind = \"odd\"", "library[0].kind"),
    ("[[library]]\nname = \"a/b\"\nkind = \"virtual\"", "library[0].name"),
    ("[[library]]\nname = \"main\"\nkind = \"virtual\"\nslots = 0", "library[0].slots"),
    ("[[library]]\nname = \"main\"\nkind = \"virtual\"\ncartridge_bytes = 1", "library[0].cartridge_bytes"),
    ("[[pool]]\nname = \"glacier\"\nsealed = true\nkey = \"A\"", "pool[0].key"),
    ("[[pool]]\nname = \"glacier\"\nkey = \"vault\"", "pool[0].key"),
    ("[keyring]\nfile = 1", "keyring.file"),
    ("[[pool]]\nname = \"glacier\"\nlibrary = \"x\"", "pool[0].library"),
    ("[[pool]]\nname = \"glacier\"\ncopies = [\"glacier\"]", "pool[0].copies"),
    (
        "[[pool]]\nname = \"glacier\"\ncopies = [\"two\"]\n[[pool]]\nname = \"two\"\nsealed = true\n\
         [[pool]]\nname = \"deep\"",
        "pool[0].copies",
    ),
    (
        "[[pool]]\nname = \"one\"\ncopies = [\"two\", \"two\"]\n[[pool]]\nname = \"two\"\n[class.GLACIER]\npool = \"one\"",
        "pool[0].copies",
    ),
    ("[[pool]]\nname = \"glacier\"\ncompression_level = 20", "pool[0].compression_level"),
    ("[[pool]]\nname = \"glacier\"\ncompression = \"lzma\"", "pool[0].compression"),
    (
        "[[pool]]\nname = \"glacier\"\ncompression = \"none\"\ncompression_level = 3",
        "pool[0].compression_level",
    ),
    ("[[pool]]\nname = \"glacier\"\naffinity = \"prefix:x\"", "pool[0].affinity"),
    ("[[pool]]\nname = \"glacier\"\ngeneration = \"9\"", "pool[0].generation"),
    ("[[pool]]\nname = \"glacier\"\ndrives_max = 0", "pool[0].drives_max"),
    ("[[pool]]\nname = \"glacier\"\n[[pool]]\nname = \"glacier\"", "pool[1].name"),
    ("[[pool]]\nname = \"odd\"", "class"),
    ("[class.GLACIER]\npool = \"x\"", "class.\"GLACIER\".pool"),
    ("[class.STANDARD]\npool = \"deep\"", "class.\"STANDARD\"."),
    ("[spool]\nbytes_max = -1", "spool.bytes_max"),
    ("[lifecycle]\nflips_per_second = 0", "lifecycle.flips_per_second"),
    ("[store]\nexpected_owner = \"123456789012\"", "store.expected_owner"),
    ("[testing]\nday_seconds = 0", "testing.day_seconds"),
    ("[testing]\ngrace_seconds = nan", "testing.grace_seconds"),
    ("[testing]\nvirtual_time_scale = -1", "testing.virtual_time_scale"),
    ("[testing]\nvirtual_time_scale = nan", "testing.virtual_time_scale"),
    ("[testing]\nfaults = [\"main drive 0 any silence\", \"main drive 0\"]", "testing.faults[1]"),
    ("[testing]\nfaults = [\"main drive 2 any silence\"]", "testing.faults[0]"),
    ("[testing]\nfaults = [\"drive 0 any silence\"]", "testing.faults[0]"),
    ("testing = 1", "testing"),
];

#[test]
fn each_fault_names_its_key() {
    for (text, key) in FAULTS {
        let faults = parse(text).unwrap_err();
        let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert!(keys.contains(&key.trim_end_matches('.')), "{text}: {faults:?}");
        assert!(faults.iter().all(|fault| !fault.fix.is_empty() && !fault.to_string().contains("short\"")));
    }
}

const REMOTE: &str = "kind = \"remote\"\nendpoint = \"http://127.0.0.1:17480\"\naccess_key_id = \"service\"\nsecret_access_key = \"0123456789\"\n";

#[test]
fn a_remote_store_manages_the_buckets_named_alone() {
    let text = format!(
        "[store]\n{REMOTE}expected_owner = \"123456789012\"\n[bucket.\"films\"]\nexclusive = true\n[[identity]]\naccess_key_id = \"reader\"\n\
         secret_access_key = \"0123456789\"\nupstream = \"own\""
    );
    let config = parse(&text).unwrap();
    let StoreConfig::Remote(remote) = &config.store else { panic!("{:?}", config.store) };
    assert_eq!(remote.endpoint.to_string(), "http://127.0.0.1:17480");
    assert_eq!(remote.expected_owner.as_ref().map(store::BucketOwner::as_str), Some("123456789012"));
    assert_eq!(config.identities["reader"].upstream, Upstream::Own);
    let terms = |name: &str| config.buckets.terms(&model::BucketName::parse(name).unwrap(), None);
    assert!(terms("films").exclusive && terms("films").mode.migrates());
    assert_eq!(terms("other"), model::bucket::Terms::UNMANAGED);
}

#[test]
fn every_fault_of_a_remote_store_is_told_by_its_key() {
    for (text, key) in [
        ("kind = \"remote\"".to_owned(), "store.endpoint"),
        (REMOTE.replace("http://", ""), "store.endpoint"),
        (REMOTE.replace("17480", "17480/path"), "store.endpoint"),
        (REMOTE.replace("127.0.0.1", "name:secret@127.0.0.1"), "store.endpoint"),
        (REMOTE.replace("access_key_id = \"service\"\n", ""), "store.access_key_id"),
        (format!("{REMOTE}addressing = \"both\""), "store.addressing"),
        (format!("{REMOTE}expected_owner = \"1234\""), "store.expected_owner"),
        (format!("{REMOTE}request_timeout_seconds = 0.1"), "store.request_timeout_seconds"),
        (format!("{REMOTE}pretend_remote = true"), "store.pretend_remote"),
        (format!("{REMOTE}client_key_file = \"key.pem\""), "store.client_certificate_file"),
        ("endpoint = \"http://127.0.0.1:1\"".to_owned(), "store.endpoint"),
        ("kind = \"local\"".to_owned(), "store.kind"),
    ] {
        let faults = parse(&format!("[store]\n{text}")).unwrap_err();
        assert!(faults.iter().any(|fault| fault.key == key), "{text}: {faults:?}");
        assert!(faults.iter().all(|fault| !fault.to_string().contains("0123456789")), "{faults:?}");
    }
}

#[test]
fn broken_toml_is_told_by_its_line() {
    assert_eq!(parse("\n\nregion = x").unwrap_err()[0].key, "line 3");
}

#[test]
fn all_faults_are_told_at_once() {
    let faults = parse("lisen = 1\nregion = 2\n[spool]\nbytes = 3\n[testing]\nday_seconds = 0").unwrap_err();
    assert_eq!(faults.len(), 4, "{faults:?}");
    let text = ConfigError::Faults { faults }.to_string();
    assert!(text.starts_with("4 faults in the configuration\n") && text.lines().count() == 5, "{text}");
}
