//! What each stage costs by itself: the corpus goes through it on one thread, and only that thread's CPU time counts.
//! Inputs are made and outputs dropped outside of the time, but for what a stage takes from the caller.

use std::{hint::black_box, num::NonZeroU32, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::FutureExt;
use rustc_hash::FxHashSet;
use stages::{
    BreakerPolicy, Broker, Decode, Dedupe, Egress, Endpoint, Health, Quota, RetryBudgetPolicy, Route, Rules,
    Schema, Signer, SigningKey, Stage, Subscription, Subscriptions, Terms, Throttle, Validate, WhenFull,
    models::{Delivery, Fresh, RawRecord, ValidEvent},
};
use state::{
    BodyDigest, Clock, CommitOptions, Durability, Ledger, LedgerKey, Position, Record, Store, StoreOptions,
};

use super::{
    configs::{SECRET, id},
    fault::BenchFault,
    report::{Place, StageCost},
};
use crate::{
    process::clock::thread_cpu,
    traffic::corpus::{self, EVENTS_PER_LOAD, Ids, STATUSES},
};

/// How much CPU time goes into a stage's figure for each delivery of a run: 0.3 s for 60,000.
const ENOUGH_EACH: Duration = Duration::from_micros(5);
/// And at most.
const ENOUGH_MAX: Duration = Duration::from_millis(500);
/// Records that take turns.
const RECORDS: u64 = 1_000;
/// Entries of the ledger that a look-up misses.
const ENTRIES: u64 = 8_192;
/// How many entries are recorded at once.
const COMMIT: u64 = 512;

/// Measures every stage there is to measure alone, with `brokers`; the ledger is made in `dir`.
///
/// # Errors
/// A stage does not take the corpus, or the ledger fails.
pub(super) async fn measure(
    dir: &Path,
    brokers: usize,
    deliveries: u64,
) -> Result<Vec<StageCost>, BenchFault> {
    let enough = ENOUGH_EACH.saturating_mul(u32::try_from(deliveries).unwrap_or(u32::MAX)).min(ENOUGH_MAX);
    let alone = Alone { enough };
    let once = EVENTS_PER_LOAD as f64 / brokers as f64;
    let cost = |stage, thread, micros, per_delivery| StageCost { stage, thread, micros, per_delivery };
    let records: Vec<RawRecord> = (0..RECORDS).map(record).collect();
    let decode = Decode::new(Schema::flat());
    let mut costs =
        vec![cost("decode", Place::Intake, alone.of("decode", &decode, || records.clone())?, once)];

    let rules = Rules { ahead_max: Duration::from_secs(100 * 365 * 86_400), ..Rules::default() };
    let validate = Validate::new(rules, Clock::System);
    let events = all("decode", &decode, records)?;
    costs.push(cost("validate", Place::Intake, alone.of("validate", &validate, || events.clone())?, once));

    let route = Route::new(Arc::new(Subscriptions::new(self::brokers(brokers)?)));
    let events: Vec<ValidEvent> = all("validate", &validate, events)?;
    costs.push(cost("route", Place::Intake, alone.of("route", &route, || events.clone())?, once));

    let deliveries: Vec<Delivery> = all("route", &route, events)?.into_iter().flatten().collect();
    // Each has its own progress, which holds its claim.
    let fresh_copies = || -> Vec<Delivery> {
        let copy = |delivery: &Delivery| Delivery::new(delivery.event.clone(), delivery.broker.clone());
        deliveries.iter().map(copy).collect()
    };
    let ledger = ledger(dir).await?;
    let dedupe = Dedupe::new(&ledger);
    costs.push(cost("dedupe, a miss", Place::Shards, alone.of("dedupe", &dedupe, fresh_copies)?, 1.0));

    let mut used = Used::default();
    while used.cpu < enough {
        let fresh: Vec<Fresh> = all("dedupe", &dedupe, fresh_copies())?;
        used.add(fresh.len(), || all("throttle", &Throttle::new(), fresh))?;
    }
    costs.push(cost("throttle, open", Place::Shards, used.micros(), 1.0));

    let signer = signer()?;
    let mut used = Used::default();
    while used.cpu < enough {
        used.add(deliveries.len(), || {
            for delivery in &deliveries {
                let event = delivery.event();
                black_box(signer.sign(&event.event_id, black_box(1_795_000_000), &event.body));
            }
            Ok(())
        })?;
    }
    costs.push(cost("sign", Place::Shards, used.micros(), 1.0));
    Ok(costs)
}

/// CPU time used, and for how many.
#[derive(Default)]
struct Used {
    cpu: Duration,
    times: usize,
}

impl Used {
    /// Does `work`, which is for so many; its output is dropped outside of the time.
    fn add<T>(
        &mut self,
        times: usize,
        work: impl FnOnce() -> Result<T, BenchFault>,
    ) -> Result<(), BenchFault> {
        let before = thread_cpu();
        let done = work();
        self.cpu += thread_cpu().saturating_sub(before);
        self.times += times;
        done.map(drop)
    }

    fn micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.times.max(1) as f64
    }
}

