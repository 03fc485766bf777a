//! What can go wrong in this room, and the exit code each error ends the process with.

use std::path::PathBuf;

use model::Remedy;

use crate::config::ConfigError;

/// A command that did not succeed. The text says what to do next where that is not plain.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An environment variable.
    #[error("{variable}: {problem}")]
    Environment {
        /// Which.
        variable: &'static str,
        /// What is wrong and what helps.
        problem: String,
    },
    /// A command asked for what cannot be.
    #[error("{what}")]
    Usage {
        /// What is wrong and what helps.
        what: String,
    },
    /// A file or folder of the data directory.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A file of the data directory does not say what it should.
    #[error("{} is damaged, or of another version: {problem}", path.display())]
    DataFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Another process has the data directory.
    #[error("{} is in use by another tapegate; stop it, or name another directory with --data", path.display())]
    DataInUse {
        /// The directory.
        path: PathBuf,
    },
    /// There is no such data directory, or nothing in it.
    #[error("{} holds no data of a gateway; name its directory with --data, or start one with `tapegate serve`", path.display())]
    NoData {
        /// The directory.
        path: PathBuf,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}; end what is there, or name another address with {option}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The option that names another one.
        option: &'static str,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A part of the house cannot be put in place.
    #[error("cannot open the {part}")]
    Assemble {
        /// Which.
        part: &'static str,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The gateway can no longer do what it promises and ends itself.
    #[error("the gateway had to stop: {reason}")]
    Fatal {
        /// Why.
        reason: String,
    },
    /// The command needs a gateway that runs.
    #[error(
        "no gateway answers at {address}; start it with `tapegate serve`, or say where it is with --data or --admin"
    )]
    NotRunning {
        /// Where it was looked for.
        address: String,
    },
    /// The running gateway said no.
    #[error("{message}")]
    Refused {
        /// What it said.
        message: String,
    },
    /// The running gateway answered what is no answer.
    #[error("the answer of the gateway at {address} cannot be understood: {problem}")]
    Answer {
        /// Where.
        address: String,
        /// What is wrong.
        problem: String,
    },
    /// A cartridge cannot be read.
    #[error("cannot {operation} cartridge {cartridge}")]
    Tape {
        /// What was tried.
        operation: &'static str,
        /// Its folder's name.
        cartridge: String,
        /// What was met.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Some of what was asked for could not be had; what is known of it was told already.
    #[error("{what}")]
    Partial {
        /// What is missing.
        what: String,
    },
    /// The keyring cannot be used, or not changed as asked.
    #[error("the keyring {}", path.display())]
    Keyring {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: volume::seal::KeyringError,
    },
    /// Standard output is gone.
    #[error("cannot write the answer")]
    Output(#[source] std::io::Error),
}

impl Error {
    /// A part of the house that cannot be put in place.
    pub fn assemble(part: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Assemble { part, source: source.into() }
    }

    /// What the process ends with: 1 failed, 2 wrong use, 64 bad configuration.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Environment { .. } => 64,
            Self::Usage { .. } => 2,
            _ => 1,
        }
    }
}

/// An error as a person is told it: with the code of the runbook, where a room below says that a person must act.
pub fn told(error: &Error) -> String {
    operator_code(error).map_or_else(|| chain(error), |code| format!("{code}: {}", chain(error)))
}

fn operator_code(error: &Error) -> Option<&'static str> {
    let source = std::error::Error::source(error)?;
    if let Some(library::Remedy::Operator(code)) = source.downcast_ref().map(library::Error::remedy) {
        return Some(code);
    }
    let remedy = (source.downcast_ref().map(catalog::Error::remedy))
        .or_else(|| source.downcast_ref().map(store::Error::remedy))
        .or_else(|| source.downcast_ref().map(engine::Error::remedy));
    match remedy {
        Some(Remedy::Operator(code)) => Some(code),
        _ => None,
    }
}

/// An error with everything behind it, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_must_act_on_carries_its_code() {
        let found =
            catalog::Error::UnknownFormat { path: "catalog.redb".into(), found: "9".to_owned(), known: 1 };
        let text = told(&Error::assemble("catalog", found));
        assert!(text.starts_with("CT-0103: cannot open the catalog: "), "{text}");
        let layout = store::Error::Layout { directory: "store".into(), found: 9 };
        assert!(told(&Error::assemble("store", layout)).starts_with("ST-0103: "));
        assert!(told(&Error::assemble("library", library::Error::NoDriveUp)).starts_with("TL-0402: "));
        assert_eq!(told(&Error::Usage { what: "wrong".to_owned() }), "wrong");
    }
}
