//! `[brokers.batch]`: how many events of a broker go in one post.

use std::time::Duration;

use stages::{BatchPolicy, Body, Mode, Special};

use super::{
    delivery::CONCURRENCY,
    findings::Order,
    other_sections::OtherSections,
    problem::Refusal,
    section::Section,
    units::{DURATION, count, size},
};

/// The most events in one post: each is under way meanwhile, and of another load.
const EVENTS_MAX: usize = 1024;

/// None if the broker has no such table.
pub(super) fn read(s: &mut Section<'_, '_>) -> Option<BatchPolicy> {
    s.section("batch", |s| {
        let policy = BatchPolicy {
            max: s.ranged("max", 100, 1..=EVENTS_MAX, &count()),
            wait: s.ranged(
                "wait",
                Duration::from_millis(100),
                Duration::from_millis(1)..=Duration::from_secs(10),
                &DURATION,
            ),
            bytes_max: s.ranged("bytes_max", 1 << 20, 1 << 10..=16 << 20, &size()),
        };
        s.is_there().then_some(policy)
    })
}

/// How many events are under way to a broker that does not say: as many posts as others have requests, as far as they may be
/// in memory.
pub(super) fn concurrency(batch: Option<BatchPolicy>, around: &OtherSections<'_>) -> usize {
    let requests = around.delivery.concurrency;
    match batch {
        None => requests,
        Some(batch) => {
            let most = around.limits.per_broker_max.min(*CONCURRENCY.end());
            requests.saturating_mul(batch.max).min(most).max(requests)
        }
    }
}

pub(super) fn relations(
    s: &mut Section<'_, '_>,
    around: &OtherSections<'_>,
    batch: Option<BatchPolicy>,
    concurrency: usize,
) {
    let Some(BatchPolicy { max, wait, .. }) = batch else { return };
    let (own, of) = (s.key("batch.max"), s.key("concurrency"));
    let why = "every event of a batch is under way";
    s.findings.ordered(Order::AtMost, (&own, &max), (&of, &concurrency), &count(), why);
    let (own, of) = (s.key("batch.wait"), ("limits.spill_after", &around.limits.spill_after));
    let why = "a broker whose events wait for longer is set aside";
    s.findings.ordered(Order::Below, (&own, &wait), of, &DURATION, why);
}

/// A batch has one URL, and one set of headers.
pub(super) fn check_shape(s: &mut Section<'_, '_>, special: &Special) {
    if special.batch.is_none() {
        return;
    }
    if special.shape.url.is_some() {
        let remedy = "leave the batch out, or the places: events of one post may differ in them";
        s.report_key("batch", Refusal::new("stands beside a url with places", remedy));
    }
    if matches!(&special.shape.body, Body::CloudEvents(events) if events.mode == Mode::Binary) {
        let remedy = "use body = \"cloudevents\": in binary mode a post has the attributes of one event";
        s.report_key("batch", Refusal::new("stands beside body = \"cloudevents-binary\"", remedy));
    }
}
