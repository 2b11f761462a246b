//! The id of a dead letter: the position of its record and, if it became an event, the broker. It can be copied from
//! a listing into a command.
//!
//! `file:e@1:42/acme` is the letter of the record at byte 42 of epoch 1 of `file:e` for the broker `acme`;
//! `file:e@1:42` that of a record that never became an event, `file:e@1:42.3/acme` that of the fourth of a record's events. A broker's name has neither `:` nor `/`, and the part
//! before it ends in `:` and digits, so every id is unambiguous whatever a source is called.

use std::{fmt, str::FromStr, sync::Arc};

use state::{DeadLetter, Position};

/// A dead letter's id, which also orders letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterId {
    /// The record's position.
    pub position: Position,
    /// The broker it was for; none if it never became an event.
    pub broker: Option<Arc<str>>,
}

/// A text that is not the id of a letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} names no dead letter; copy the first column of `loadline dead list`, such as file:e@1:42/acme"
)]
pub struct IdError {
    text: String,
}

impl From<&DeadLetter> for LetterId {
    fn from(letter: &DeadLetter) -> Self {
        Self { position: letter.position.clone(), broker: letter.broker.clone() }
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.broker {
            Some(broker) => write!(f, "{}/{broker}", self.position),
            None => self.position.fmt(f),
        }
    }
}

impl FromStr for LetterId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (place, broker) = match text.rsplit_once('/') {
            Some((place, name)) if is_broker(name) => (place, Some(Arc::from(name))),
            _ => (text, None),
        };
        let position = position(place).ok_or_else(|| IdError { text: text.to_owned() })?;
        Ok(Self { position, broker })
    }
}

fn is_broker(name: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    !name.is_empty() && name.bytes().all(allowed)
}

fn position(text: &str) -> Option<Position> {
    let (place, offset) = text.rsplit_once(':')?;
    let (source, epoch) = place.rsplit_once('@')?;
    // Leading zeros and signs would give a letter a second id.
    let number = |digits: &str| digits.parse::<u64>().ok().filter(|number| number.to_string() == digits);
    let (offset, index) = match offset.split_once('.') {
        Some((offset, index)) => (offset, Some(u32::try_from(number(index)?).ok()?)),
        None => (offset, None),
    };
    let record = Position::new(Arc::from(source), number(epoch)?, number(offset)?);
    (!source.is_empty()).then(|| index.map_or(record.clone(), |index| record.of_event(index)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_names_no_letter_is_refused() {
        for wrong in [
            "",
            "acme",
            "file:e",
            "file:e@1",
            "file:e@1:",
            "file:e@x:1",
            "@1:2",
            "file:e@1:42/Acme!",
            "e@1:-2",
            "e@1:2.",
            "e@1:2.03",
            "e@1:2.4294967296",
        ] {
            assert!(wrong.parse::<LetterId>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_letter_is_found_by_its_printed_name(
            source in "[a-z:@/.0-9 é]{1,20}", epoch: u64, offset: u64, index: Option<u32>, broker in proptest::option::of("[a-z0-9_-]{1,12}")
        ) {
            let position = Position { index, ..Position::new(source.into(), epoch, offset) };
            let id = LetterId { position, broker: broker.map(Arc::from) };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }
    }
}
