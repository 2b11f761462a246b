//! Makes the traffic of a surge: every record of the log, with its time, from a profile and the brokers' subscriptions.
//!
//! Only the profile and its seed decide, so the same traffic can be had again; nothing here asks for the
//! time, and no function is used whose last bit may differ between machines.

use std::{collections::BinaryHeap, sync::Arc, time::Duration};

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use stages::{LoadFilter, Subscription};

use super::{
    Entry, Form, SimEvent, Traffic,
    body::{Content, write_body},
    millis,
    profile::Profile,
};

/// The statuses of a load, in order; a load ends with the last one, and another takes its place.
const JOURNEY: [&str; 6] = ["matched", "accepted", "in-transit", "in-transit", "in-transit", "delivered"];

/// Which of `brokers` want an event of `load_id` with `status`, by their places. Asked in the plainest way, and not by
/// the index the line uses: that is on trial.
#[must_use]
pub fn wanted_by(brokers: &[Subscription], load_id: &str, status: &str) -> Box<[u16]> {
    let wants = |broker: &Subscription| {
        let load = match &broker.loads {
            LoadFilter::All => true,
            LoadFilter::List(loads) => loads.contains(load_id),
            LoadFilter::Prefixes(prefixes) => prefixes.iter().any(|prefix| load_id.starts_with(prefix)),
        };
        load && broker.statuses.as_ref().is_none_or(|statuses| statuses.contains(status))
    };
    (0..).zip(brokers).filter(|(_, broker)| wants(broker)).map(|(place, _)| place).collect()
}

/// The traffic of `profile` for brokers with these subscriptions.
#[must_use]
pub fn generate(profile: &Profile, brokers: &[Subscription]) -> Traffic {
    let mut producer = Producer::new(profile, brokers);
    for _ in 0..profile.load.backlog {
        producer.event(0);
    }
    let length = profile.length();
    let mut at = Duration::ZERO;
    loop {
        let rate = profile.rate_at(at);
        if rate <= 0.0 {
            // Nothing is appended now; look again a moment later.
            at += Duration::from_millis(10);
        } else {
            // Half a gap to one and a half: not a metronome, and no logarithm that machines may round differently.
            let gap = Duration::try_from_secs_f64((0.5 + producer.rng.random::<f64>()) / rate);
            // A gap too long to be said is longer than any run.
            at += gap.unwrap_or(length).min(length);
        }
        if at >= length {
            break;
        }
        if rate > 0.0 {
            producer.event(millis(at));
        }
    }
    producer.finish(profile)
}

/// A load under way.
struct Load {
    id: Arc<str>,
    /// How many of its events there have been.
    step: usize,
    hot: bool,
}

struct Producer<'p> {
    profile: &'p Profile,
    brokers: &'p [Subscription],
    rng: Xoshiro256PlusPlus,
    loads: Vec<Load>,
    made: u64,
    traffic: Traffic,
    /// Records that are appended once more later: when, and in the order in which they were drawn.
    retries: BinaryHeap<std::cmp::Reverse<(u64, u32)>>,
}

impl<'p> Producer<'p> {
    fn new(profile: &'p Profile, brokers: &'p [Subscription]) -> Self {
        let rng = Xoshiro256PlusPlus::seed_from_u64(profile.seed);
        let (traffic, retries) = (Traffic::default(), BinaryHeap::new());
        let mut producer = Self { profile, brokers, rng, loads: Vec::new(), made: 0, traffic, retries };
        for place in 0..profile.load.loads {
            let mut load = producer.new_load(place < profile.load.hot_loads);
            // Loads under way are somewhere on their journey.
            load.step = producer.rng.random_range(0..JOURNEY.len());
            producer.loads.push(load);
        }
        producer
    }

    fn new_load(&mut self, hot: bool) -> Load {
        let lanes = &self.profile.load.lanes;
        let whole: f64 = lanes.iter().map(|lane| lane.weight).sum();
        let mut draw = self.rng.random::<f64>() * whole;
        let lane = lanes.iter().find(|lane| {
            draw -= lane.weight;
            draw < 0.0
        });
        let prefix = lane.or(lanes.last()).map_or("", |lane| lane.prefix.as_str());
        self.made += 1;
        Load { id: format!("{prefix}{:07}", self.made).into(), step: 0, hot }
    }

