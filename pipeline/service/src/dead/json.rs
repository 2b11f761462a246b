//! A dead letter in JSON. It is complete, so that an export loses nothing.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use state::{DeadLetter, FailedAttempt, Newer, StateFault, Store, UnixMillis, timestamp};

use super::LetterId;

/// A letter in JSON; bytes that are not UTF-8 are under `bodyBase64` instead of `body`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterJson {
    /// Its id, as `dead show` takes it.
    pub id: String,
    /// The record's position, as text.
    pub position: String,
    /// The source.
    pub source: String,
    /// The source's incarnation.
    pub epoch: u64,
    /// The place in it.
    pub offset: u64,
    /// Which of the record's events, from 0; none if the record is one event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// The broker; none if the record never became an event.
    pub broker: Option<String>,
    /// The stage that failed.
    pub stage: String,
    /// The kind of reason.
    pub cause: String,
    /// The reason in words.
    pub detail: String,
    /// When it became a dead letter.
    #[serde(with = "timestamp")]
    pub at: UnixMillis,
    /// Attempts that failed.
    pub attempts: u32,
    /// Those that counted toward `retry.attempts_max`.
    pub counted_attempts: u32,
    /// Whether any of them may have reached the receiver.
    pub may_have_arrived: bool,
    /// The last of them, oldest first.
    pub last_attempts: Vec<AttemptJson>,
    /// The event's id, as far as it could be read.
    pub event_id: Option<String>,
    /// The load.
    pub load_id: Option<String>,
    /// The status.
    pub status: Option<String>,
    /// The row of the database's subscriptions that made the delivery; none if the config made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_row: Option<i64>,
    /// The later event of its load that was delivered since, if one was: sent again, this one would come behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_by: Option<PassedByJson>,
    /// The record's full length.
    pub bytes: u64,
    /// Whether only its beginning was kept.
    pub cut: bool,
    /// The record, if it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The record in base64, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// Whether the record is left out although it was kept: on a topic, where a long one does not fit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub body_omitted: bool,
}

/// A later event of a letter's load, which its broker took after the letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PassedByJson {
    /// Its id.
    pub event_id: String,
    /// Its position, as text.
    pub position: String,
    /// When it was delivered.
    #[serde(with = "timestamp")]
    pub at: UnixMillis,
}

impl From<Newer> for PassedByJson {
    fn from(newer: Newer) -> Self {
        let Newer { event_id, position, at } = newer;
        Self { event_id, position: position.to_string(), at }
    }
}

/// A failed attempt in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptJson {
    /// When it ended.
    #[serde(with = "timestamp")]
    pub at: UnixMillis,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What went wrong.
    pub cause: String,
    /// Whether the receiver may have taken the event all the same.
    pub may_have_arrived: bool,
    /// The beginning of the answer's body, if the answer refused the event; empty if there was none or it is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

impl From<DeadLetter> for DeadLetterJson {
    fn from(letter: DeadLetter) -> Self {
        let id = LetterId::from(&letter).to_string();
        let cut = is_cut(&letter);
        let DeadLetter {
            position,
            broker,
            stage,
            cause,
            detail,
            at,
            history,
            event_id,
            load_id,
            status,
            body,
            body_len,
            row,
        } = letter;
        let (body, body_base64) = match String::from_utf8(body) {
            Ok(text) => (Some(text), None),
            Err(bytes) => (None, Some(STANDARD.encode(bytes.as_bytes()))),
        };
        Self {
            id,
            position: position.to_string(),
            source: position.source.to_string(),
            epoch: position.epoch,
            offset: position.offset,
            index: position.index,
            broker: broker.map(|name| name.to_string()),
            stage: stage.as_str().to_owned(),
            cause,
            detail,
            at,
            attempts: history.attempts,
            counted_attempts: history.counted,
            may_have_arrived: history.may_have_arrived,
            last_attempts: history.last.into_iter().map(AttemptJson::from).collect(),
            event_id,
            load_id,
            status,
            subscription_row: row,
            passed_by: None,
            bytes: body_len,
            cut,
            body,
            body_base64,
            body_omitted: false,
        }
    }
}

