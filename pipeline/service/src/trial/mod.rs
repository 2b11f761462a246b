//! `loadline try`: one event to one broker, for an operator to look at. Opens no state directory and records nothing.

mod certificate;
mod curl;
mod prepared;
mod show;

use std::{fs::File, io::Read, path::Path, sync::Arc};

use bytes::Bytes;
use stages::{
    AttemptOf, Broker, Events, Split, Stage, Subscriptions, Trial,
    models::{Exit, Failure, Ordinal, RawRecord, ValidEvent, Verdict},
    trial_clients, try_once,
};
use state::{Clock, Position};

pub use self::{
    curl::curl,
    prepared::{Connection, Prepared},
    show::{answered, show_request, unanswered},
};
use crate::{
    assemble::{self, AssembleFault, IntakeStages},
    config::Config,
};

/// How much of an answer's body is shown.
const SHOWN_MAX: usize = 4 << 10;

/// Why nothing can be tried.
#[derive(Debug, thiserror::Error)]
pub enum TryFault {
    /// The config has no such broker.
    #[error("broker {name} is not in the config; it names {known}")]
    NoBroker {
        /// The name given.
        name: String,
        /// Some of those it has.
        known: String,
    },
    /// The file cannot be read.
    #[error("the event's file cannot be read: {0}")]
    File(std::io::Error),
    /// It is no event.
    #[error("the file holds no event that a run would deliver ({cause}): {detail}")]
    NoEvent {
        /// The cause that its dead letter would have.
        cause: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// The broker cannot be made.
    #[error(transparent)]
    Assemble(#[from] AssembleFault),
    /// There are no clients.
    #[error(transparent)]
    Clients(#[from] stages::HttpClientError),
    /// The event cannot be put into a request.
    #[error("{0}")]
    Unfit(String),
}

/// An event and the broker it is tried on.
#[derive(Debug)]
pub struct Attempted {
    broker: Arc<Broker>,
    event: ValidEvent,
    /// How many the file has.
    events: usize,
    connection: Connection,
    needs_token: bool,
    clock: Clock,
}

impl Attempted {
    /// The event in `file` and the broker `name` of `config`.
    ///
    /// # Errors
    /// There is no such broker, or no event in the file.
    pub async fn new(config: &Config, name: &str, file: &Path) -> Result<Self, TryFault> {
        let Some(found) = config.brokers.iter().find(|broker| broker.id == name) else {
            let known: Vec<_> = config.brokers.iter().take(20).map(|broker| broker.id.as_str()).collect();
            return Err(TryFault::NoBroker { name: name.to_owned(), known: known.join(", ") });
        };
        let clock = Clock::System;
        let (event, events) = event(config, &clock, file).await?;
        let broker = assemble::broker(config, found, 0, 1)?;
        let (connection, needs_token) = (Connection::of(config, found), found.special.oauth2.is_some());
        Ok(Self { broker, event, events, connection, needs_token, clock })
    }

    /// How many events the file has; the first is tried.
    #[must_use]
    pub fn events(&self) -> usize {
        self.events
    }

    /// Whether the broker's statuses, loads and filter let the event through.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        Subscriptions::new(vec![self.broker.clone()]).wanting(self.event.event()).count() > 0
    }

    /// The request, as it would be sent now; an access token is not fetched for it.
    ///
    /// # Errors
    /// The event cannot be put into a request.
    pub fn prepared(&self) -> Result<Prepared, TryFault> {
        let terms = self.broker.terms();
        let token = self.needs_token.then(|| {
            let mut token = http::HeaderValue::from_static("Bearer");
            token.set_sensitive(true);
            token
        });
        let request = self.attempt().request(&terms.endpoint, token);
        let request = request.map_err(|failure| TryFault::Unfit(failure.cause))?;
        Ok(Prepared::of(&request, self.connection.clone()))
    }

    /// Sends it.
    ///
    /// # Errors
    /// There are no clients; or there was no answer, which is the inner error.
    pub async fn send(&self, config: &Config) -> Result<Result<Trial, Failure>, TryFault> {
        let clients = trial_clients(&assemble::http_options(config)?)?;
        let (terms, read) = (self.broker.terms(), (SHOWN_MAX, config.delivery.response_max));
        Ok(try_once(&terms.endpoint, &clients, self.attempt(), read).await)
    }

    fn attempt(&self) -> AttemptOf<'_> {
        let event = self.event.event();
        AttemptOf {
            event,
            ordinal: Ordinal { attempt: 1, may_repeat: false },
            traceparent: event.traceparent,
            now: self.clock.now(),
        }
    }
}

/// The first event, read and judged as a run reads and judges it, and how many there are.
async fn event(config: &Config, clock: &Clock, file: &Path) -> Result<(ValidEvent, usize), TryFault> {
    let max = config.source.record_max;
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(max as u64 + 1).read_to_end(&mut bytes));
    read.map_err(TryFault::File)?;
    if bytes.len() > max {
        let detail = format!("it has more than {max} bytes, which is source.record_max");
        return Err(TryFault::NoEvent { cause: "too-large", detail });
    }
    let bytes = Bytes::copy_from_slice(bytes.trim_ascii());
    let raw = RawRecord {
        position: Position::new("try".into(), 0, 0),
        full_len: bytes.len() as u64,
        bytes,
        read_at: clock.monotonic(),
        unreadable: None,
        // As a source would have it from a header.
        id: Some("event-1".into()),
        traceparent: None,
    };
    let IntakeStages { decode, validate, .. } = IntakeStages::new(config, &[], clock.clone());
    let (raw, events) = match Split::by(&decode).events(raw) {
        Events::Several(events) => (events.first().cloned(), events.len()),
        Events::One(raw) => (Some(raw), 1),
        Events::Nothing(_) => (None, 0),
    };
    let Some(raw) = raw else {
        return Err(TryFault::NoEvent { cause: "none", detail: "its array is empty".to_owned() });
    };
    match decode.then(validate).run(raw).await {
        Ok(event) => Ok((event, events)),
        Err(Exit::Verdict(Verdict::Rejected(rejection))) => {
            Err(TryFault::NoEvent { cause: rejection.cause, detail: rejection.detail })
        }
        Err(other) => Err(TryFault::NoEvent { cause: "unknown", detail: format!("{other:?}") }),
    }
}
