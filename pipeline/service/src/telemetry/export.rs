//! Bounds the spans that wait for export, drops the rest, and counts all outcomes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor},
};

/// Counts of the spans of this run.
#[derive(Debug, Default)]
pub struct SpanCounts {
    waiting: AtomicUsize,
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    /// Whether the last export failed, so that it is logged once.
    in_trouble: AtomicBool,
}

impl SpanCounts {
    /// Spans the receiver has taken.
    #[must_use]
    pub fn exported(&self) -> u64 {
        self.exported.load(Relaxed)
    }

    /// Spans dropped because too many waited.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Spans lost because the receiver did not accept them.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }
}

/// A span processor whose bound is counted; the SDK's own would only log drops.
#[derive(Debug)]
pub(super) struct BoundedProcessor {
    processor: BatchSpanProcessor,
    counts: Arc<SpanCounts>,
    queue_max: usize,
}

impl BoundedProcessor {
    pub(super) fn new(processor: BatchSpanProcessor, counts: Arc<SpanCounts>, queue_max: usize) -> Self {
        Self { processor, counts, queue_max }
    }

    /// Takes a span, or drops it if too many wait. Never blocks.
    pub(super) fn take(&self, span: SpanData) {
        let counts = &self.counts;
        if counts.waiting.fetch_add(1, Relaxed) < self.queue_max {
            self.processor.on_end(span);
        } else {
            counts.waiting.fetch_sub(1, Relaxed);
            if counts.dropped.fetch_add(1, Relaxed) == 0 {
                tracing::warn!("spans are dropped: they come faster than telemetry.endpoint takes them");
            }
        }
    }

    pub(super) fn counts(&self) -> Arc<SpanCounts> {
        self.counts.clone()
    }

    pub(super) fn end(&self, timeout: Duration) -> OTelSdkResult {
        self.processor.shutdown_with_timeout(timeout)
    }
}

/// An exporter whose results are counted.
#[derive(Debug)]
pub(super) struct CountingExporter<E> {
    exporter: E,
    counts: Arc<SpanCounts>,
}

impl<E> CountingExporter<E> {
    pub(super) fn new(exporter: E, counts: Arc<SpanCounts>) -> Self {
        Self { exporter, counts }
    }
}

impl<E: SpanExporter> SpanExporter for CountingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let (counts, spans) = (&self.counts, batch.len());
        let exported = self.exporter.export(batch).await;
        counts.waiting.fetch_sub(spans, Relaxed);
        let of = if exported.is_ok() { &counts.exported } else { &counts.failed };
        of.fetch_add(spans as u64, Relaxed);
        let was_in_trouble = counts.in_trouble.swap(exported.is_err(), Relaxed);
        match &exported {
            Err(error) if !was_in_trouble => {
                tracing::warn!(%error, spans, "spans could not be exported to telemetry.endpoint");
            }
            Ok(()) if was_in_trouble => tracing::info!("spans are exported again"),
            _ => {}
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::{
        InstrumentationScope,
        trace::{SpanContext, SpanId, SpanKind, Status},
    };
    use opentelemetry_sdk::{error::OTelSdkError, trace::BatchConfigBuilder};
    use parking_lot::Mutex;

    use super::*;

    /// Takes a batch when it is told to, and fails as it is told.
    #[derive(Debug)]
    struct Gate {
        open: Arc<Mutex<()>>,
        fails: bool,
    }

    impl SpanExporter for Gate {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            drop(self.open.lock());
            if self.fails { Err(OTelSdkError::InternalFailure("no".to_owned())) } else { Ok(()) }
        }
    }

    fn span() -> SpanData {
        SpanData {
            span_context: SpanContext::NONE,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Client,
            name: "test".into(),
            start_time: std::time::UNIX_EPOCH,
            end_time: std::time::UNIX_EPOCH,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    /// Takes `count` spans while the exporter stands still, then ends.
    fn taken(count: usize, fails: bool) -> (u64, u64, u64) {
        let (open, counts) = (Arc::new(Mutex::new(())), Arc::new(SpanCounts::default()));
        let closed = open.lock();
        let exporter = CountingExporter::new(Gate { open: open.clone(), fails }, counts.clone());
        let batches =
            BatchConfigBuilder::default().with_max_queue_size(8).with_max_export_batch_size(4).build();
        let spans = BoundedProcessor::new(BatchSpanProcessor::new(exporter, batches), counts.clone(), 4);
        (0..count).for_each(|_| spans.take(span()));
        drop(closed);
        // What the export came to is counted; the processor's own word for it is not asked.
        let _either = spans.end(Duration::from_secs(60));
        (counts.exported(), counts.dropped(), counts.failed())
    }

    #[test]
    fn more_spans_than_may_wait_are_dropped_and_counted_and_nobody_waits() {
        assert_eq!(taken(4, false), (4, 0, 0));
        assert_eq!(taken(9, false), (4, 5, 0));
    }

    #[test]
    fn spans_that_are_not_taken_are_counted_as_failed() {
        assert_eq!(taken(5, true), (0, 1, 4));
    }
}
