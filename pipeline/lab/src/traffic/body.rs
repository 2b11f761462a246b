//! The record of an event, as a producer would write it: with more fields than Loadline reads, and with texts and numbers
//! that would not survive being parsed and written again. So bytes that were not passed on as they are show.

use std::fmt::Write as _;

use rand::{Rng, RngExt};

/// What an event says.
pub(super) struct Content<'c> {
    pub(super) event_id: &'c str,
    pub(super) load_id: &'c str,
    pub(super) status: &'static str,
    pub(super) sequence: u64,
    /// Further fields, each with a comma before it.
    pub(super) more: &'c str,
    /// Its place among all events, from which its time is made.
    pub(super) number: u64,
    /// How long it should be, in bytes; it is a little longer if its fields alone are.
    pub(super) size: usize,
}

/// What drivers and clerks write.
const NOTES: [&str; 6] = [
    r"d\u00e9p\u00f4t \/ quai 4",
    "Montréal → Laredo",
    "driver called, 20 min late",
    "2 pallets short, see BOL",
    "gate code 4471#",
    "liftgate needed",
];

/// The bytes of `content`; `rng` chooses the rest.
pub(super) fn write_body(content: &Content<'_>, rng: &mut impl Rng) -> String {
    let Content { event_id, load_id, status, sequence, more, number, size } = *content;
    let mut body = String::with_capacity(size + 128);
    let (hour, minute, second) = (number / 3_600 % 24, number / 60 % 60, number % 60);
    let _infallible = write!(
        body,
        r#"{{"eventId":"{event_id}","loadId":"{load_id}", "status":"{status}","occurredAt":"2026-01-05T{hour:02}:{minute:02}:{second:02}.500Z","sequence":{sequence},"rate":{{"currency":"USD","total":{}.50}}{more},"notes":["#,
        rng.random_range(400..9_000)
    );
    // The checksum and what closes the record take 36 bytes.
    let mut first = true;
    while first || body.len() + 64 < size {
        let comma = if first { "" } else { "," };
        let note = NOTES[rng.random_range(0..NOTES.len())];
        let _infallible = write!(body, r#"{comma}"{note} {:04x}""#, rng.random::<u16>());
        first = false;
    }
    let _infallible = write!(body, r#"],"checksum":"{:016x}"}}"#, rng.random::<u64>());
    body
}
