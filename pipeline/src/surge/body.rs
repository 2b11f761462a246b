//! The record of a simulated event: its content enters, the bytes a producer would write leave. They look like a
//! producer's: more fields than Loadline reads, and texts and numbers that would not survive being parsed and written
//! again, so that bytes that were not passed on as they are show.

use std::fmt::Write as _;

use rand::{Rng, RngExt};

/// What an event says.
pub(super) struct Content<'c> {
    pub(super) event_id: &'c str,
    pub(super) load_id: &'c str,
    pub(super) status: &'static str,
    pub(super) sequence: u64,
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

/// The bytes of `content`; the dice choose what a producer's code would.
pub(super) fn write_body(content: &Content<'_>, dice: &mut impl Rng) -> String {
    let Content { event_id, load_id, status, sequence, number, size } = *content;
    let mut body = String::with_capacity(size + 128);
    let (hour, minute, second) = (number / 3_600 % 24, number / 60 % 60, number % 60);
    let _infallible = write!(
        body,
        r#"{{"eventId":"{event_id}","loadId":"{load_id}", "status":"{status}","occurredAt":"2026-01-05T{hour:02}:{minute:02}:{second:02}.500Z","sequence":{sequence},"rate":{{"currency":"USD","total":{}.50}},"notes":["#,
        dice.random_range(400..9_000)
    );
    // The checksum and what closes the record take 36 bytes.
    let mut first = true;
    while first || body.len() + 64 < size {
        let comma = if first { "" } else { "," };
        let note = NOTES[dice.random_range(0..NOTES.len())];
        let _infallible = write!(body, r#"{comma}"{note} {:04x}""#, dice.random::<u16>());
        first = false;
    }
    let _infallible = write!(body, r#"],"checksum":"{:016x}"}}"#, dice.random::<u64>());
    body
}
