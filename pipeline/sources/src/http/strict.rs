//! The strict check, for producers that want to be told at once which records can never be events: validates the
//! records of a post by the schema and the rules in force, as the line does again later.

use std::sync::Arc;

use bytes::Bytes;
use stages::{
    Decode, Events, Split, Stage, Validate,
    models::{Exit, RawRecord, Step, Verdict},
};
use state::{Clock, EmbeddedLog, Position};

/// After so many records the task yields to other connections.
const YIELD_EVERY: usize = 64;

/// Validates records before they are accepted.
#[derive(Clone, Debug)]
pub struct StrictCheck {
    decode: Decode,
    validate: Validate,
    clock: Clock,
}

/// A post with invalid records.
#[derive(Debug, thiserror::Error)]
#[error(
    "record {number} of the body is no valid event: {why}; {invalid} of {records} are not, and nothing of the body was accepted"
)]
pub(super) struct InvalidRecords {
    /// The first invalid one, counted from 1.
    number: usize,
    why: String,
    invalid: usize,
    records: usize,
}

impl StrictCheck {
    /// Uses the schema and rules of these stages, also after they are replaced.
    #[must_use]
    pub fn new(decode: Decode, validate: Validate, clock: Clock) -> Self {
        Self { decode, validate, clock }
    }

    /// Accepts a post if each of its records is valid.
    pub(super) async fn check(&self, records: &[Bytes]) -> Result<(), InvalidRecords> {
        let mut first = None;
        let mut invalid = 0;
        for (at, record) in records.iter().enumerate() {
            if at % YIELD_EVERY == YIELD_EVERY - 1 {
                tokio::task::yield_now().await;
            }
            if let Err(Exit::Verdict(Verdict::Rejected(rejection))) = self.judge(record).await {
                invalid += 1;
                first.get_or_insert((at + 1, rejection.detail));
            }
        }
        match first {
            None => Ok(()),
            Some((number, why)) => Err(InvalidRecords { number, why, invalid, records: records.len() }),
        }
    }

    /// Whether each event of a record is valid.
    async fn judge(&self, record: &Bytes) -> Step<()> {
        let raw = RawRecord::whole(
            Position::new(Arc::from(EmbeddedLog::SOURCE), 0, 0),
            record.clone(),
            self.clock.monotonic(),
        );
        let events = match Split::by(&self.decode).events(raw) {
            Events::Nothing(_) => return Ok(()),
            Events::One(raw) => vec![raw],
            Events::Several(events) => events,
        };
        for (at, raw) in events.into_iter().enumerate() {
            if at % YIELD_EVERY == YIELD_EVERY - 1 {
                tokio::task::yield_now().await;
            }
            let event = self.decode.run(raw).await?;
            self.validate.run(event).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stages::{Rules, Schema};

    use super::*;

    #[tokio::test]
    async fn a_post_is_let_in_if_each_record_can_be_an_event_and_else_the_first_that_cannot_is_told() {
        let strict = StrictCheck::new(
            Decode::new(Schema::flat()),
            Validate::new(Rules::default(), Clock::System),
            Clock::System,
        );
        let event = |status: &str| {
            let text = format!(
                r#"{{"eventId":"e","loadId":"L","status":"{status}","occurredAt":"2026-01-05T12:00:00Z"}}"#
            );
            Bytes::from(text)
        };
        let good = vec![event("posted"); 200];
        assert!(strict.check(&good).await.is_ok());
        let broken = Bytes::from_static(b"{\"eventId\":\"e\"");
        let mixed = [vec![event("posted"), event("lost"), broken], good].concat();
        let why = strict.check(&mixed).await.unwrap_err().to_string();
        assert!(why.starts_with("record 2 of the body is no valid event: status \"lost\""), "{why}");
        assert!(why.ends_with("2 of 203 are not, and nothing of the body was accepted"), "{why}");
    }
}
