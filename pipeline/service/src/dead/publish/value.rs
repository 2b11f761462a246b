//! A letter as a record of the topic: its key and its value. The value is the line of an export; one that is too long
//! is published without its body, and says so.

use bytes::Bytes;
use state::DeadLetter;

use crate::dead::{DeadLetterJson, is_cut};

/// The longest load id that is a key, in bytes: what `rules.id_max` allows at most. A longer one is what was wrong.
const KEY_MAX: usize = 1 << 10;
/// To how many characters a text is cut if the line is too long even without the body.
const TEXT_MAX: usize = 256;

/// A record to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    /// The load: all letters of one go to one partition.
    pub(super) key: Option<String>,
    /// The line, without a line end.
    pub(super) line: Bytes,
}

impl Value {
    /// The record of `letter`, at most `max` bytes long.
    ///
    /// `max` is at least 16 KiB: so much is always enough without the body and with cut texts.
    pub(super) fn new(mut letter: DeadLetter, max: usize) -> Self {
        let key = letter.load_id.clone().filter(|load| load.len() <= KEY_MAX);
        // In JSON nothing is shorter: one that is too long by itself is not even written down.
        let (is_long, cut) = (letter.body.len() > max, is_cut(&letter));
        if is_long {
            letter.body = Vec::new();
        }
        let mut json = DeadLetterJson { cut, ..DeadLetterJson::from(letter) };
        json.omit_body_if(is_long);
        let mut line = line(&json);
        if line.len() > max && !is_long {
            json.omit_body_if(true);
            line = self::line(&json);
        }
        if line.len() > max {
            cut_texts(&mut json);
            line = self::line(&json);
        }
        Self { key, line }
    }
}

fn line(json: &DeadLetterJson) -> Bytes {
    // Texts, numbers and lists of them cannot fail to be written.
    serde_json::to_vec(json).unwrap_or_default().into()
}

/// Cuts every text that comes from outside and has no bound of its own, and keeps the last attempt only.
fn cut_texts(json: &mut DeadLetterJson) {
    let keep = json.last_attempts.len().saturating_sub(1);
    json.last_attempts.drain(..keep);
    let attempts = json.last_attempts.iter_mut();
    let causes = attempts.flat_map(|attempt| [Some(&mut attempt.cause), attempt.answer.as_mut()]).flatten();
    let ids = [&mut json.event_id, &mut json.load_id, &mut json.status];
    for text in causes.chain([&mut json.detail]).chain(ids.into_iter().flatten()) {
        if let Some((at, _)) = text.char_indices().nth(TEXT_MAX) {
            text.truncate(at);
            text.push('…');
        }
    }
}

#[cfg(test)]
mod tests {
    use state::{FailedAttempt, HISTORY_MAX};

    use super::*;
    use crate::dead::testing::letter;

    const MAX: usize = 16 << 10;

    fn read(value: &Value) -> DeadLetterJson {
        serde_json::from_slice(&value.line).unwrap()
    }

    #[test]
    fn a_value_is_the_line_of_an_export_under_its_load() {
        let letter = letter(7, Some("acme"));
        let value = Value::new(letter.clone(), MAX);
        assert_eq!(value.key.as_deref(), Some("L-1"));
        assert_eq!(value.line, serde_json::to_vec(&DeadLetterJson::from(letter.clone())).unwrap());
        assert!(!String::from_utf8(value.line.to_vec()).unwrap().contains("Omitted"));
        let nobody = Value::new(DeadLetter { load_id: None, ..letter }, MAX);
        assert_eq!(nobody.key, None);
    }

    #[test]
    fn one_that_is_too_long_goes_without_its_body_and_says_so() {
        // Longer as it is; longer as JSON; longer as base64.
        for body in [vec![b'x'; MAX + 1], vec![0x1b; MAX / 4], vec![0xff; MAX - 300]] {
            let len = body.len() as u64;
            let value = Value::new(DeadLetter { body, body_len: len, ..letter(7, None) }, MAX);
            let json = read(&value);
            assert!(json.body_omitted && json.body.is_none() && json.body_base64.is_none());
            assert_eq!((json.bytes, json.cut, json.id.as_str()), (len, false, "test@0:7"));
            assert!(value.line.len() < 1_000 && value.key.is_some());
        }
        let fits = DeadLetter { body: vec![b'x'; MAX - 1_000], body_len: MAX as u64, ..letter(7, None) };
        let json = read(&Value::new(fits, MAX));
        assert!(!json.body_omitted && json.cut && json.body.is_some());
    }

    #[test]
    fn whatever_a_letter_says_its_value_is_not_longer_than_the_bound() {
        let long = || "\u{1}".repeat(1 << 20);
        let mut worst = DeadLetter {
            detail: long(),
            event_id: Some(long()),
            load_id: Some(long()),
            status: Some(long()),
            body: vec![0; 1 << 20],
            body_len: 1 << 21,
            ..letter(7, Some(&"b".repeat(64)))
        };
        for at in 0..HISTORY_MAX as u64 {
            let failed = FailedAttempt {
                at,
                status: None,
                cause: long(),
                may_have_arrived: false,
                answer: Some(long()),
            };
            worst.history.push(failed, true);
        }
        let value = Value::new(worst, MAX);
        assert!(value.line.len() <= MAX, "{}", value.line.len());
        let json = read(&value);
        assert_eq!((value.key, json.attempts, json.last_attempts.len()), (None, 17, 1));
        assert!(json.detail.ends_with('…') && json.cut);
    }
}