    /// One more event at `at_ms`, and whatever comes with it.
    fn event(&mut self, at_ms: u64) {
        self.retry_due(at_ms);
        let place = self.draw_load();
        let load = &mut self.loads[place];
        let status = if load.hot { "in-transit" } else { JOURNEY[load.step] };
        let (load_id, step) = (load.id.clone(), load.step);
        load.step += 1;
        if !load.hot && load.step == JOURNEY.len() {
            self.loads[place] = self.new_load(false);
        }
        let number = self.traffic.events.len();
        let event = self.make(number, load_id, status, step);
        let body = event.body.clone();
        let index = u32::try_from(number).unwrap_or(u32::MAX);
        self.traffic.events.push(event);
        self.traffic.log.push(Entry { at_ms, event: Some(index), form: Form::First, body });
        self.faults(at_ms);
        let duplicates = &self.profile.duplicates;
        if self.rng.random::<f64>() < duplicates.producer_retries {
            let within = millis(duplicates.within).max(1);
            self.retries.push(std::cmp::Reverse((at_ms + self.rng.random_range(1..=within), index)));
        }
    }

    fn draw_load(&mut self) -> usize {
        let load = &self.profile.load;
        let hot = self.rng.random::<f64>() < load.hot_share;
        let hot = if hot { load.hot_loads } else { 0 };
        let cold =
            if hot == 0 && load.hot_loads < load.loads { load.hot_loads..load.loads } else { 0..hot.max(1) };
        self.rng.random_range(cold) as usize
    }

    fn make(&mut self, number: usize, load_id: Arc<str>, status: &'static str, step: usize) -> SimEvent {
        let id = format!("evt-{:08x}-{number:07}", self.rng.random::<u32>());
        let [least, longest] = self.profile.load.body;
        let content = Content {
            event_id: &id,
            load_id: &load_id,
            status,
            sequence: step as u64,
            more: "",
            number: number as u64,
            size: self.rng.random_range(least..=longest),
        };
        let body = Bytes::from(write_body(&content, &mut self.rng));
        let wanted_by = wanted_by(self.brokers, &load_id, status);
        SimEvent::new(id, load_id, body, wanted_by)
    }

    /// Garbage and conflicts, each at random.
    fn faults(&mut self, at_ms: u64) {
        let faults = &self.profile.faults;
        if self.rng.random::<f64>() < faults.garbage {
            // A record that was cut off, and nothing like any other: its place makes it so.
            let place = self.traffic.log.len();
            let body = Bytes::from(format!(r#"{{"eventId":"cut-{place}","loadId":"#));
            self.traffic.log.push(Entry { at_ms, event: None, form: Form::Garbage, body });
        }
        if self.rng.random::<f64>() < faults.conflicts {
            let of = self.rng.random_range(0..self.traffic.events.len());
            let mut body = self.traffic.events[of].body.to_vec();
            // The same event but for a digit of its checksum, which is the last thing in it.
            if let Some(digit) = body.iter_mut().rev().find(|byte| byte.is_ascii_hexdigit()) {
                *digit = if *digit == b'0' { b'1' } else { b'0' };
            }
            let event = u32::try_from(of).ok();
            self.traffic.log.push(Entry { at_ms, event, form: Form::Conflict, body: body.into() });
        }
    }

    /// Appends what producers retry by `at_ms`.
    fn retry_due(&mut self, at_ms: u64) {
        while let Some(std::cmp::Reverse((due, event))) = self.retries.peek().copied()
            && due <= at_ms
        {
            self.retries.pop();
            let body = self.traffic.events[event as usize].body.clone();
            self.traffic.log.push(Entry { at_ms: due, event: Some(event), form: Form::ProducerRetry, body });
        }
    }

    fn finish(mut self, profile: &Profile) -> Traffic {
        self.retry_due(u64::MAX);
        let mut traffic = self.traffic;
        traffic.log.sort_by_key(|entry| entry.at_ms);
        if let Some(at) = profile.duplicates.replay_at {
            replay(&mut traffic, millis(at), millis(profile.duplicates.replay_span));
        }
        traffic
    }
}

/// Appends at `at_ms` once more what was appended in the `span_ms` before, as a group that reads again would see it.
fn replay(traffic: &mut Traffic, at_ms: u64, span_ms: u64) {
    let from = traffic.log.partition_point(|entry| entry.at_ms < at_ms.saturating_sub(span_ms));
    let to = traffic.log.partition_point(|entry| entry.at_ms < at_ms);
    let events =
        traffic.log[from..to].iter().filter(|entry| entry.event.is_some() && entry.form != Form::Conflict);
    let again: Vec<Entry> =
        events.map(|entry| Entry { at_ms, form: Form::Replay, ..entry.clone() }).collect();
    traffic.log.splice(to..to, again);
}

impl Traffic {
    /// The same without the replays, which are for a system that is no consumer group and reads nothing again by itself.
    #[must_use]
    pub fn without_replays(mut self) -> Self {
        self.log.retain(|entry| entry.form != Form::Replay);
        self
    }
}

#[cfg(test)]
#[path = "generate_tests.rs"]
mod tests;
