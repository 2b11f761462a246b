//! What receivers see, attempt by attempt: the right event, one of a load at a time, in order, once, marked, within quota
//! and bounds.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;

use crate::{
    log::Entry,
    plan::Plan,
    violation::Promise,
    world::{Broken, millis},
};

/// An attempt at a receiver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) broker: usize,
    /// The event's number in the log.
    pub(crate) number: usize,
    /// How often it had been tried, over all runs.
    pub(crate) tries: u64,
    /// Whether the request says that it may repeat an earlier one.
    pub(crate) may_repeat: bool,
}

/// What has been seen of one event at one broker.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    tries: u64,
    arrived: bool,
    taken: bool,
    /// Whether an answer of this run ended it: it was taken, or refused for good.
    ended: bool,
    /// When it may be tried again, by the `Retry-After` of its last answer in this run.
    not_before: u64,
}

/// A broker's quota, as a bucket of tokens.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: u64,
}

/// All that has been seen on the wire.
#[derive(Debug)]
pub(crate) struct Wire {
    seen: BTreeMap<(usize, usize), Seen>,
    /// What is under way, by broker and load.
    under_way: BTreeMap<(usize, u64), usize>,
    /// The newest event of each (broker, load) that was started, over all runs.
    newest: BTreeMap<(usize, u64), usize>,
    /// What was on record as delivered when a run began.
    recorded: BTreeSet<(usize, usize)>,
    buckets: Vec<Bucket>,
    /// Requests, by broker, that brought what the receiver had taken before.
    pub(crate) repeats: Vec<u64>,
    /// What the line has counted, by broker, of runs that have ended.
    pub(crate) counted: Vec<u64>,
    /// Whether the power has been lost where that may cost what was on record.
    pub(crate) forgot: bool,
}

impl Wire {
    pub(crate) fn new(plan: &Plan) -> Self {
        let none = vec![0; plan.brokers.len()];
        let buckets = plan.brokers.iter().map(|broker| Bucket { tokens: f64::from(broker.burst), at: 0 });
        Self {
            seen: BTreeMap::new(),
            under_way: BTreeMap::new(),
            newest: BTreeMap::new(),
            recorded: BTreeSet::new(),
            buckets: buckets.collect(),
            repeats: none.clone(),
            counted: none,
            forgot: false,
        }
    }

    /// A process starts: nothing is under way, and quotas are full.
    pub(crate) fn begin_run(&mut self) {
        self.under_way.clear();
        self.seen.values_mut().for_each(|seen| {
            seen.ended = false;
            seen.not_before = 0;
        });
        self.buckets.iter_mut().for_each(|bucket| bucket.tokens = f64::INFINITY);
    }

    /// The power is lost where that may cost the newest commits: what has been sent may be sent again, in order from there,
    /// and nobody knows that it repeats.
    pub(crate) fn forget(&mut self) {
        self.recorded.clear();
        self.newest.clear();
        self.seen.values_mut().for_each(|seen| seen.arrived = false);
        self.forgot = true;
    }

    /// That the broker was given the event is on record.
    pub(crate) fn is_recorded(&mut self, broker: usize, number: usize) {
        self.recorded.insert((broker, number));
    }

    pub(crate) fn has_taken(&self, broker: usize, number: usize) -> bool {
        self.seen.get(&(broker, number)).is_some_and(|seen| seen.taken)
    }

    pub(crate) fn tries(&self, broker: usize, number: usize) -> u64 {
        self.seen.get(&(broker, number)).map_or(0, |seen| seen.tries)
    }

    /// An attempt begins at `now`; a request whose mark is hidden counts as not marked.
    pub(crate) fn begin(
        &mut self,
        plan: &Plan,
        (broker, headers, body): (usize, &HeaderMap, &Bytes),
        (now, hides): (u64, bool),
    ) -> Result<Call, Broken> {
        let number = event_of(plan, broker, headers, body)?;
        let may_repeat = !hides && headers.get("loadline-may-repeat").is_some_and(|value| value == "true");
        let load = plan.log.load(number);
        self.check_turn(broker, load, number)?;
        let name = format!("event {number} of load {load} at broker {broker}");
        let seen = self.seen.entry((broker, number)).or_default();
        if seen.ended {
            return Err((Promise::Once, format!("{name} is posted again after its answer in this run")));
        }
        if self.recorded.contains(&(broker, number)) {
            return Err((
                Promise::Once,
                format!("{name} is posted again although it is on record as delivered"),
            ));
        }
        if seen.arrived && !may_repeat {
            return Err((
                Promise::RepeatsMarked,
                format!("{name} has arrived before, and the request does not say so"),
            ));
        }
        if now < seen.not_before {
            let left = seen.not_before - now;
            return Err((Promise::PauseKept, format!("{name} is posted {left} ms before its pause is over")));
        }
        let call = Call { broker, number, tries: seen.tries, may_repeat };
        seen.tries += 1;
        self.newest.insert((broker, load), number);
        self.under_way.insert((broker, load), number);
        self.check_bounds(plan, broker)?;
        self.take_permit(plan, broker, now)?;
        Ok(call)
    }

