//! `[telemetry]`: where spans of delivery attempts are exported, and for how many traces.

use std::time::Duration;

use ::url::Url;
use http::HeaderMap;

use super::{
    headers,
    problem::Refusal,
    section::Section,
    units::{DURATION, NUMBER, count},
    url::shown_url,
};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const URL_MAX: usize = 2048;
const NAME_MAX: usize = 128;

/// Where spans go: an OTLP receiver, by HTTP with protobuf. Off without an endpoint.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// The whole URL, with the path for traces; none turns tracing off. Its address is the operator's own choice and not
    /// held to `delivery.allow_networks`.
    pub endpoint: Option<Url>,
    /// Sent with every request, such as what the receiver is to be shown; as a broker's headers.
    pub headers: HeaderMap,
    /// The name under which the spans appear (default `loadline`).
    pub service_name: String,
    /// The share of traces that is sampled, if the event brings no decision (default 0.01, 0 to 1).
    pub sample_ratio: f64,
    /// How long spans wait for a batch (default 5 s, 10 ms to 5 min).
    pub interval: Duration,
    /// How long one export may take, and the last one at the end of a run (default 5 s, 100 ms to 1 min).
    pub timeout: Duration,
    /// Spans that may wait (default 4096, 1 to 1048576); more are dropped and counted.
    pub queue_max: usize,
}

impl TelemetryConfig {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        Self {
            endpoint: endpoint(s),
            headers: headers::read(s),
            service_name: service_name(s),
            sample_ratio: s.ranged("sample_ratio", 0.01, 0.0..=1.0, &NUMBER),
            interval: s.ranged("interval", 5 * SECOND, 10 * MILLI..=300 * SECOND, &DURATION),
            timeout: s.ranged("timeout", 5 * SECOND, 100 * MILLI..=60 * SECOND, &DURATION),
            queue_max: s.ranged("queue_max", 4096, 1..=1 << 20, &count()),
        }
    }
}

fn endpoint(s: &mut Section<'_, '_>) -> Option<Url> {
    s.know("endpoint", None, None);
    let item = s.item("endpoint")?;
    let text = item.value.as_str().filter(|text| text.len() <= URL_MAX).unwrap_or_default();
    match read_endpoint(text) {
        Ok(url) => Some(url),
        Err(refusal) => {
            // Not shown: it may contain a secret.
            s.report_hidden(&item, refusal);
            None
        }
    }
}

fn read_endpoint(text: &str) -> Result<Url, Refusal> {
    const REMEDY: &str = "give the whole URL, such as \"http://127.0.0.1:4318/v1/traces\"";
    let url = Url::parse(text)
        .map_err(|error| Refusal::new(format!("is not a URL of at most {URL_MAX} bytes: {error}"), REMEDY))?;
    let shown = shown_url(&url);
    if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
        return Err(Refusal::new(format!("is not a URL of an HTTP server ({shown})"), REMEDY));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        let problem = format!("has credentials or a fragment in it ({shown})");
        let remedy = "take them out and send credentials as headers = { authorization = \"file:PATH\" }";
        return Err(Refusal::new(problem, remedy));
    }
    if url.path() == "/" {
        return Err(Refusal::new(format!("has no path ({shown}): traces go to /v1/traces"), REMEDY));
    }
    Ok(url)
}

fn service_name(s: &mut Section<'_, '_>) -> String {
    const DEFAULT: &str = "loadline";
    s.know("service_name", Some(DEFAULT.to_owned()), None);
    let name = s.item("service_name").and_then(|item| s.text(&item, NAME_MAX));
    name.unwrap_or(DEFAULT).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_whole_url_and_its_secrets_are_not_repeated() {
        for fine in ["http://127.0.0.1:4318/v1/traces", "https://otlp.example/a?token=1"] {
            assert_eq!(read_endpoint(fine).unwrap().as_str(), fine);
        }
        let table = [
            ("", "not a URL"),
            ("127.0.0.1:4318", "not a URL"),
            ("ftp://a/v1/traces", "HTTP server"),
            ("http://127.0.0.1:4318", "no path"),
            ("https://me:hunter2@otlp.example/v1/traces?hunter2", "credentials"),
            ("https://otlp.example/v1/traces#hunter2", "fragment"),
        ];
        for (wrong, problem) in table {
            let refusal = read_endpoint(wrong).unwrap_err();
            assert!(refusal.problem.contains(problem), "{wrong}: {}", refusal.problem);
            assert!(!refusal.problem.contains("hunter2"), "{}", refusal.problem);
        }
    }
}
