//! Writes families of metrics in Prometheus's text format 0.0.4. The values are in atomics elsewhere; here they get names
//! and labels.
//!
//! The `prometheus` crate's encoder writes families that are built here one at a time, so no second registry is needed. Of the other two crates in wide use (versions looked at:
//! 0.25.2 and 0.18.3), `prometheus-client` takes values from a collector as well but writes OpenMetrics 1.0 only, in
//! which a counter's family has another name than its series, so that what reads 0.0.4 finds it untyped; and
//! `metrics-exporter-prometheus` renders what its own recorder has been given and nothing else.

use prometheus::{
    Encoder, TextEncoder,
    proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};
use state::Latency;

/// A series' label: its name and its value.
pub(super) type Label<'l> = (&'static str, &'l str);

/// The kind of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A counter, from zero at the start of the run.
    Counter,
    /// A gauge.
    Gauge,
}

/// The text being written.
#[derive(Debug, Default)]
pub(super) struct Exposition(Vec<u8>);

impl Exposition {
    /// A family of one series without labels.
    pub(super) fn one(&mut self, name: &str, kind: Kind, help: &str, value: f64) {
        self.family(name, kind, help, [([].as_slice(), value)]);
    }

    /// A family of counters or gauges; without series it is left out.
    pub(super) fn family<'l, L: AsRef<[Label<'l>]>>(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        series: impl IntoIterator<Item = (L, f64)>,
    ) {
        let metrics = series.into_iter().map(|(labels, value)| {
            let mut metric = metric(labels.as_ref());
            match kind {
                Kind::Counter => {
                    let mut counter = Counter::default();
                    counter.set_value(value);
                    metric.set_counter(counter);
                }
                Kind::Gauge => {
                    let mut gauge = Gauge::default();
                    gauge.set_value(value);
                    metric.set_gauge(gauge);
                }
            }
            metric
        });
        let kind = match kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
        };
        self.write(name, kind, help, metrics.collect());
    }

    /// A family of histograms, in seconds.
    pub(super) fn histograms<'l, L: AsRef<[Label<'l>]>>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, Latency)>,
    ) {
        let metrics = series.into_iter().map(|(labels, read)| {
            let buckets = read.at_most.into_iter().map(|(bound, count)| {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(bound);
                bucket.set_cumulative_count(count);
                bucket
            });
            let mut histogram = Histogram::default();
            histogram.set_bucket(buckets.collect());
            histogram.set_sample_count(read.count);
            histogram.set_sample_sum(read.sum);
            let mut metric = metric(labels.as_ref());
            metric.set_histogram(histogram);
            metric
        });
        self.write(name, MetricType::HISTOGRAM, help, metrics.collect());
    }

    fn write(&mut self, name: &str, kind: MetricType, help: &str, metrics: Vec<Metric>) {
        // The encoder refuses a family without series.
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        if let Err(error) = TextEncoder::new().encode(&[family], &mut self.0) {
            tracing::warn!(%error, name, "a metric cannot be written");
        }
    }

    /// The text.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

fn metric(labels: &[Label<'_>]) -> Metric {
    let pair = |(name, value): &Label<'_>| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    Metric::from_label(labels.iter().map(pair).collect())
}
