//! The check at the door, for producers that want to hear at once what can never be an event: the records of a post
//! enter; the first that is none leaves, with how many there are. Records are read and judged by the schema and the rules
//! in force, as the line does it again later.

use std::sync::Arc;

use bytes::Bytes;
use stages::{
    Decode, Stage, Validate,
    models::{Exit, RawRecord, Step, Verdict},
};
use state::{Clock, EmbeddedLog, Position};

/// After so many records other connections have their turn.
const TURN: usize = 64;

/// Judges records before they are accepted.
#[derive(Clone, Debug)]
pub struct Door {
    decode: Decode,
    validate: Validate,
    clock: Clock,
}

/// A post with records that are no events.
#[derive(Debug, thiserror::Error)]
#[error(
    "record {number} of the body is no valid event: {why}; {unfit} of {records} are not, and nothing of the body was accepted"
)]
pub(super) struct Unfit {
    /// The first of them, counted from 1.
    number: usize,
    why: String,
    unfit: usize,
    records: usize,
}

impl Door {
    /// Judges by the same schema and rules as these stages, whatever they are given later.
    #[must_use]
    pub fn new(decode: Decode, validate: Validate, clock: Clock) -> Self {
        Self { decode, validate, clock }
    }

    /// Lets a post in if each of its records can be an event.
    pub(super) async fn admit(&self, records: &[Bytes]) -> Result<(), Unfit> {
        let mut first = None;
        let mut unfit = 0;
        for (at, record) in records.iter().enumerate() {
            if at % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            if let Err(Exit::Verdict(Verdict::Rejected(rejection))) = self.judge(record).await {
                unfit += 1;
                first.get_or_insert((at + 1, rejection.detail));
            }
        }
        match first {
            None => Ok(()),
            Some((number, why)) => Err(Unfit { number, why, unfit, records: records.len() }),
        }
    }

    async fn judge(&self, record: &Bytes) -> Step<()> {
        let raw = RawRecord {
            position: Position::new(Arc::from(EmbeddedLog::SOURCE), 0, 0),
            bytes: record.clone(),
            full_len: record.len() as u64,
            read_at: self.clock.lived(),
            unreadable: None,
        };
        let event = self.decode.run(raw).await?;
        self.validate.run(event).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use stages::{Rules, Schema};

    use super::*;

    #[tokio::test]
    async fn a_post_is_let_in_if_each_record_can_be_an_event_and_else_the_first_that_cannot_is_told() {
        let door = Door::new(
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
        assert!(door.admit(&good).await.is_ok());
        let broken = Bytes::from_static(b"{\"eventId\":\"e\"");
        let mixed = [vec![event("posted"), event("lost"), broken], good].concat();
        let why = door.admit(&mixed).await.unwrap_err().to_string();
        assert!(why.starts_with("record 2 of the body is no valid event: status \"lost\""), "{why}");
        assert!(why.ends_with("2 of 203 are not, and nothing of the body was accepted"), "{why}");
    }
}
