//! What was found out about the remote store, kept in the data directory: a store is probed once, and again when its
//! endpoint is another one or an operator asks for it.

use model::Timestamp;
use serde::{Deserialize, Serialize};
use store::Evidence;

use crate::data::DataDir;
use crate::error::Error;

/// The outcome of a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// The store it speaks of.
    pub endpoint: String,
    /// When it was probed.
    pub probed: Timestamp,
    /// Rounds of the race.
    pub rounds: u32,
    /// What was found.
    pub evidence: Evidence,
}

impl Found {
    /// What is known of the store at this endpoint.
    pub fn read(data: &DataDir, endpoint: &str) -> Result<Option<Self>, Error> {
        let path = data.evidence();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::File { operation: "read", path, source }),
        };
        let found: Self = serde_json::from_str(&text).map_err(|error| Error::DataFile {
            path,
            problem: format!("{error}; delete it, and the store is probed at the next start"),
        })?;
        Ok((found.endpoint == endpoint).then_some(found))
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        format!("{}\n", serde_json::to_string_pretty(self).expect("plain data"))
    }

    /// In one line, for the log.
    pub fn summary(&self) -> String {
        let finding = |finding: &store::Finding| format!("{} {}", finding.name, finding.verdict);
        self.evidence.findings.iter().map(finding).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use store::{Finding, Verdict};

    #[test]
    fn evidence_is_that_of_one_endpoint() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::create(folder.path()).unwrap();
        let here = "http://127.0.0.1:1";
        assert_eq!(Found::read(&data, here).unwrap(), None);
        let finding =
            Finding { name: "tags".to_owned(), verdict: Verdict::Proven, seen: "they came back".to_owned() };
        let evidence = Evidence { capabilities: store::UNPROVEN, findings: vec![finding] };
        let found =
            Found { endpoint: here.to_owned(), probed: Timestamp::from_seconds(7), rounds: 300, evidence };
        data.note_evidence(&found.text()).unwrap();
        let mode = std::fs::metadata(data.evidence()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(Found::read(&data, here).unwrap(), Some(found.clone()));
        assert_eq!(Found::read(&data, "http://127.0.0.1:2").unwrap(), None, "of another store");
        assert_eq!(found.summary(), "tags yes");
        data.note_evidence("{}").unwrap();
        let error = Found::read(&data, here).unwrap_err().to_string();
        assert!(error.contains("delete it"), "{error}");
    }
}
