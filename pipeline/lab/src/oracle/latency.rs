//! How long events took: for every broker and event, from the append of the event's first record to the first receipt.

use super::evidence::Evidence;

use super::expected::Expected;

/// One delivery's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// The broker, by its place.
    pub broker: u16,
    /// The event, by its place.
    pub event: u32,
    /// When it was appended, in milliseconds from the start of the run.
    pub appended_ms: u64,
    /// From then to the first receipt, in milliseconds; zero if the clocks say that it was taken before.
    pub delay_ms: u64,
}

/// The time of every delivery that was owed and made, broker by broker, in the order of receipt. Repeats do not count.
pub fn delays(evidence: &Evidence) -> impl Iterator<Item = Delay> + '_ {
    let expected = Expected::of(evidence);
    let appended: Vec<Option<u64>> = (0..expected.events.len() as u32)
        .map(|event| Some(expected.log[expected.first(event)?].at_ms))
        .collect();
    (0..).zip(&evidence.brokers).flat_map(move |(broker, witness)| {
        let mut appended = appended.clone();
        witness.received.taken.iter().filter_map(move |receipt| {
            let event = receipt.event?;
            let wanted = &evidence.traffic.events.get(event as usize)?.wanted_by;
            wanted.binary_search(&broker).ok()?;
            let appended_ms = appended[event as usize].take()?;
            Some(Delay { broker, event, appended_ms, delay_ms: receipt.at_ms.saturating_sub(appended_ms) })
        })
    })
}
