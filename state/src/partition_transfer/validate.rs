//! Validates the parts of an import file: names whatever no export would have written. Pure: depends on the part, the
//! header and the time only. A part that passes can stop neither an import nor a later run.

use std::str;

use super::file::{Header, KeptEntry};
use crate::{
    answer::ANSWER_MAX, attempt::HISTORY_MAX, checkpoint::MARK_MAX, clock::UnixMillis, event::BodyDigest,
    outcome::LedgerEntry, spilled::SpilledDelivery, text::Word,
};

/// The highest move number: one a second for a hundred years, and far from an overflow.
pub(super) const GENERATION_MAX: u64 = u32::MAX as u64;
/// The highest offset of a log, whose offsets are signed.
const OFFSET_MAX: u64 = i64::MAX as u64;
/// How far clocks may differ and a wait may reach, in milliseconds: a year, the longest duration a config allows.
const AHEAD_MAX: u64 = 366 * 24 * 3_600_000;
/// The last moment of the year 9999.
const TIME_MAX: UnixMillis = 253_402_300_799_999;
/// The longest id, in bytes: the largest value of `rules.id_max`.
const ID_MAX: usize = 1_024;
/// The longest status, in bytes.
const STATUS_MAX: usize = 64;
/// The longest name of a broker, in bytes.
const BROKER_MAX: usize = 64;
/// The longest body, in bytes: the largest value of `source.record_max`.
const BODY_MAX: usize = 16 << 20;
/// The longest cause of a failed attempt, in bytes.
const CAUSE_MAX: usize = 200;

/// An error says what is wrong with a part.
type Validity = Result<(), String>;

/// Validates the header of a file that is read at `now`.
pub(super) fn header(header: &Header, now: UnixMillis) -> Validity {
    let Header { source: _, generation, exported_at, checkpoint, horizon } = header;
    within("the number of the move", *generation, 1, GENERATION_MAX)?;
    within("the time of the export", *exported_at, 0, now.saturating_add(AHEAD_MAX))?;
    within("the checkpoint's epoch", checkpoint.epoch, 0, OFFSET_MAX)?;
    within("the checkpoint's offset", checkpoint.offset, 0, OFFSET_MAX)?;
    within("the length of the checkpoint's mark", checkpoint.mark.len() as u64, 0, MARK_MAX as u64)?;
    let Some(horizon) = horizon else { return Ok(()) };
    within("the horizon's epoch", horizon.epoch, 0, OFFSET_MAX)?;
    within("the horizon's offset", horizon.offset, 0, OFFSET_MAX)
}

/// Validates a delivery of the file with this header, and its ledger entry.
pub(super) fn delivery(delivery: &SpilledDelivery, entry: Option<&LedgerEntry>, header: &Header) -> Validity {
    let SpilledDelivery { broker, seq: _, event, history, not_before, may_repeat: _, row: _ } = delivery;
    if event.position.source != header.source {
        return Err(format!("a delivery is of {}", Word(&event.position.source)));
    }
    broker_name(broker)?;
    text("an event id", &event.event_id, ID_MAX)?;
    text("a load id", &event.load_id, ID_MAX)?;
    text("a status", &event.status, STATUS_MAX)?;
    within("a delivery's epoch", event.position.epoch, 0, OFFSET_MAX)?;
    within("a delivery's offset", event.position.offset, 0, OFFSET_MAX)?;
    within("the length of a body", event.body.len() as u64, 0, BODY_MAX as u64)?;
    if event.digest != BodyDigest::of(&event.body) {
        return Err(format!("the body of event {} is not the one of its digest", Word(&event.event_id)));
    }
    let latest = header.exported_at.saturating_add(AHEAD_MAX);
    within("the time of an event", event.occurred_at, 0, TIME_MAX)?;
    within("the time at which an event was read", event.read_at, 0, latest)?;
    within("the time before which a delivery is not tried", *not_before, 0, latest)?;
    within("the number of attempts kept", history.last.len() as u64, 0, HISTORY_MAX as u64)?;
    within("the number of attempts that count", history.counted.into(), 0, history.attempts.into())?;
    entry.map_or(Ok(()), |entry| time_of(entry, header))?;
    for attempt in &history.last {
        within("the time of an attempt", attempt.at, 0, latest)?;
        text("the cause of an attempt", &attempt.cause, CAUSE_MAX)?;
        if let Some(answer) = attempt.answer.as_deref().filter(|answer| !answer.is_empty()) {
            text("the answer to an attempt", answer, ANSWER_MAX)?;
        }
    }
    Ok(())
}

/// Validates a ledger entry of the file with this header.
pub(super) fn entry(kept: &KeptEntry, header: &Header) -> Validity {
    let split = kept.key.iter().rposition(|byte| *byte == 0);
    let parts = split.map(|at| (str::from_utf8(&kept.key[..at]), str::from_utf8(&kept.key[at + 1..])));
    let Some((Ok(event_id), Ok(broker))) = parts else {
        return Err("the key of a ledger entry is no event's at a broker".to_owned());
    };
    broker_name(broker)?;
    text("an event id", event_id, ID_MAX)?;
    time_of(&kept.entry, header)
}

/// An entry of the far future would be kept until then.
fn time_of(entry: &LedgerEntry, header: &Header) -> Validity {
    within("the time of a ledger entry", entry.at, 0, header.exported_at.saturating_add(AHEAD_MAX))
}

fn broker_name(name: &str) -> Validity {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    match (1..=BROKER_MAX).contains(&name.len()) && name.bytes().all(is_name) {
        true => Ok(()),
        false => Err(format!("{} is no name of a broker", excerpt(name))),
    }
}

fn text(what: &str, text: &str, max: usize) -> Validity {
    match (1..=max).contains(&text.len()) && !text.contains(char::is_control) {
        true => Ok(()),
        false => Err(format!(
            "{what} is not a text of 1 to {max} bytes without control characters: {}",
            excerpt(text)
        )),
    }
}

fn within(what: &str, value: u64, least: u64, most: u64) -> Validity {
    match (least..=most).contains(&value) {
        true => Ok(()),
        false => Err(format!("{what} is {value}, and can only be {least} to {most}")),
    }
}

/// The beginning of a text, safe to print.
fn excerpt(text: &str) -> String {
    let cut = text.floor_char_boundary(60);
    let more = if cut < text.len() { "…" } else { "" };
    format!("{}{more}", Word(&text[..cut]))
}
