//! The benchmarks themselves: each takes 200 events of the corpus through one pure stage. Beside each stands what it took
//! when it was last looked at (rustc 1.95, valgrind 3.19, x86-64).

#![allow(unused_qualifications, reason = "the benchmarks' macros write their paths in full")]

use std::{hint::black_box, sync::Arc};

use benches::{
    brokers::{broker, signer, subscribed},
    corpus, must,
    payloads::{cloudevent, dead_letter, events, now, raw, rules},
};
use gungraun::{
    Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use rand::{SeedableRng, rngs::SmallRng};
use stages::{
    Decode, RetryPolicy, Route, Schema, Signer, Stage, Subscriptions, Validate,
    models::{RawRecord, ValidEvent},
};
use state::{BodyDigest, Clock, DeadLetter, LedgerEntry, Outcome};

/// Events that each benchmark takes: short and long ones in the proportion of the corpus.
const EVENTS: u64 = 200;

/// Fails 5 % above what was counted before. Only instructions are counted: caches are the machine's.
fn at_most(counted: u64) -> LibraryBenchmarkConfig {
    let limit = counted + counted / 20;
    let mut callgrind = Callgrind::with_args(["--cache-sim=no"]);
    LibraryBenchmarkConfig::default().tool(callgrind.hard_limits([(EventKind::Ir, limit)]).clone()).clone()
}

/// What is made ready, and what is then taken through it.
type Ready<S> = (S, Vec<<S as Stage>::In>);

/// The outputs are given back, so that dropping them is not counted.
fn through<S: Stage>((stage, inputs): Ready<S>) -> (S, Vec<S::Out>) {
    let outputs = inputs.into_iter().map(|input| now(&stage, black_box(input))).collect();
    (stage, outputs)
}

fn records(body: fn(u64) -> String) -> Vec<RawRecord> {
    (0..EVENTS).map(|number| raw(number, body(number))).collect()
}

fn to_decode(schema: Schema, body: fn(u64) -> String) -> Ready<Decode> {
    let decode = Decode::new(schema);
    // Whatever is made ready by the first use has been made ready then; the same below.
    now(&decode, raw(0, body(0)));
    (decode, records(body))
}

#[library_benchmark]
#[bench::flat(args = (to_decode(Schema::flat(), corpus::event)), config = at_most(2_990_666))]
#[bench::cloudevents(args = (to_decode(Schema::cloudevents(), cloudevent)), config = at_most(3_855_665))]
fn decode(ready: Ready<Decode>) -> impl Sized {
    through(ready)
}

fn to_validate() -> Ready<Validate> {
    let (decode, _warm) = (Decode::new(Schema::flat()), events(0..1));
    let decoded = records(corpus::event).into_iter().map(|record| now(&decode, record)).collect();
    (Validate::new(rules(), Clock::System), decoded)
}

#[library_benchmark]
#[bench::events(args = (to_validate()), config = at_most(6_168_926))]
fn validate(ready: Ready<Validate>) -> impl Sized {
    through(ready)
}

fn to_route(brokers: usize) -> Ready<Route> {
    (Route::new(Arc::new(Subscriptions::new(subscribed(brokers)))), events(0..EVENTS))
}

#[library_benchmark]
#[bench::brokers_12(args = (to_route(12)), config = at_most(433_173))]
#[bench::brokers_10000(args = (to_route(10_000)), config = at_most(604_269))]
fn route(ready: Ready<Route>) -> impl Sized {
    through(ready)
}

fn to_sign(keys: usize) -> (Signer, Vec<ValidEvent>) {
    let signer = signer(keys);
    drop(signer.sign("e", 0, b""));
    (signer, events(0..EVENTS))
}

#[library_benchmark]
#[bench::one_key(args = (to_sign(1)), config = at_most(7_081_342))]
#[bench::two_keys(args = (to_sign(2)), config = at_most(14_053_695))]
fn sign((signer, events): (Signer, Vec<ValidEvent>)) -> impl Sized {
    let sign = |event: &ValidEvent| {
        let event = event.event();
        signer.sign(&event.event_id, black_box(1_795_000_000), &event.body)
    };
    let signatures: Vec<_> = events.iter().map(sign).collect();
    (signer, events, signatures)
}

fn entries() -> Vec<LedgerEntry> {
    let entry = |at: u64| {
        let digest = BodyDigest::of(&at.to_le_bytes());
        LedgerEntry { outcome: Outcome::Delivered, digest, failed_attempts: 0, at }
    };
    (0..EVENTS).map(entry).collect()
}

fn letters() -> Vec<DeadLetter> {
    let broker = broker();
    (0..EVENTS).map(|number| dead_letter(number, &broker)).collect()
}

fn encoded<T>(values: &[T], encode: impl Fn(&T) -> Vec<u8>) -> Vec<Vec<u8>> {
    values.iter().map(encode).collect()
}

#[library_benchmark]
#[bench::ledger_entries(args = (entries()), config = at_most(62_504))]
fn encode_entries(entries: Vec<LedgerEntry>) -> impl Sized {
    let encoded = encoded(&entries, |entry| must(black_box(entry).to_bytes()));
    (entries, encoded)
}

#[library_benchmark]
#[bench::ledger_entries(args = (encoded(&entries(), |entry| must(entry.to_bytes()))), config = at_most(30_036))]
fn decode_entries(entries: Vec<Vec<u8>>) -> impl Sized {
    let decoded: Vec<_> = entries.iter().map(|bytes| must(LedgerEntry::from_bytes(bytes))).collect();
    (entries, decoded)
}

#[library_benchmark]
#[bench::dead_letters(args = (letters()), config = at_most(531_506))]
fn encode_letters(letters: Vec<DeadLetter>) -> impl Sized {
    let encoded = encoded(&letters, |letter| must(black_box(letter).to_bytes()));
    (letters, encoded)
}

#[library_benchmark]
#[bench::dead_letters(args = (encoded(&letters(), |letter| must(letter.to_bytes()))), config = at_most(1_224_933))]
fn decode_letters(letters: Vec<Vec<u8>>) -> impl Sized {
    let decoded: Vec<_> = letters.iter().map(|bytes| must(DeadLetter::from_bytes(bytes))).collect();
    (letters, decoded)
}

#[library_benchmark]
#[bench::delays(args = (RetryPolicy::default(), SmallRng::seed_from_u64(1)), config = at_most(24_820))]
fn back_off(policy: RetryPolicy, mut rng: SmallRng) -> impl Sized {
    let failed_attempts = (0..EVENTS as u32).map(|number| 1 + number % 12);
    failed_attempts.map(|failed| policy.delay(black_box(failed), &mut rng)).collect::<Vec<_>>()
}

library_benchmark_group!(
    name = pure,
    benchmarks = [
        decode,
        validate,
        route,
        sign,
        encode_entries,
        decode_entries,
        encode_letters,
        decode_letters,
        back_off
    ]
);

main!(library_benchmark_groups = pure);

/// Counts, or is counted, as the arguments say.
pub(super) fn run() {
    main();
}
