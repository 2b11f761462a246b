//! A corpus of realistic shipment events of 300 to 2,000 bytes, each made from its number alone and always the same.
//!
//! Most events have 350 to 700 bytes; one in eight names its stops, and a few of those are long. Loads are interleaved
//! and each goes through its statuses in order.

use std::fmt::Write;

use serde::Serialize;

/// How many events a load has before the next load takes its place.
pub const EVENTS_PER_LOAD: u64 = 5;

/// The statuses a load goes through, one with each event.
pub const STATUSES: [&str; EVENTS_PER_LOAD as usize] =
    ["posted", "matched", "accepted", "in-transit", "delivered"];

/// How many loads are under way at once: events of one load are that far apart.
const LOADS_AT_ONCE: u64 = 500;

/// The first event's moment, in milliseconds since the Unix epoch: 2026-11-20T00:00:00Z.
const EPOCH: u64 = 1_795_132_800_000;

const CARRIERS: [&str; 4] =
    ["Blue Mesa Haulage", "Oakline Freight", "R&J Trucking", "Tri-River Transport LLC"];
const EQUIPMENT: [&str; 4] = ["53FT DRY VAN", "REEFER", "48FT FLATBED", "STEP DECK"];
const PLACES: [(&str, &str, &str); 6] = [
    ("Chicago", "IL", "60608"),
    ("Dallas", "TX", "75212"),
    ("Salt Lake City", "UT", "84104"),
    ("Memphis", "TN", "38118"),
    ("Ely", "NV", "89301"),
    ("Saint Paul", "MN", "55108"),
];
const NOTES: [&str; 4] = [
    "",
    "appointment confirmed with the dock",
    "driver waits at gate 4; lumper fee to be approved by the broker before unloading",
    "left message with receiver, they close at 16:00 local and take no drop trailers over the weekend; call ahead",
];

/// How event ids are made. The ledger is ordered by them, so what it costs depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Ids {
    /// 32 hexadecimal digits that look random, as producers' ids often are: each lands anywhere in the ledger.
    Random,
    /// UUIDs of version 7 (RFC 9562, section 5.7), four to the millisecond: each lands behind the one before it.
    TimeOrdered,
}

impl Ids {
    /// The id of event `number`.
    #[must_use]
    pub fn id(self, number: u64) -> String {
        let (high, low) = (spread(number), spread(number ^ 0x5bd1_e995));
        match self {
            Self::Random => format!("{high:016x}{low:016x}"),
            Self::TimeOrdered => {
                let millis = EPOCH + number / 4;
                // The count within the millisecond comes first among the random bits, so that ids never go back.
                let within = (number % 4) << 10 | high & 0x3ff;
                format!(
                    "{:08x}-{:04x}-7{within:03x}-{:04x}-{:012x}",
                    millis >> 16,
                    millis & 0xffff,
                    0x8000 | low >> 48 & 0x3fff,
                    low & 0xffff_ffff_ffff,
                )
            }
        }
    }
}

/// Event `number`, with an id that looks random. Neighbours belong to different loads.
#[must_use]
pub fn event(number: u64) -> String {
    event_with(number, Ids::Random)
}

