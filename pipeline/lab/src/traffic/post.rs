//! Posts a run's traffic to an intake over HTTP, as a producer would: in order, one request after another, again after a
//! refusal that asks for patience. A request whose answer was lost is posted again: what it held may then stand in the
//! log twice, which is what the line is there for.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::Client;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{Entry, Traffic, appended::Appended, clock::RunClock};
use service::config::Secret;

/// How often what is due is posted: a producer gathers for a moment.
const TICK: Duration = Duration::from_millis(5);
/// The most records in one request.
const RECORDS_MAX: usize = 500;
/// The most bytes in one request, unless one record alone is longer: half of what an intake takes by default.
const BYTES_MAX: usize = 512 * 1024;
/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait when the intake does not say.
const PAUSE: Duration = Duration::from_millis(250);
/// How often in a row a request may fail before the run is given up: the pauses between are some ten seconds together.
const FAILURES_MAX: u32 = 40;

/// Why nothing more is posted.
#[derive(Debug, thiserror::Error)]
pub enum PostFault {
    /// There can be no client.
    #[error("the producer's HTTP client cannot be made: {0}")]
    Client(reqwest::Error),
    /// The token cannot be sent.
    #[error("the intake's token cannot stand in a header: use printable ASCII")]
    Token,
    /// The intake refused for good.
    #[error("the intake at {url} answered {status}: {detail}")]
    Refused {
        /// The intake.
        url: String,
        /// Its answer.
        status: StatusCode,
        /// In its words.
        detail: String,
    },
    /// The intake is not there.
    #[error("the intake at {url} took nothing in {FAILURES_MAX} tries: {detail}; is the pipeline running?")]
    Away {
        /// The intake.
        url: String,
        /// What was tried last, in words.
        detail: String,
    },
}

/// Posts to one intake.
#[derive(Debug)]
pub struct Poster {
    client: Client,
    url: String,
    next: usize,
    appended: Appended,
}

impl Poster {
    /// A producer for the intake at `url`.
    ///
    /// # Errors
    /// [`PostFault::Client`] or [`PostFault::Token`].
    pub fn new(url: &str, token: Option<&Secret>) -> Result<Self, PostFault> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        if let Some(token) = token {
            let value = HeaderValue::try_from(format!("Bearer {}", token.expose()));
            let mut value = value.map_err(|_| PostFault::Token)?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        stages::install_crypto();
        let client = Client::builder().no_proxy().default_headers(headers).timeout(TIMEOUT).build();
        let client = client.map_err(PostFault::Client)?;
        Ok(Self { client, url: url.to_owned(), next: 0, appended: Appended::default() })
    }

    /// What has been posted so far.
    #[must_use]
    pub fn appended(&self) -> Appended {
        self.appended.clone()
    }

    /// Posts all of `traffic`, each record in its time.
    ///
    /// # Errors
    /// [`PostFault::Refused`] or [`PostFault::Away`].
    pub async fn play(&mut self, traffic: &Traffic, clock: &RunClock) -> Result<(), PostFault> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while self.next < traffic.log.len() {
            ticks.tick().await;
            let rest = &traffic.log[self.next..];
            let due = rest.partition_point(|entry| entry.at_ms <= clock.now_ms()).min(RECORDS_MAX);
            let (body, count) = batch(&rest[..due]);
            if count > 0 {
                let at_ms = self.post(body.into(), clock).await?;
                self.appended.add(count, at_ms);
                self.next += count;
            }
        }
        Ok(())
    }

    /// Posts `body` until it is taken; gives when the request that was taken began: its events may be delivered before
    /// the answer is there.
    async fn post(&self, body: Bytes, clock: &RunClock) -> Result<u64, PostFault> {
        let mut detail = String::new();
        for _ in 0..FAILURES_MAX {
            let at_ms = clock.now_ms();
            let pause = match self.client.post(&self.url).body(body.clone()).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(at_ms),
                Ok(answer) => {
                    let status = answer.status();
                    let pause = pause(answer.headers());
                    detail = answer.text().await.unwrap_or_default();
                    let patience = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
                    if !patience.contains(&status) {
                        return Err(PostFault::Refused { url: self.url.clone(), status, detail });
                    }
                    pause
                }
                Err(error) => {
                    detail = error.to_string();
                    PAUSE
                }
            };
            sleep(pause).await;
        }
        Err(PostFault::Away { url: self.url.clone(), detail })
    }
}

/// As many of `entries` as fit in one request, one a line; at least one if there is one.
fn batch(entries: &[Entry]) -> (Vec<u8>, usize) {
    let (mut body, mut count) = (Vec::new(), 0);
    for entry in entries {
        if count > 0 && body.len() + entry.body.len() > BYTES_MAX {
            break;
        }
        body.extend_from_slice(&entry.body);
        body.push(b'\n');
        count += 1;
    }
    (body, count)
}

/// The seconds of Retry-After, if there are any.
fn pause(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map_or(PAUSE, Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::super::Form;
    use super::*;

    #[test]
    fn a_batch_is_bounded_but_never_empty() {
        let entry =
            |len: usize| Entry { at_ms: 0, event: None, form: Form::Garbage, body: vec![b'x'; len].into() };
        assert_eq!(batch(&[entry(3), entry(4)]), (b"xxx\nxxxx\n".to_vec(), 2));
        assert_eq!(batch(&[entry(2 * BYTES_MAX), entry(1)]).1, 1);
        assert_eq!(batch(&[]), (Vec::new(), 0));
    }

    #[test]
    fn retry_after_is_honoured_and_else_a_moment() {
        let mut headers = HeaderMap::new();
        assert_eq!(pause(&headers), PAUSE);
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        assert_eq!(pause(&headers), Duration::from_secs(2));
    }
}
