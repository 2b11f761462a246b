//! A seeded corpus: a number enters, a realistic shipment event of about 450 bytes leaves, the same for the same number.

/// How many events a load has before the next load takes its place.
const EVENTS_PER_LOAD: u64 = 5;

/// The statuses a load goes through.
const STATUSES: [&str; EVENTS_PER_LOAD as usize] =
    ["posted", "matched", "accepted", "in-transit", "delivered"];

/// How many loads are under way at once: events of one load are that far apart.
const LOADS_AT_ONCE: u64 = 500;

/// Event `number`. Loads are interleaved, so that neighbours belong to different loads; ids are spread like random
/// ones, because producers' ids often are.
#[must_use]
pub fn event(number: u64) -> String {
    // Load `n` ends at event 5n + 4; its steps are `LOADS_AT_ONCE` turns apart, so neighbours are at different steps.
    let (turn, step) = (number / EVENTS_PER_LOAD, number % EVENTS_PER_LOAD);
    let load = turn + (EVENTS_PER_LOAD - 1 - step) * LOADS_AT_ONCE;
    let status = STATUSES[usize::try_from(step).unwrap_or_default() % STATUSES.len()];
    let (high, low) = (spread(number), spread(number ^ 0x5bd1_e995));
    format!(
        r#"{{"eventId":"{high:016x}{low:016x}","loadId":"LD-{load:08}","status":"{status}","occurredAt":"2026-11-20T{:02}:{:02}:{:02}Z","sequence":{step},"carrier":{{"name":"Blue Mesa Haulage","mc":"{:06}"}},"equipment":"53FT DRY VAN","weightLb":{},"origin":{{"city":"Chicago","state":"IL","zip":"60608"}},"destination":{{"city":"Dallas","state":"TX","zip":"75212"}},"references":["PO-{:07}","BOL-{:07}"],"note":"appointment confirmed with the dock"}}"#,
        number / 3600 % 24,
        number / 60 % 60,
        number % 60,
        high % 1_000_000,
        20_000 + low % 24_000,
        low % 10_000_000,
        high % 10_000_000,
    )
}

/// SplitMix64 (Steele, Lea and Flood, 2014): neighbours land far apart.
fn spread(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
