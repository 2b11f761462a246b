//! Looks at a run: what the system says, what the log holds and what the brokers have taken enter, a sample leaves.

use std::sync::Arc;

use super::{
    play::Appended,
    profile::Profile,
    report::Sample,
    system::Heard,
    traffic::{Form, Traffic},
    witness::{RunClock, Witness},
};

/// Looks at one run.
#[derive(Debug)]
pub struct Sampler {
    clock: RunClock,
    appended: Appended,
    witnesses: Vec<Arc<Witness>>,
    /// Whether each broker is well throughout.
    well: Vec<bool>,
    /// Where each event first stands in the log.
    first: Vec<usize>,
    /// How many takings of each broker have been looked at.
    looked_at: Vec<usize>,
    /// What is still owed, as far as takings show; counted for a system that says nothing of itself.
    owed: Owed,
}

impl Sampler {
    /// A sampler of a run that is about to begin.
    #[must_use]
    pub fn new(
        clock: RunClock,
        appended: Appended,
        witnesses: Vec<Arc<Witness>>,
        profile: &Profile,
        traffic: &Traffic,
    ) -> Self {
        let mut first = vec![usize::MAX; traffic.events.len()];
        for (place, entry) in traffic.log.iter().enumerate() {
            if let (Form::First, Some(event)) = (entry.form, entry.event) {
                first[event as usize] = place;
            }
        }
        let well = profile.brokers.iter().map(super::profile::BrokerProfile::is_well).collect();
        let looked_at = vec![0; witnesses.len()];
        let owed = Owed::new(traffic);
        Self { clock, appended, witnesses, well, first, looked_at, owed }
    }

    /// The run as it is now, of a system that says nothing of itself: an event is settled once all its brokers have it.
    pub fn look_on(&mut self) -> Sample {
        let mut sample = self.look(&Heard::default(), None);
        let appended = self.appended.count();
        (sample.lag, sample.oldest_age_ms) = (0, 0);
        for (event, place) in self.first.iter().enumerate() {
            if *place < appended && self.owed.is_owed(event) {
                if sample.lag == 0 {
                    let since = self.appended.at_ms(*place).unwrap_or(sample.at_ms);
                    sample.oldest_age_ms = sample.at_ms.saturating_sub(since);
                }
                sample.lag += 1;
            }
        }
        sample.read = appended as u64;
        sample
    }

    /// The run as it is now.
    pub fn look(&mut self, heard: &Heard, memory: Option<u64>) -> Sample {
        let (at_ms, appended) = (self.clock.now_ms(), self.appended.count() as u64);
        let lag = heard.lag + appended.saturating_sub(heard.read);
        let oldest = usize::try_from(heard.settled_to).ok().and_then(|place| self.appended.at_ms(place));
        Sample {
            at_ms,
            appended,
            read: heard.read,
            lag,
            oldest_age_ms: if lag == 0 { 0 } else { at_ms.saturating_sub(oldest.unwrap_or(at_ms)) },
            in_flight: heard.in_flight,
            spilled: heard.spilled,
            held: heard.held,
            memory,
            taken: self.witnesses.iter().map(|witness| witness.taken_count()).collect(),
            states: heard.states.clone(),
            p99_ms: self.p99(),
        }
    }

    /// The 99th percentile of what the brokers that are well took since the last look.
    fn p99(&mut self) -> Option<f64> {
        let mut delays = Vec::new();
        for (place, witness) in self.witnesses.iter().enumerate() {
            let taken = witness.taken_since(self.looked_at[place]);
            self.looked_at[place] += taken.len();
            taken.iter().filter_map(|(event, _)| *event).for_each(|event| self.owed.take(place, event));
            if self.well[place] {
                delays.extend(taken.into_iter().filter_map(|(event, at_ms)| {
                    let first = *self.first.get(event? as usize)?;
                    Some(at_ms.saturating_sub(self.appended.at_ms(first)?))
                }));
            }
        }
        percentile(&mut delays, 0.99)
    }
}

/// The deliveries that are owed: each event to each broker that wants it.
#[derive(Debug)]
struct Owed {
    /// For each event the brokers that have not taken it yet.
    brokers: Vec<Vec<u16>>,
}

impl Owed {
    fn new(traffic: &Traffic) -> Self {
        Self { brokers: traffic.events.iter().map(|event| event.wanted_by.to_vec()).collect() }
    }

    fn take(&mut self, broker: usize, event: u32) {
        if let Some(brokers) = self.brokers.get_mut(event as usize) {
            brokers.retain(|owed| usize::from(*owed) != broker);
        }
    }

    fn is_owed(&self, event: usize) -> bool {
        self.brokers.get(event).is_some_and(|brokers| !brokers.is_empty())
    }
}

/// The value below which `share` of `values` lie, by the nearest rank; none if there are none. Sorts them.
#[must_use]
pub fn percentile(values: &mut [u64], share: f64) -> Option<f64> {
    values.sort_unstable();
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.max(1) - 1).map(|value| *value as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_value_of_the_nearest_rank() {
        let mut values: Vec<u64> = (1..=200).rev().collect();
        assert_eq!(percentile(&mut values, 0.99), Some(198.0));
        assert_eq!(percentile(&mut values, 0.5), Some(100.0));
        assert_eq!(percentile(&mut [7], 0.99), Some(7.0));
        assert_eq!(percentile(&mut [], 0.5), None);
    }
}