impl DeadLetterJson {
    /// `letter` with what `store` knows of its load.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn of(letter: DeadLetter, store: &Store) -> Result<Self, StateFault> {
        let passed_by = store.overtaken().of(&letter)?.map(PassedByJson::from);
        Ok(Self { passed_by, ..Self::from(letter) })
    }

    /// Omits the record, and says so.
    pub(super) fn omit_body_if(&mut self, omit: bool) {
        if omit {
            (self.body, self.body_base64, self.body_omitted) = (None, None, true);
        }
    }
}

impl From<FailedAttempt> for AttemptJson {
    fn from(FailedAttempt { at, status, cause, may_have_arrived, answer }: FailedAttempt) -> Self {
        Self { at, status, cause, may_have_arrived, answer }
    }
}

/// Whether only the beginning of the letter's record was kept: the source's limit was shorter.
#[must_use]
pub fn is_cut(letter: &DeadLetter) -> bool {
    letter.body_len > letter.body.len() as u64
}

#[cfg(test)]
mod tests {
    use state::{History, Position};

    use super::*;
    use crate::dead::{select::stage_of, testing::letter};

    /// The letter that was json; what an export is good for.
    fn back(json: DeadLetterJson) -> DeadLetter {
        let last = json.last_attempts.into_iter().map(|attempt| FailedAttempt {
            at: attempt.at,
            status: attempt.status,
            cause: attempt.cause,
            may_have_arrived: attempt.may_have_arrived,
            answer: attempt.answer,
        });
        DeadLetter {
            position: Position {
                index: json.index,
                ..Position::new(json.source.into(), json.epoch, json.offset)
            },
            broker: json.broker.map(Into::into),
            stage: stage_of(&json.stage).unwrap(),
            cause: json.cause,
            detail: json.detail,
            at: json.at,
            history: History {
                attempts: json.attempts,
                counted: json.counted_attempts,
                may_have_arrived: json.may_have_arrived,
                last: last.collect(),
            },
            event_id: json.event_id,
            load_id: json.load_id,
            status: json.status,
            body: match (json.body, json.body_base64) {
                (Some(text), None) => text.into_bytes(),
                (None, Some(text)) => STANDARD.decode(text).unwrap(),
                both => panic!("{both:?}"),
            },
            body_len: json.bytes,
            row: json.subscription_row,
        }
    }

    #[test]
    fn nothing_of_a_letter_is_lost_in_json() {
        let text = letter(1, Some("acme"));
        let bytes = DeadLetter { body: vec![b'{', 0xff, 0], body_len: 99, event_id: None, ..letter(2, None) };
        let controls =
            DeadLetter { body: b"\x1b[2J\n\"\\\0".to_vec(), cause: "\u{1b}".to_owned(), ..letter(3, None) };
        let nth = DeadLetter { position: text.position.of_event(5), ..text.clone() };
        let of_row = DeadLetter { row: Some(4_711), ..text.clone() };
        for letter in [text, nth, bytes, controls, of_row] {
            let json = serde_json::to_string(&DeadLetterJson::from(letter.clone())).unwrap();
            assert!(!json.contains(char::is_control), "{json}");
            assert_eq!(back(serde_json::from_str(&json).unwrap()), letter);
        }
    }

    #[test]
    fn the_names_in_json_are_those_of_the_listing() {
        let letter = DeadLetter { body: vec![b'{', 0xff], body_len: 3, ..letter(42, Some("acme")) };
        let json = serde_json::to_value(DeadLetterJson::from(letter)).unwrap();
        assert_eq!(json["id"], "test@0:42/acme");
        assert_eq!((&json["bodyBase64"], &json["cut"]), (&"e/8=".into(), &true.into()));
        assert_eq!(
            (&json["at"], &json["body"]),
            (&"1970-01-02T00:00:00.042Z".into(), &serde_json::Value::Null)
        );
        assert_eq!(json["lastAttempts"][0]["status"], 403);
    }
}