/// Stages that need nothing of one another.
struct Alone {
    enough: Duration,
}

impl Alone {
    /// CPU µs of a stage for each input.
    fn of<S: Stage>(
        &self,
        name: &'static str,
        stage: &S,
        inputs: impl Fn() -> Vec<S::In>,
    ) -> Result<f64, BenchFault> {
        let mut used = Used::default();
        while used.cpu < self.enough {
            let inputs = inputs();
            used.add(inputs.len(), || all(name, stage, inputs))?;
        }
        Ok(used.micros())
    }
}

/// What a stage makes of all these.
fn all<S: Stage>(name: &'static str, stage: &S, inputs: Vec<S::In>) -> Result<Vec<S::Out>, BenchFault> {
    let now = |input| match stage.run(input).now_or_never() {
        Some(Ok(out)) => Ok(out),
        Some(Err(_)) | None => Err(BenchFault::Stage { stage: name }),
    };
    inputs.into_iter().map(now).collect()
}

fn record(number: u64) -> RawRecord {
    let bytes = Bytes::from(corpus::event_with(number, Ids::TimeOrdered));
    let position = Position::new("bench".into(), 0, number);
    RawRecord::whole(position, bytes, 0)
}

fn signer() -> Result<Signer, BenchFault> {
    let key = SigningKey::parse(SECRET).and_then(|key| Signer::new(vec![key]));
    key.map_err(|_| BenchFault::Stage { stage: "sign" })
}

/// Brokers as the runs have them: each wants one status.
fn brokers(count: usize) -> Result<Vec<Arc<Broker>>, BenchFault> {
    let most = NonZeroU32::MIN.saturating_add(999_999);
    let unfit = |_| BenchFault::Stage { stage: "throttle" };
    (0..count)
        .map(|ordinal| {
            let headers = Default::default();
            let timeout = Duration::from_secs(5);
            let url = "https://tms.example.com/hook";
            let endpoint = Endpoint::new(url, &headers, signer()?, timeout, &Egress::default());
            let endpoint = endpoint.map_err(|_| BenchFault::Stage { stage: "deliver" })?;
            let quota = Arc::new(Quota::new(1e6, most).map_err(unfit)?);
            let statuses = FxHashSet::from_iter([Arc::from(STATUSES[ordinal % STATUSES.len()])]);
            let subscription = Subscription { statuses: Some(statuses), ..Subscription::default() };
            let terms = Terms { subscription, endpoint, quota, concurrency: 32, when_full: WhenFull::Hold };
            let health = Health::new(BreakerPolicy::default(), RetryBudgetPolicy::default());
            Ok(Arc::new(Broker::new(id(ordinal), ordinal, 0, terms, health)))
        })
        .collect()
}

/// A ledger with some thousand entries of other events.
async fn ledger(dir: &Path) -> Result<Ledger, BenchFault> {
    let (durability, clock) = (Durability::Process, Clock::System);
    let options = StoreOptions { durability, dedupe_window: 7 * 86_400_000, cache: 40 << 20, clock };
    let commits = CommitOptions { commit_max: 1, linger: Duration::ZERO, inbox_max: 16 };
    let (ledger, _thread) = Ledger::start(Store::open(dir, options)?, commits)?;
    for chunk in 0..ENTRIES / COMMIT {
        let numbers = RECORDS + chunk * COMMIT..RECORDS + (chunk + 1) * COMMIT;
        drop(ledger.record_all(numbers.map(|number| delivered(number, Ids::TimeOrdered)).collect()).await?);
    }
    Ok(ledger)
}

/// The record that event `number` was delivered.
pub(super) fn delivered(number: u64, ids: Ids) -> Record {
    let event_id = ids.id(number);
    let key = LedgerKey::new(&id(usize::try_from(number % 12).unwrap_or_default()), &event_id);
    let digest = BodyDigest::of(event_id.as_bytes());
    Record::Delivered { key, digest, failed_attempts: 0, spilled: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_stage_takes_the_corpus_and_costs_something() {
        let dir = tempfile::tempdir().unwrap();
        let costs = measure(dir.path(), 12, 600).await.unwrap();
        let names: Vec<&str> = costs.iter().map(|cost| cost.stage).collect();
        let expected = ["decode", "validate", "route", "dedupe, a miss", "throttle, open", "sign"];
        assert_eq!(names, expected);
        assert!(costs.iter().all(|cost| cost.micros > 0.0 && cost.per_delivery > 0.0));
    }
}
