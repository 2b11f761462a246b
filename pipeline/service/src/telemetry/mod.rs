//! Traces: exports a span for each attempt of a sampled trace to an OTLP receiver, and sends `traceparent` to the
//! receiver of the webhook.
//!
//! Off unless it is configured. The line never waits for it: spans that do not fit into a bounded queue, or cannot be
//! exported in time, are dropped and counted. A sampling decision that came with the event is kept, for or against.

mod client;
mod export;
mod traced;
mod tracer;

use std::{sync::Arc, time::Duration};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SpanProcessor},
};
use tokio::runtime::Handle;

pub use export::SpanCounts;
pub(crate) use traced::Traced;
pub use tracer::Tracer;

use crate::config::TelemetryConfig;
use client::Client;
use export::{BoundedProcessor, CountingExporter};

/// Spans in one export.
const BATCH_MAX: usize = 512;

/// Why traces cannot be exported with a valid config.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryFault {
    /// The HTTP client cannot be made.
    #[error("the client for telemetry.endpoint cannot be made: {0}")]
    Client(#[from] reqwest::Error),
    /// The exporter refuses its settings, which may come from `OTEL_EXPORTER_OTLP_*` in the environment.
    #[error("the exporter for telemetry.endpoint cannot be made: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// There is no runtime to send from.
    #[error("traces need a tokio runtime: {0}")]
    Runtime(#[from] tokio::runtime::TryCurrentError),
}

/// The export of spans.
#[derive(Debug)]
pub struct Telemetry {
    tracer: Arc<Tracer>,
    timeout: Duration,
}

impl Telemetry {
    /// Starts exporting to the configured endpoint from the runtime this is called on; none if there is no endpoint.
    ///
    /// # Errors
    /// [`TelemetryFault`]. An endpoint where nobody listens is not one: it is noticed with the first spans.
    pub fn start(config: &TelemetryConfig) -> Result<Option<Self>, TelemetryFault> {
        let Some(endpoint) = &config.endpoint else { return Ok(None) };
        let client = Client::new(Handle::try_current()?, config)?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .with_http_client(client)
            .with_endpoint(endpoint.as_str())
            .with_timeout(config.timeout)
            .build()?;
        let counts = Arc::new(SpanCounts::default());
        let batches = BatchConfigBuilder::default()
            // Never what drops a span: `BoundedProcessor` does, and counts.
            .with_max_queue_size(config.queue_max + BATCH_MAX)
            .with_max_export_batch_size(BATCH_MAX)
            .with_scheduled_delay(config.interval)
            .build();
        let mut processor = BatchSpanProcessor::new(CountingExporter::new(exporter, counts.clone()), batches);
        // Built from scratch, so that nothing comes from the environment.
        let resource = Resource::builder_empty()
            .with_service_name(config.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        processor.set_resource(&resource.build());
        let spans = BoundedProcessor::new(processor, counts, config.queue_max);
        let tracer = Arc::new(Tracer::new(spans, config.sample_ratio));
        Ok(Some(Self { tracer, timeout: config.timeout }))
    }

    /// Makes spans of attempts.
    #[must_use]
    pub fn tracer(&self) -> Arc<Tracer> {
        self.tracer.clone()
    }

    /// Counts of the spans.
    #[must_use]
    pub fn counts(&self) -> Arc<SpanCounts> {
        self.tracer.counts()
    }

    /// Exports the waiting spans, within the timeout of one export.
    pub async fn end(self) {
        let Self { tracer, timeout } = self;
        // It blocks until the exporter's thread has sent the rest through this runtime.
        let ended = tokio::task::spawn_blocking(move || tracer.end(timeout)).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "the last spans may not have been exported");
        }
    }
}
