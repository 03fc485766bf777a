//! The port behind the listener.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Question;

/// Whoever knows the answers.
#[async_trait]
pub trait Admin: Send + Sync + 'static {
    /// Answers one question. May be asked many at a time.
    async fn answer(&self, question: Question) -> Result<Value, AdminError>;
}

/// Why a question has no answer; goes over the wire as JSON with these names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct AdminError {
    /// HTTP status.
    #[serde(skip, default = "unknown_status")]
    pub status: u16,
    /// One word for scripts, such as `NotFound`.
    pub code: String,
    /// What happened and what helps, for people.
    pub message: String,
}

impl AdminError {
    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self { status: 404, code: "NotFound".to_owned(), message: message.into() }
    }

    /// The question cannot be understood.
    pub fn bad_question(message: impl Into<String>) -> Self {
        Self { status: 400, code: "BadQuestion".to_owned(), message: message.into() }
    }

    /// The answer could not be had.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { status: 500, code: "Failed".to_owned(), message: message.into() }
    }
}

fn unknown_status() -> u16 {
    500
}