/// Event `number`, with an id of this make.
#[must_use]
pub fn event_with(number: u64, ids: Ids) -> String {
    let (load, step) = (load(number), number % EVENTS_PER_LOAD);
    let status = STATUSES[usize::try_from(step).unwrap_or_default() % STATUSES.len()];
    let id = ids.id(number);
    let (hour, minute, second) = (number / 3600 % 24, number / 60 % 60, number % 60);
    // What a load is about does not change from one of its events to the next.
    let of_load = spread(load ^ 0x00c0_ffee);
    let carrier = match step {
        // A load that is only posted has none.
        0 => String::new(),
        _ => {
            let (name, mc) = (pick(&CARRIERS, of_load), of_load % 1_000_000);
            format!(r#","carrier":{{"name":"{name}","mc":"{mc:06}"}}"#)
        }
    };
    let equipment = pick(&EQUIPMENT, of_load >> 8);
    let weight = 20_000 + (of_load >> 16) % 24_000;
    let mut event = format!(
        r#"{{"eventId":"{id}","loadId":"{}","status":"{status}","occurredAt":"2026-11-20T{hour:02}:{minute:02}:{second:02}Z","sequence":{step}{carrier},"equipment":"{equipment}","weightLb":{weight},"origin":{},"destination":{}"#,
        load_id(load),
        place(of_load >> 24),
        place(of_load >> 32),
    );
    tail(&mut event, spread(number ^ 0x7a11));
    event
}

/// Which load event `number` is of.
#[must_use]
pub fn load(number: u64) -> u64 {
    // Load `n` ends at event 5n + 4; its steps are `LOADS_AT_ONCE` turns apart, so neighbours are at different steps.
    let (turn, step) = (number / EVENTS_PER_LOAD, number % EVENTS_PER_LOAD);
    turn + (EVENTS_PER_LOAD - 1 - step) * LOADS_AT_ONCE
}

/// The load id of load `load`.
#[must_use]
pub fn load_id(load: u64) -> String {
    format!("LD-{load:08}")
}

/// What varies most from event to event: references, a note, and sometimes the stops.
fn tail(event: &mut String, seed: u64) {
    let long = seed.is_multiple_of(64);
    let references = if long { 12 } else { 1 + seed / 64 % 3 };
    event.push_str(r#","references":["#);
    for reference in 0..references {
        let (comma, kind) =
            (if reference == 0 { "" } else { "," }, ["PO", "BOL", "PRO"][reference as usize % 3]);
        append(event, format_args!(r#"{comma}"{kind}-{:07}""#, spread(seed ^ reference) % 10_000_000));
    }
    event.push(']');
    if seed.is_multiple_of(8) {
        let stops = if long { 9 } else { 2 + seed / 512 % 2 };
        event.push_str(r#","stops":["#);
        for stop in 0..stops {
            let (comma, at) = (if stop == 0 { "" } else { "," }, spread(seed ^ stop << 32));
            append(
                event,
                format_args!(
                    r#"{comma}{{"sequence":{stop},"type":"{}","place":{},"appointment":"2026-11-{:02}T{:02}:00:00Z"}}"#,
                    if stop == 0 { "pickup" } else { "drop" },
                    place(at),
                    21 + stop,
                    at % 24,
                ),
            );
        }
        event.push(']');
    }
    append(event, format_args!(r#","note":"{}"}}"#, pick(&NOTES, seed >> 9)));
}

fn place(seed: u64) -> String {
    let (city, state, zip) = pick(&PLACES, seed);
    format!(r#"{{"city":"{city}","state":"{state}","zip":"{zip}"}}"#)
}

fn pick<T: Copy, const N: usize>(from: &[T; N], seed: u64) -> T {
    from[(seed % N as u64) as usize]
}

fn append(event: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _written = event.write_fmt(text);
}

/// SplitMix64 (Steele, Lea and Flood, 2014): neighbours land far apart.
#[must_use]
pub fn spread(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use bytes::Bytes;
    use futures::FutureExt;
    use stages::{
        Decode, Rules, Schema, Stage, Validate,
        models::{RawRecord, ValidEvent},
    };
    use state::{Clock, Position};

    use super::*;

    const MANY: u64 = 20_000;

    /// The first events as the line has them before it looks for their brokers.
    fn events() -> Vec<ValidEvent> {
        let decode = Decode::new(Schema::flat());
        let ahead_max = std::time::Duration::from_secs(100 * 365 * 86_400);
        let validate = Validate::new(Rules { ahead_max, ..Rules::default() }, Clock::System);
        let valid = |number| {
            let bytes = Bytes::from(event(number));
            let position = Position::new("corpus".into(), 0, number);
            let raw = RawRecord::whole(position, bytes, 0);
            let decoded = decode.run(raw).now_or_never().unwrap().unwrap();
            validate.run(decoded).now_or_never().unwrap().unwrap()
        };
        (0..MANY).map(valid).collect()
    }

    #[test]
    fn every_event_is_of_a_size_that_occurs_and_most_are_common() {
        let sizes: Vec<_> = (0..MANY).map(|number| event(number).len()).collect();
        let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
        assert!((300..=2_000).contains(least) && (300..=2_000).contains(most), "{least} to {most} bytes");
        assert!(*least < 340 && *most > 1_500, "{least} to {most} bytes are no spread");
        let common = sizes.iter().filter(|size| (350..=700).contains(*size)).count();
        assert!(common * 100 >= sizes.len() * 85, "{common} of {MANY} are of a common size");
    }

    #[test]
    fn every_event_passes_decode_and_validate_and_no_id_comes_twice() {
        let events = events();
        let ids: BTreeSet<_> = events.iter().map(|event| event.event().event_id.clone()).collect();
        assert_eq!(ids.len() as u64, MANY);
    }

    #[test]
    fn the_same_number_gives_the_same_event() {
        let again: Vec<_> = (0..100).map(event).collect();
        assert_eq!((0..100).map(event).collect::<Vec<_>>(), again);
        // Written down, so that figures of different versions are about the same input.
        assert_eq!(spread(1), 0x910a_2dec_8902_5cc1);
        assert!(event(1).starts_with(r#"{"eventId":"910a2dec89025cc1"#), "{}", event(1));
    }

    #[test]
    fn a_load_goes_through_its_statuses_in_order_among_many_others() {
        let mut loads: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (number, event) in events().iter().enumerate() {
            let event = event.event();
            assert_eq!(*event.load_id, load_id(load(number as u64)));
            loads.entry(event.load_id.clone()).or_default().push((number, event.status.to_string()));
        }
        let whole = loads.values().filter(|events| events.len() == STATUSES.len());
        for events in whole.clone() {
            assert!(events.iter().map(|(_, status)| status.as_str()).eq(STATUSES), "{events:?}");
            let apart = events.windows(2).map(|pair| pair[1].0 - pair[0].0).min();
            assert!(apart > Some(2_000), "{events:?}");
        }
        // Those that begin before the corpus, or go on after it, are not.
        assert_eq!(whole.count() as u64, MANY / EVENTS_PER_LOAD - 4 * LOADS_AT_ONCE);
    }

    #[test]
    fn ids_in_order_of_time_grow_and_are_well_formed() {
        let ids: Vec<_> = (0..1_000).map(|number| Ids::TimeOrdered.id(number)).collect();
        assert!(ids.is_sorted());
        for id in &ids {
            let parts: Vec<_> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
            assert!(id.as_bytes()[14] == b'7' && matches!(id.as_bytes()[19], b'8'..=b'b'), "{id}");
        }
        assert!(event_with(7, Ids::TimeOrdered).contains(&ids[7]));
    }
}
