//! Makes the spans of attempts.
//!
//! All attempts of an event are in one trace: the one the event names, or one derived from its body's digest, so that
//! it is the same at every broker, after a retry and after a restart.
//!
//! The span is made here and not by the SDK's tracer, which would choose a trace of its own for each attempt of an
//! event that names none.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample, SpanData},
};
use stages::models::{Attempt, Delivery};
use state::{Clock, TraceParent};
use tokio::time::Instant;

use super::export::{BoundedProcessor, SpanCounts};

/// The name of every span.
const NAME: &str = "deliver";

/// Makes spans of attempts.
#[derive(Debug)]
pub struct Tracer {
    spans: BoundedProcessor,
    /// The sampler of traces without a decision.
    sampler: Sampler,
    ids: RandomIdGenerator,
    scope: InstrumentationScope,
    clock: Clock,
}

/// A span that has span.
#[derive(Debug)]
pub(super) struct OpenSpan {
    span: SpanData,
    traceparent: TraceParent,
    at: Instant,
}

impl OpenSpan {
    /// The `traceparent` for the receiver.
    pub(super) fn traceparent(&self) -> TraceParent {
        self.traceparent
    }
}

impl Tracer {
    pub(super) fn new(spans: BoundedProcessor, sample_ratio: f64) -> Self {
        Self {
            spans,
            sampler: Sampler::TraceIdRatioBased(sample_ratio),
            ids: RandomIdGenerator::default(),
            scope: InstrumentationScope::builder("loadline").build(),
            clock: Clock::System,
        }
    }

    pub(super) fn counts(&self) -> Arc<SpanCounts> {
        self.spans.counts()
    }

    /// Begins the span of an attempt; none if its trace is not sampled.
    pub(super) fn begin(&self, delivery: &Delivery) -> Option<OpenSpan> {
        let event = delivery.event();
        let parent = event.traceparent;
        let trace_id = parent.map_or(event.digest.to_bytes(), |parent| parent.trace_id());
        let sampled = match parent {
            Some(parent) => parent.is_sampled(),
            None => self.chooses(TraceId::from_bytes(trace_id)),
        };
        if !sampled {
            return None;
        }
        let span_id = self.ids.new_span_id();
        let traceparent = TraceParent::new(trace_id, span_id.to_bytes(), true)?;
        let start = SystemTime::UNIX_EPOCH + Duration::from_millis(self.clock.now());
        let attributes = vec![
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("loadline.broker", delivery.broker.id.clone()),
            KeyValue::new("loadline.event_id", event.event_id.clone()),
            KeyValue::new("loadline.load_id", event.load_id.clone()),
            KeyValue::new("loadline.attempt", i64::from(delivery.history.attempts) + 1),
        ];
        let trace = TraceId::from_bytes(trace_id);
        let span = SpanData {
            span_context: SpanContext::new(trace, span_id, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: parent.map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.parent_id())),
            parent_span_is_remote: parent.is_some(),
            span_kind: SpanKind::Client,
            name: NAME.into(),
            start_time: start,
            end_time: start,
            attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        };
        Some(OpenSpan { span, traceparent, at: Instant::now() })
    }

    /// Ends it with the attempt's outcome.
    pub(super) fn end_of(&self, span: OpenSpan, attempt: &Attempt) {
        let OpenSpan { mut span, at, .. } = span;
        span.end_time = span.start_time + at.elapsed();
        let (outcome, status) = match attempt {
            Attempt::Accepted(receipt) => ("success", Some(receipt.status)),
            Attempt::Failed(_, failure) => {
                span.status = Status::error(failure.cause.clone());
                span.attributes.push(KeyValue::new("error.type", failure.outcome()));
                (failure.outcome(), failure.status)
            }
        };
        span.attributes.push(KeyValue::new("loadline.outcome", outcome));
        if let Some(status) = status {
            span.attributes.push(KeyValue::new("http.response.status_code", i64::from(status)));
        }
        self.spans.take(span);
    }

    /// Exports the waiting spans; later ones are lost. Blocks for at most `timeout`.
    pub(super) fn end(&self, timeout: Duration) -> OTelSdkResult {
        self.spans.end(timeout)
    }

    /// Whether a trace is sampled: the same for each attempt of an event.
    fn chooses(&self, trace: TraceId) -> bool {
        let chosen = self.sampler.should_sample(None, trace, NAME, &SpanKind::Client, &[], &[]);
        chosen.decision == SamplingDecision::RecordAndSample
    }
}
