//! Selects dead letters: all conditions must hold. Without conditions, every letter is selected.

use state::{DeadLetter, StageName, UnixMillis};
use url::form_urlencoded;

use super::LetterId;

/// The conditions of a selection; all that are set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The letter with this id.
    pub id: Option<LetterId>,
    /// It was for this broker.
    pub broker: Option<String>,
    /// It has this cause.
    pub cause: Option<String>,
    /// It failed at this stage.
    pub stage: Option<StageName>,
    /// The event's status, as far as it could be read, is this.
    pub status: Option<String>,
    /// The event's load is this.
    pub load: Option<String>,
    /// The event's id is this.
    pub event: Option<String>,
    /// It became a dead letter at this time or later.
    pub since: Option<UnixMillis>,
    /// It became a dead letter before this time.
    pub until: Option<UnixMillis>,
}

/// A query that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// A key is unknown: ignoring it would select too much.
    #[error("{key:?} is no condition on dead letters, or stands there twice")]
    Key {
        /// The key.
        key: String,
    },
    /// A value is not valid for its key.
    #[error("{key} cannot be {value:?}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
    },
}

/// The stage of this name.
#[must_use]
pub fn stage_of(name: &str) -> Option<StageName> {
    let all = [StageName::Decode, StageName::Validate, StageName::Dedupe, StageName::Deliver];
    all.into_iter().find(|stage| stage.as_str() == name)
}

impl Selection {
    /// Selects the letter with this id only.
    #[must_use]
    pub fn of(id: LetterId) -> Self {
        Self { id: Some(id), ..Self::default() }
    }

    /// Whether every letter is selected.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `letter` is selected.
    #[must_use]
    pub fn matches(&self, letter: &DeadLetter) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        self.id.as_ref().is_none_or(|id| *id == LetterId::from(letter))
            && is(&self.broker, letter.broker.as_deref())
            && is(&self.cause, Some(&letter.cause))
            && self.stage.is_none_or(|stage| stage == letter.stage)
            && is(&self.status, letter.status.as_deref())
            && is(&self.load, letter.load_id.as_deref())
            && is(&self.event, letter.event_id.as_deref())
            && self.since.is_none_or(|since| letter.at >= since)
            && self.until.is_none_or(|until| letter.at < until)
    }

    /// Adds the conditions to a query.
    pub fn write(&self, query: &mut form_urlencoded::Serializer<'_, String>) {
        let stage = self.stage.map(|stage| stage.as_str().to_owned());
        let texts = [
            ("id", &self.id.as_ref().map(ToString::to_string)),
            ("broker", &self.broker),
            ("cause", &self.cause),
            ("stage", &stage),
            ("status", &self.status),
            ("load", &self.load),
            ("event", &self.event),
            ("since", &self.since.map(|at| at.to_string())),
            ("until", &self.until.map(|at| at.to_string())),
        ];
        for (key, value) in texts {
            if let Some(value) = value {
                query.append_pair(key, value);
            }
        }
    }

    /// Takes one pair of a query; times are milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// The key is none of these or has been taken before, or the value is none of the key's.
    pub fn take(&mut self, key: &str, value: &str) -> Result<(), SelectError> {
        fn set<T>(slot: &mut Option<T>, value: Option<T>) -> Option<bool> {
            Some(slot.replace(value?).is_none())
        }
        let bad = |key, value: &str| SelectError::Value { key, value: value.to_owned() };
        let text = || Some(value.to_owned());
        let (name, taken) = match key {
            "id" => ("id", set(&mut self.id, value.parse().ok())),
            "broker" => ("broker", set(&mut self.broker, text())),
            "cause" => ("cause", set(&mut self.cause, text())),
            "stage" => ("stage", set(&mut self.stage, stage_of(value))),
            "status" => ("status", set(&mut self.status, text())),
            "load" => ("load", set(&mut self.load, text())),
            "event" => ("event", set(&mut self.event, text())),
            "since" => ("since", set(&mut self.since, value.parse().ok())),
            "until" => ("until", set(&mut self.until, value.parse().ok())),
            _ => return Err(SelectError::Key { key: key.to_owned() }),
        };
        match taken {
            Some(true) => Ok(()),
            Some(false) => Err(SelectError::Key { key: name.to_owned() }),
            None => Err(bad(name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead::testing::letter;

    fn read(query: &str) -> Result<Selection, SelectError> {
        let mut selection = Selection::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            selection.take(&key, &value)?;
        }
        Ok(selection)
    }

    fn full() -> Selection {
        let letter = letter(42, Some("acme"));
        Selection {
            id: Some((&letter).into()),
            broker: Some("acme".to_owned()),
            cause: Some(letter.cause.clone()),
            stage: Some(letter.stage),
            status: letter.status.clone(),
            load: letter.load_id.clone(),
            event: letter.event_id.clone(),
            since: Some(letter.at),
            until: Some(letter.at + 1),
        }
    }

    #[test]
    fn a_query_says_what_was_selected_whatever_letters_it_has() {
        let mut selection = full();
        selection.load = Some("L&7=ü /?#%".to_owned());
        let mut query = form_urlencoded::Serializer::new(String::new());
        selection.write(&mut query);
        assert_eq!(read(&query.finish()), Ok(selection));
        assert_eq!(read(""), Ok(Selection::default()));
    }

    #[test]
    fn a_condition_that_is_not_understood_is_never_left_out() {
        for wrong in [
            "brokre=acme",
            "broker=a&broker=b",
            "stage=none",
            "since=yesterday",
            "id=acme",
            "id=a@1:1&id=a@1:1",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_condition_must_hold() {
        let letter = letter(42, Some("acme"));
        assert!(full().matches(&letter) && Selection::default().matches(&letter));
        let other = || Some("other".to_owned());
        let wrong = [
            Selection { id: "test@0:41/acme".parse().ok(), ..full() },
            Selection { broker: other(), ..full() },
            Selection { cause: other(), ..full() },
            Selection { stage: Some(StageName::Decode), ..full() },
            Selection { status: other(), ..full() },
            Selection { load: other(), ..full() },
            Selection { event: other(), ..full() },
            Selection { since: Some(letter.at + 1), ..full() },
            Selection { until: Some(letter.at), ..full() },
        ];
        for wrong in wrong {
            assert!(!wrong.matches(&letter), "{wrong:?}");
            assert!(!wrong.is_everything());
        }
    }
}
