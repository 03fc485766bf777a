#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn secrets_are_made_once_and_for_their_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b");
    let first = DataDir::create(&path).unwrap();
    let installation = first.installation().unwrap();
    let root = first.root(None).unwrap();
    let token = first.token().unwrap();
    first.note_admin_address("127.0.0.1:1".parse().unwrap()).unwrap();
    assert_eq!(root.origin, RootOrigin::Made);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
    drop(first);

    let second = DataDir::create(&path).unwrap();
    let again = second.root(None).unwrap();
    assert_eq!((again.origin, again.secret), (RootOrigin::Stored, root.secret.clone()));
    assert_eq!(second.installation().unwrap().catalog_id, installation.catalog_id);
    assert_eq!(second.installation().unwrap().reserved_bucket, installation.reserved_bucket);
    assert_eq!(second.token().unwrap().bearer(), token.bearer());
    assert_eq!(token_of(&path).unwrap().bearer(), token.bearer());
    assert_eq!(admin_address_of(&path), Some("127.0.0.1:1".parse().unwrap()));
    let text = format!("{:?} {:?} {:?}", again.access_key_id, root, token);
    assert!(!text.contains(&root.secret) && !text.contains(&token.bearer()[7..]), "{text}");
}

#[test]
fn two_processes_never_share_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    let first = DataDir::create(folder.path()).unwrap();
    assert!(matches!(DataDir::create(folder.path()), Err(Error::DataInUse { .. })));
    drop(first);
    assert!(DataDir::create(folder.path()).is_ok());
}

#[test]
fn a_gateway_waits_for_a_command_that_reads() {
    let folder = tempfile::tempdir().unwrap();
    let reader = DataDir::create(folder.path()).unwrap();
    let path = folder.path().to_owned();
    let starting = std::thread::spawn(move || DataDir::create(&path).map(drop));
    drop(reader);
    assert!(starting.join().unwrap().is_ok());
}

#[test]
fn a_directory_of_something_else_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(DataDir::existing(folder.path()), Err(Error::NoData { .. })));
    assert!(matches!(token_of(folder.path()), Err(Error::NoData { .. })));
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is made");
}

#[test]
fn epochs_only_grow() {
    let folder = tempfile::tempdir().unwrap();
    let epochs = || DataDir::create(folder.path()).unwrap().next_epoch().unwrap();
    assert_eq!([epochs(), epochs(), epochs()], [1, 2, 3]);
    fs::write(folder.path().join(EPOCH), "4294967295").unwrap();
    let refused = DataDir::create(folder.path()).unwrap().next_epoch().unwrap_err();
    assert!(refused.to_string().contains("not a number that can grow"), "{refused}");
}

#[test]
fn damaged_files_are_refused_without_showing_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = DataDir::create(folder.path()).unwrap();
    for (file, text) in [
        (INSTALLATION, "catalog_id = \"x\"\nmarker_key = \"hidden\"\nreserved_suffix = \"a\""),
        (ROOT_KEY, "access_key_id = \"abc\"\nsecret_access_key = \"hidden\""),
        (TOKEN, "hidden"),
    ] {
        fs::write(folder.path().join(file), text).unwrap();
    }
    let errors = [
        data.installation().unwrap_err().to_string(),
        data.root(None).unwrap_err().to_string(),
        data.token().unwrap_err().to_string(),
    ];
    for error in errors {
        assert!(error.contains("is damaged") && !error.contains("hidden"), "{error}");
    }
}

#[test]
fn a_note_of_the_keyring_that_cannot_be_read_is_no_missing_note() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(keyring_of(folder.path()).unwrap(), folder.path().join(KEYRING));
    let directory = DataDir::create(folder.path()).unwrap();
    directory.note_keyring(Path::new("/safe/ring")).unwrap();
    assert_eq!(keyring_of(folder.path()).unwrap(), Path::new("/safe/ring"));
    let note = folder.path().join(KEYRING_FILE);
    fs::remove_file(&note).unwrap();
    fs::create_dir(&note).unwrap();
    let error = keyring_of(folder.path()).unwrap_err();
    assert!(matches!(&error, Error::File { path, .. } if *path == note), "{error:?}");
}
