//! What `serve` prints once it is ready: where it is, who may ask, and four commands to paste.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use volume::seal::KeyId;

use crate::data::{Root, RootOrigin};

/// What a person at the terminal wants to know.
#[derive(Debug)]
pub struct Welcome {
    /// Where S3 is served.
    pub address: SocketAddr,
    /// Where the admin API is served.
    pub admin_address: SocketAddr,
    /// The region to sign for.
    pub region: String,
    /// The data directory.
    pub data: PathBuf,
    /// The root identity.
    pub root: Root,
    /// The file it is in, unless the environment gave it.
    pub root_key: PathBuf,
    /// Sealing keys made just now.
    pub keys_made: Vec<KeyId>,
}

impl Welcome {
    /// Prints it. A secret appears only when it was made just now.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let (version, region) = (env!("CARGO_PKG_VERSION"), &self.region);
        writeln!(out, "tapegate {version} is ready")?;
        writeln!(out, "  S3      {}   region {region}", endpoint(self.address))?;
        writeln!(
            out,
            "  admin   {}   token in {}",
            endpoint(self.admin_address),
            self.data.join("admin-token").display()
        )?;
        writeln!(out, "  data    {}", self.data.display())?;
        self.print_root(out)?;
        self.print_keys(out)?;
        writeln!(out, "\nA first try, to paste into another terminal that has the aws cli:\n")?;
        writeln!(out, "{}", self.exports())?;
        for (what, command) in self.commands() {
            writeln!(out, "# {what}\n{command}")?;
        }
        writeln!(out)?;
        out.flush()
    }

    fn print_root(&self, out: &mut dyn Write) -> io::Result<()> {
        let Root { access_key_id, origin, .. } = &self.root;
        match origin {
            RootOrigin::Environment => {
                writeln!(out, "  root    {access_key_id}   secret from the environment")
            }
            RootOrigin::Stored => {
                writeln!(out, "  root    {access_key_id}   secret in {}", self.root_key.display())
            }
            RootOrigin::Made => {
                let file = self.root_key.display();
                writeln!(out, "  root    {access_key_id}   secret below, shown this once; kept in {file}")
            }
        }
    }

    fn print_keys(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.keys_made.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = self.keys_made.iter().map(KeyId::to_string).collect();
        writeln!(out, "\n  KEYS WERE MADE FOR SEALED POOLS: {}", names.join(", "))?;
        writeln!(
            out,
            "  What goes to tape there is lost without them. Export them now, and keep them apart from here:"
        )?;
        writeln!(out, "    tapegate keys export --data {} --to FILE", quoted(&self.data.to_string_lossy()))
    }

    /// Lines that give the aws cli its credentials, and keep it from opening a pager.
    fn exports(&self) -> String {
        let id = &self.root.access_key_id;
        let secret = match self.root.origin {
            RootOrigin::Made => self.root.secret.clone(),
            RootOrigin::Environment => "\"$TAPEGATE_SECRET_KEY\"".to_owned(),
            RootOrigin::Stored => {
                let file = quoted(&self.root_key.to_string_lossy());
                format!("\"$(sed -n 's/^secret_access_key = \"\\(.*\\)\"/\\1/p' {file})\"")
            }
        };
        let region = &self.region;
        format!(
            "export AWS_ACCESS_KEY_ID={id} AWS_SECRET_ACCESS_KEY={secret}\n\
             export AWS_DEFAULT_REGION={region} AWS_PAGER=\n\
             unset AWS_SESSION_TOKEN AWS_PROFILE"
        )
    }

    /// What is done, and the command that does it; each may be pasted right after the one before.
    fn commands(&self) -> [(&'static str, String); 4] {
        let aws = format!("aws --endpoint-url {}", endpoint(self.address));
        let object = format!("--bucket {BUCKET} --key {KEY}");
        let rule = r#"{"Rules":[{"ID":"to-tape","Status":"Enabled","Filter":{"Prefix":""},"Transitions":[{"Date":"2020-01-01T00:00:00Z","StorageClass":"GLACIER"}]}]}"#;
        [
            (
                "put: an object in a new bucket",
                format!(
                    "head -c 1000000 /dev/urandom > {KEY}; {aws} s3 mb s3://{BUCKET}; {aws} s3 cp {KEY} s3://{BUCKET}/{KEY}"
                ),
            ),
            (
                "rule: everything in it goes to tape, at once",
                format!(
                    "{aws} s3api put-bucket-lifecycle-configuration --bucket {BUCKET} --lifecycle-configuration '{rule}'"
                ),
            ),
            (
                "restore: asks for it back, as soon as it is on tape (within 30 s)",
                format!(
                    "until {aws} s3api restore-object {object} --restore-request '{{\"Days\":1}}' 2>/dev/null; do sleep 2; done"
                ),
            ),
            (
                "get: reads it, as soon as it is back",
                format!(
                    "until {aws} s3api get-object {object} {KEY}.back 2>/dev/null; do sleep 2; done; cmp {KEY} {KEY}.back && echo the same bytes"
                ),
            ),
        ]
    }
}

/// A URL that reaches a listener from this machine.
fn endpoint(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

const BUCKET: &str = "first-try";
const KEY: &str = "first-object";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn printed(origin: RootOrigin) -> String {
        with_keys(origin, Vec::new())
    }

    fn with_keys(origin: RootOrigin, keys_made: Vec<KeyId>) -> String {
        let welcome = Welcome {
            address: "0.0.0.0:9000".parse().unwrap(),
            admin_address: "127.0.0.1:9001".parse().unwrap(),
            region: "us-east-1".to_owned(),
            data: "/it's/here".into(),
            root: Root { access_key_id: "TGROOT".to_owned(), secret: "HIDDEN".to_owned(), origin },
            root_key: "/it's/here/root-key.toml".into(),
            keys_made,
        };
        let mut out = Vec::new();
        welcome.print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_secret_is_shown_only_when_it_was_made_now() {
        assert_eq!(printed(RootOrigin::Made).matches("HIDDEN").count(), 1, "printed once");
        for origin in [RootOrigin::Stored, RootOrigin::Environment] {
            let text = printed(origin);
            assert!(!text.contains("HIDDEN") && text.contains("TGROOT"), "{text}");
        }
    }

    #[test]
    fn keys_made_now_are_told_loudly_and_not_shown() {
        let text = with_keys(RootOrigin::Stored, vec!["vault:1".parse().unwrap()]);
        assert!(text.contains("KEYS WERE MADE") && text.contains("vault:1"), "{text}");
        assert!(text.contains("tapegate keys export --data '/it'\\''s/here' --to FILE"), "{text}");
    }

    #[test]
    fn what_is_pasted_is_a_shell_script_for_this_endpoint() {
        for origin in [RootOrigin::Made, RootOrigin::Stored, RootOrigin::Environment] {
            let text = printed(origin);
            let script = &text[text.find("export").unwrap()..];
            assert_eq!(script.matches("--endpoint-url http://127.0.0.1:9000 ").count(), 5, "{script}");
            let shell = std::process::Command::new("sh").args(["-n", "-c", script]).status().unwrap();
            assert!(shell.success(), "{script}");
        }
    }
}