    /// One of a load at a time, in the order of the log, over all runs.
    fn check_turn(&self, broker: usize, load: u64, number: usize) -> Result<(), Broken> {
        if let Some(other) = self.under_way.get(&(broker, load)) {
            let detail = format!("broker {broker}, load {load}: {number} starts while {other} is under way");
            return Err((Promise::OneAtATime, detail));
        }
        match self.newest.get(&(broker, load)) {
            Some(newest) if *newest > number => {
                let detail = format!("broker {broker}, load {load}: {number} starts after {newest}");
                Err((Promise::InOrder, detail))
            }
            _ => Ok(()),
        }
    }

    fn check_bounds(&self, plan: &Plan, broker: usize) -> Result<(), Broken> {
        let of_broker = self.under_way.keys().filter(|(of, _)| *of == broker).count();
        // A half-open breaker is tried with one more while older ones are still under way.
        let most = plan.brokers[broker].concurrency + 1;
        if of_broker > most {
            return Err((
                Promise::WithinBounds,
                format!("{of_broker} under way at broker {broker}, not {most}"),
            ));
        }
        let (all, most) = (self.under_way.len(), plan.tuning.limits.in_flight_max.max(2));
        if all > most {
            return Err((Promise::WithinBounds, format!("{all} attempts are under way, not {most}")));
        }
        Ok(())
    }

    fn take_permit(&mut self, plan: &Plan, broker: usize, now: u64) -> Result<(), Broken> {
        let (bucket, terms) = (&mut self.buckets[broker], &plan.brokers[broker]);
        let earned = (now - bucket.at.min(now)) as f64 / 1e3 * terms.rate;
        bucket.tokens = (bucket.tokens + earned).min(f64::from(terms.burst));
        bucket.at = now;
        bucket.tokens -= 1.0;
        // Time is told in whole milliseconds, and so are timers.
        let rounding = terms.rate * 1e-3 + 1e-6;
        if bucket.tokens < -rounding {
            let (rate, burst) = (terms.rate, terms.burst);
            let detail =
                format!("broker {broker} is posted to faster than {rate} a second with bursts of {burst}");
            return Err((Promise::WithinQuota, detail));
        }
        Ok(())
    }

    /// A request reaches its receiver, which takes the event or not.
    pub(crate) fn arrive(&mut self, call: Call, taken: bool) {
        let Some(seen) = self.seen.get_mut(&(call.broker, call.number)) else { return };
        if seen.taken {
            self.repeats[call.broker] += 1;
        }
        seen.arrived = true;
        seen.taken |= taken;
    }

    /// An attempt ends with this status and pause, in seconds.
    pub(crate) fn end(
        &mut self,
        call: Call,
        load: u64,
        status: Option<(u16, u64)>,
        (now, retry_after_max): (u64, Duration),
    ) {
        self.close(call, load);
        let Some(seen) = self.seen.get_mut(&(call.broker, call.number)) else { return };
        if let Some((status, pause)) = status {
            seen.ended = matches!(status, 200..=299 | 409 | 410 | 422);
            seen.not_before = now + (pause * 1_000).min(millis(retry_after_max));
        }
    }

    /// An attempt ends without an answer.
    pub(crate) fn close(&mut self, call: Call, load: u64) {
        self.under_way.remove(&(call.broker, load));
    }
}

/// The number of the event that a request brings.
fn event_of(plan: &Plan, broker: usize, headers: &HeaderMap, body: &Bytes) -> Result<usize, Broken> {
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let wrong =
        |what: &str| Err((Promise::RightEvent, format!("webhook-id {id:?} at broker {broker}: {what}")));
    let number = id.strip_prefix('e').and_then(|number| number.parse::<usize>().ok());
    let Some(number) = number.filter(|number| *number < plan.log.len()) else {
        return wrong("it is no event's");
    };
    if !matches!(plan.log.entry(number), Entry::New { .. }) {
        return wrong("the log has no such event");
    }
    if !plan.wants(broker, number) {
        return wrong("the broker does not want it");
    }
    if body != plan.log.body(number) {
        return wrong("the body is not the log's");
    }
    Ok(number)
}
