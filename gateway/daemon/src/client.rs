//! Asks the gateway a question: the one that runs, over its admin listener, or the catalog itself when none does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use catalog::RedbCatalog;
use console::{Admin, AdminError, Question};
use serde_json::Value;

use crate::cli::At;
use crate::config::ADMIN_DEFAULT;
use crate::data::{self, DataDir};
use crate::error::Error;
use crate::records::Records;

/// Longest wait for an answer; a migration lists whole buckets before it answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3600);
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer read, in bytes.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// Somebody to ask, for one command.
pub struct Client {
    at: At,
    source: Option<Source>,
}

/// Who answers; found out with the first question.
enum Source {
    Gateway(Gateway),
    Records(Offline),
}

struct Gateway {
    agent: ureq::Agent,
    address: SocketAddr,
    authorization: String,
}

/// The catalog of a gateway that does not run; nobody else may start one meanwhile.
struct Offline {
    records: Records,
    runtime: tokio::runtime::Runtime,
    _data: DataDir,
}

impl Client {
    /// Whoever answers for this data directory or address.
    pub fn new(at: &At) -> Self {
        Self { at: at.clone(), source: None }
    }

    /// Asks the running gateway; where none runs, the catalog in the data directory answers what it can.
    pub fn ask(&mut self, question: &Question) -> Result<Value, Error> {
        match &self.source {
            Some(Source::Gateway(gateway)) => gateway.ask(question)?.ok_or_else(|| gateway.gone()),
            Some(Source::Records(offline)) => offline.ask(question),
            None => self.ask_first(question),
        }
    }

    fn ask_first(&mut self, question: &Question) -> Result<Value, Error> {
        let gateway = Gateway::of(&self.at)?;
        if let Some(answer) = gateway.ask(question)? {
            self.source = Some(Source::Gateway(gateway));
            return Ok(answer);
        }
        let needs_machines = matches!(
            question,
            Question::Libraries
                | Question::Inventory { .. }
                | Question::Drives
                | Question::DriveHistory { .. }
                | Question::Tasks
                | Question::Machines(_)
                | Question::Migrate(_)
                | Question::Bucket { .. }
                | Question::Doctor
                | Question::Probe
                | Question::Repair(_)
                | Question::VolumeOrder { .. }
        );
        if needs_machines || self.at.admin.is_some() {
            return Err(gateway.gone());
        }
        let offline = Offline::open(&self.at)?;
        let answer = offline.ask(question)?;
        self.source = Some(Source::Records(offline));
        Ok(answer)
    }
}

impl Gateway {
    fn of(at: &At) -> Result<Self, Error> {
        let token = data::token_of(&at.data)?;
        let address = at.admin.or_else(|| data::admin_address_of(&at.data)).unwrap_or(ADMIN_DEFAULT);
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(ANSWER_TIMEOUT))
            .build();
        Ok(Self { agent: config.into(), address, authorization: token.bearer() })
    }

    /// `None` when nobody is there.
    fn ask(&self, question: &Question) -> Result<Option<Value>, Error> {
        let url = format!("http://{}{}", self.address, question.path());
        let sent = match question.method() {
            "POST" => {
                let request = self.agent.post(&url).header("authorization", &self.authorization);
                request.header("content-type", "application/json").send(question.body())
            }
            _ => self.agent.get(&url).header("authorization", &self.authorization).call(),
        };
        let mut response = match sent {
            Ok(response) => response,
            Err(ureq::Error::Io(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                return Ok(None);
            }
            Err(ureq::Error::ConnectionFailed) => return Ok(None),
            Err(error) => return Err(self.nonsense(error.to_string())),
        };
        let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let text = text.map_err(|error| self.nonsense(error.to_string()))?;
        if response.status().is_success() {
            return serde_json::from_str(&text).map(Some).map_err(|error| self.nonsense(error.to_string()));
        }
        match serde_json::from_str::<AdminError>(&text) {
            Ok(refusal) => Err(Error::Refused { message: refusal.message }),
            Err(_) => Err(self.nonsense(format!("status {}", response.status()))),
        }
    }

    fn nonsense(&self, problem: String) -> Error {
        Error::Answer { address: self.address.to_string(), problem }
    }

    fn gone(&self) -> Error {
        Error::NotRunning { address: self.address.to_string() }
    }
}

impl Offline {
    fn open(at: &At) -> Result<Self, Error> {
        let data = DataDir::existing(&at.data)?;
        let catalog = RedbCatalog::open(data.catalog()).map_err(|error| Error::assemble("catalog", error))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::assemble("runtime", error))?;
        Ok(Self { records: Records::new(Arc::new(catalog)), runtime, _data: data })
    }

    fn ask(&self, question: &Question) -> Result<Value, Error> {
        let answer = self.runtime.block_on(self.records.answer(question.clone()));
        answer.map_err(|refusal| Error::Refused { message: refusal.message })
    }
}
