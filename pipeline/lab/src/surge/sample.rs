//! Samples of a run: what the system says, what the log holds and what the brokers have taken.

use std::sync::Arc;

use super::system::SystemStatus;
use crate::{
    oracle::Observer,
    report::Sample,
    traffic::{Appended, Form, RunClock, Traffic, profile::Profile},
};

/// Looks at one run.
#[derive(Debug)]
pub struct Sampler {
    clock: RunClock,
    appended: Appended,
    observers: Vec<Arc<Observer>>,
    /// Whether each broker is well throughout.
    well: Vec<bool>,
    /// Where each event first stands in the log.
    first: Vec<usize>,
    /// When each record of the log is due.
    due: Vec<u64>,
    /// The first record that had not been appended at the last look.
    behind: usize,
    /// How many receipts of each broker have been looked at.
    looked_at: Vec<usize>,
    /// What is still owed, as far as receipts show; counted for a system that says nothing of itself.
    owed: Owed,
}

impl Sampler {
    /// A sampler of a run that is about to begin.
    #[must_use]
    pub fn new(
        clock: RunClock,
        appended: Appended,
        observers: Vec<Arc<Observer>>,
        profile: &Profile,
        traffic: &Traffic,
    ) -> Self {
        let mut first = vec![usize::MAX; traffic.events.len()];
        for (place, entry) in traffic.log.iter().enumerate() {
            if let (Form::First, Some(event)) = (entry.form, entry.event) {
                first[event as usize] = place;
            }
        }
        let well = profile.brokers.iter().map(crate::traffic::profile::BrokerProfile::is_well).collect();
        let looked_at = vec![0; observers.len()];
        let owed = Owed::new(traffic);
        let due = traffic.log.iter().map(|entry| entry.at_ms).collect();
        Self { clock, appended, observers, well, first, due, behind: 0, looked_at, owed }
    }

    /// The run as it is now, of a system that says nothing of itself: an event is settled once all its brokers have it.
    pub fn sample_receipts(&mut self) -> Sample {
        let mut sample = self.sample(&SystemStatus::default(), None);
        let appended = self.appended.times();
        (sample.lag, sample.oldest_age_ms) = (0, 0);
        for (event, place) in self.first.iter().enumerate() {
            let Some(since) = appended.get(*place).copied().flatten() else { continue };
            if self.owed.is_owed(event) {
                sample.oldest_age_ms = sample.oldest_age_ms.max(sample.at_ms.saturating_sub(since));
                sample.lag += 1;
            }
        }
        sample.read = sample.appended;
        sample
    }

    /// The run as it is now.
    pub fn sample(&mut self, status: &SystemStatus, memory: Option<u64>) -> Sample {
        let (at_ms, appended) = (self.clock.now_ms(), self.appended.count() as u64);
        let lag = status.lag + appended.saturating_sub(status.read);
        let oldest = usize::try_from(status.settled_to).ok().and_then(|place| self.appended.at_ms(place));
        Sample {
            at_ms,
            appended,
            read: status.read,
            lag,
            oldest_age_ms: if lag == 0 { 0 } else { at_ms.saturating_sub(oldest.unwrap_or(at_ms)) },
            in_flight: status.in_flight,
            spilled: status.spilled,
            held: status.held,
            late_ms: self.late_ms(at_ms),
            memory,
            taken: self.observers.iter().map(|observer| observer.taken_count()).collect(),
            states: status.states.clone(),
            p99_ms: self.p99(),
        }
    }

    /// For how long the record that is due longest has waited to be appended.
    fn late_ms(&mut self, now_ms: u64) -> u64 {
        while self.behind < self.due.len() && self.appended.at_ms(self.behind).is_some() {
            self.behind += 1;
        }
        self.due.get(self.behind).map_or(0, |due| now_ms.saturating_sub(*due))
    }

    /// The 99th percentile of what the brokers that are well took since the last look.
    fn p99(&mut self) -> Option<f64> {
        let mut delays = Vec::new();
        for (place, observer) in self.observers.iter().enumerate() {
            let taken = observer.taken_since(self.looked_at[place]);
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
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::traffic::{Entry, SimEvent};

    #[tokio::test(start_paused = true)]
    async fn what_another_partition_took_first_counts_and_what_is_due_and_not_taken_makes_the_producer_late()
    {
        let profile = Profile::load("steady").unwrap();
        let entry = |event| Entry { at_ms: 100, event, form: Form::First, body: Bytes::new() };
        let event = || SimEvent::new(String::new(), "L".into(), Bytes::new(), Box::new([0]));
        let traffic = Traffic { events: vec![event(), event()], log: vec![entry(Some(0)), entry(Some(1))] };
        let (clock, appended) = (RunClock::default(), Appended::default());
        let mut sampler = Sampler::new(clock.clone(), appended.clone(), Vec::new(), &profile, &traffic);
        clock.begin();
        tokio::time::advance(Duration::from_millis(400)).await;
        appended.mark(&[1], 350);
        appended.mark(&[1], 350);
        let sample = sampler.sample_receipts();
        assert_eq!((sample.appended, sample.lag, sample.oldest_age_ms, sample.late_ms), (1, 1, 50, 300));
        appended.mark(&[0], 150);
        let sample = sampler.sample_receipts();
        assert_eq!((sample.appended, sample.lag, sample.oldest_age_ms, sample.late_ms), (2, 2, 250, 0));
    }

    #[test]
    fn a_percentile_is_the_value_of_the_nearest_rank() {
        let mut values: Vec<u64> = (1..=200).rev().collect();
        assert_eq!(percentile(&mut values, 0.99), Some(198.0));
        assert_eq!(percentile(&mut values, 0.5), Some(100.0));
        assert_eq!(percentile(&mut [7], 0.99), Some(7.0));
        assert_eq!(percentile(&mut [], 0.5), None);
    }
}
