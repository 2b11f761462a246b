//! What receivers see, attempt by attempt: the right event, one of a load at a time, in order, once, marked, within quota
//! and bounds. Over all processes; what one does whose partition another has claimed is a stray: it may come at any time,
//! and whoever has the partition must know that it may have.

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
    /// The process that makes it.
    life: u64,
    /// Whether somebody else had claimed the partition when it began.
    stray: bool,
}

/// What has been seen of one event at one broker.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    tries: u64,
    arrived: bool,
    taken: bool,
    /// Whether an answer ended it: it was taken, or refused for good. Forgotten when a run ends, or its partition is claimed
    /// from somebody who has not given it up in good order.
    ended: bool,
    /// Whether its dead letter was sent again.
    replayed: bool,
    /// Whether it may come after later ones of its load.
    may_be_late: bool,
    /// When it may be tried again, by the `Retry-After` of its last answer, as far as this process knows.
    not_before: u64,
}

/// The claim of a partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claimed {
    /// Where it stands in the ledger's topic.
    pub(crate) offset: u64,
    /// How many there had been of a partition that was not given up in good order.
    pub(crate) disorders: u64,
    /// The process that has it now.
    pub(crate) life: u64,
    /// Whether whoever had it has given it up in good order, since the last one that was known.
    pub(crate) in_order: bool,
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
    /// What is under way, by broker and load, and in which process.
    under_way: BTreeMap<(usize, u64), (usize, u64)>,
    /// The newest event of each (broker, load) that was started, over all runs.
    newest: BTreeMap<(usize, u64), usize>,
    /// Which events each broker has been to get, by the config in force when they were routed.
    routed: BTreeSet<(usize, usize)>,
    /// Which of these it was not to get when they were read last.
    left_out: BTreeSet<(usize, usize)>,
    /// What was on record as delivered when a run began.
    recorded: BTreeSet<(usize, usize)>,
    /// By process and broker.
    buckets: BTreeMap<(u64, usize), Bucket>,
    /// The last claim of each partition.
    claims: BTreeMap<usize, Claimed>,
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
        Self {
            seen: BTreeMap::new(),
            under_way: BTreeMap::new(),
            newest: BTreeMap::new(),
            routed: BTreeSet::new(),
            left_out: BTreeSet::new(),
            recorded: BTreeSet::new(),
            buckets: BTreeMap::new(),
            claims: BTreeMap::new(),
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
    }

    /// A process has died: nothing of it is under way.
    pub(crate) fn died(&mut self, life: u64) {
        self.under_way.retain(|_, (_, of)| *of != life);
    }

    /// The claim of `partition` that was known last: where it stands, and how many there had been in disorder.
    pub(crate) fn known_claim(&self, partition: usize) -> Option<(u64, u64)> {
        self.claims.get(&partition).map(|claim| (claim.offset, claim.disorders))
    }

    /// A partition is claimed; these (broker, event) were on record as delivered before that. If it was given up in good
    /// order nothing of it is to be repeated.
    pub(crate) fn claimed(
        &mut self,
        plan: &Plan,
        partition: usize,
        claim: Claimed,
        delivered: impl IntoIterator<Item = (usize, usize)>,
    ) {
        let in_order = claim.in_order;
        self.claims.insert(partition, claim);
        self.recorded.extend(delivered);
        for ((_, number), seen) in &mut self.seen {
            if plan.log.place(*number).0 == partition {
                seen.ended &= in_order;
                seen.not_before = 0;
            }
        }
    }

    fn is_stray(&self, plan: &Plan, number: usize, life: u64) -> bool {
        self.claims.get(&plan.log.place(number).0).is_some_and(|claim| claim.life != life)
    }

    /// The power is lost where that may cost the newest commits: what has been sent may be sent again, in order from there,
    /// and nobody knows that it repeats.
    pub(crate) fn forget(&mut self) {
        self.recorded.clear();
        self.newest.clear();
        self.seen.values_mut().for_each(|seen| seen.arrived = false);
        self.forgot = true;
    }

    /// The broker is to get the event. What was read before the config named the broker, and is read again after a crash,
    /// comes after what it is to get since.
    pub(crate) fn routed(&mut self, plan: &Plan, broker: usize, number: usize) {
        let mut later = self.routed.range((broker, number + 1)..(broker + 1, 0));
        let is_late = later.any(|(_, other)| plan.log.load(*other) == plan.log.load(number));
        let is_new = self.routed.insert((broker, number)) | self.left_out.remove(&(broker, number));
        if is_new && is_late {
            self.seen.entry((broker, number)).or_default().may_be_late = true;
        }
    }

    /// The event was read while the config did not name the broker: if it is read once more, it comes after what the broker
    /// gets meanwhile.
    pub(crate) fn not_routed(&mut self, broker: usize, number: usize) {
        self.left_out.insert((broker, number));
    }

    /// The event's dead letter is to be sent again, behind whatever came after it.
    pub(crate) fn replayed(&mut self, broker: usize, number: usize) {
        let seen = self.seen.entry((broker, number)).or_default();
        (seen.ended, seen.replayed, seen.may_be_late) = (false, true, true);
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
        (now, life, hides): (u64, u64, bool),
    ) -> Result<Call, Broken> {
        let number = self.event_of(plan, broker, headers, body)?;
        let may_repeat = !hides && headers.get("loadline-may-repeat").is_some_and(|value| value == "true");
        let load = plan.log.load(number);
        if self.is_stray(plan, number, life) {
            let seen = self.seen.entry((broker, number)).or_default();
            seen.tries += 1;
            return Ok(Call { broker, number, tries: seen.tries - 1, may_repeat, life, stray: true });
        }
        self.check_turn(plan, broker, load, number)?;
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
        let call = Call { broker, number, tries: seen.tries, may_repeat, life, stray: false };
        seen.tries += 1;
        if !seen.may_be_late {
            self.newest.insert((broker, load), number);
        }
        self.under_way.insert((broker, load), (number, life));
        self.check_bounds(plan, broker, life)?;
        self.take_permit(plan, (broker, life), now)?;
        Ok(call)
    }

    /// One of a load at a time, in the order of the log, over all runs.
    fn check_turn(&self, plan: &Plan, broker: usize, load: u64, number: usize) -> Result<(), Broken> {
        let other = self.under_way.get(&(broker, load));
        if let Some((other, _)) = other.filter(|(other, life)| !self.is_stray(plan, *other, *life)) {
            let detail = format!("broker {broker}, load {load}: {number} starts while {other} is under way");
            return Err((Promise::OneAtATime, detail));
        }
        match self.newest.get(&(broker, load)) {
            Some(newest) if *newest > number && !self.may_be_late(broker, number) => {
                let detail = format!("broker {broker}, load {load}: {number} starts after {newest}");
                Err((Promise::InOrder, detail))
            }
            _ => Ok(()),
        }
    }

    /// Whether the event's dead letter was sent again.
    pub(crate) fn is_replayed(&self, broker: usize, number: usize) -> bool {
        self.seen.get(&(broker, number)).is_some_and(|seen| seen.replayed)
    }

    fn may_be_late(&self, broker: usize, number: usize) -> bool {
        self.seen.get(&(broker, number)).is_some_and(|seen| seen.may_be_late)
    }

    fn check_bounds(&self, plan: &Plan, broker: usize, life: u64) -> Result<(), Broken> {
        let own = self.under_way.iter().filter(|(_, (_, of))| *of == life);
        let of_broker = own.clone().filter(|((of, _), _)| *of == broker).count();
        // A half-open breaker is tried with one more while older ones are still under way.
        let most = plan.brokers[broker].concurrency + 1;
        if of_broker > most {
            return Err((
                Promise::WithinBounds,
                format!("{of_broker} under way at broker {broker}, not {most}"),
            ));
        }
        let (all, most) = (own.count(), plan.tuning.limits.in_flight_max.max(2));
        if all > most {
            return Err((Promise::WithinBounds, format!("{all} attempts are under way, not {most}")));
        }
        Ok(())
    }

    fn take_permit(&mut self, plan: &Plan, (broker, life): (usize, u64), now: u64) -> Result<(), Broken> {
        let full = Bucket { tokens: f64::INFINITY, at: now };
        let bucket = self.buckets.entry((life, broker)).or_insert(full);
        let terms = &plan.brokers[broker];
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
        // A stray is nobody's to count.
        if seen.taken && !call.stray {
            self.repeats[call.broker] += 1;
        }
        seen.arrived = true;
        seen.taken |= taken;
    }

    /// An attempt ends with this status and pause, in seconds.
    pub(crate) fn end(
        &mut self,
        plan: &Plan,
        call: Call,
        status: Option<(u16, u64)>,
        (now, retry_after_max): (u64, Duration),
    ) {
        self.close(plan, call);
        if self.is_stray(plan, call.number, call.life) {
            return;
        }
        let Some(seen) = self.seen.get_mut(&(call.broker, call.number)) else { return };
        if let Some((status, pause)) = status {
            seen.ended = matches!(status, 200..=299 | 409 | 410 | 422);
            // Refused, it is known not to have been taken.
            seen.arrived &= status != 422;
            seen.not_before = now + (pause * 1_000).min(millis(retry_after_max));
        }
    }

    /// An attempt ends without an answer.
    pub(crate) fn close(&mut self, plan: &Plan, call: Call) {
        let key = (call.broker, plan.log.load(call.number));
        if self.under_way.get(&key) == Some(&(call.number, call.life)) {
            self.under_way.remove(&key);
        }
    }
}

impl Wire {
    /// The number of the event that a request brings.
    fn event_of(
        &self,
        plan: &Plan,
        broker: usize,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<usize, Broken> {
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
        if !plan.wants(broker, number) || !self.routed.contains(&(broker, number)) {
            return wrong("the broker does not want it");
        }
        if body != plan.log.body(number) {
            return wrong("the body is not the log's");
        }
        Ok(number)
    }
}
