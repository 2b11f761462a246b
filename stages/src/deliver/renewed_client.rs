//! An HTTP client that is replaced by a new one once it has reached an age, so that no connection is kept for longer.
//!
//! A kept connection goes on leading to where its host was when it was opened. The old client's unused connections
//! close with it; requests that are under way on it end as they would have.

use std::{fmt, time::Duration};

use arc_swap::ArcSwap;
use reqwest::Client;
use tokio::time::Instant;

type Make = Box<dyn Fn() -> reqwest::Result<Client> + Send + Sync>;

/// A client, and how its successor is made.
pub(super) struct RenewedClient {
    current: ArcSwap<Dated>,
    age_max: Duration,
    make: Make,
}

struct Dated {
    client: Client,
    since: Instant,
}

impl RenewedClient {
    /// A client that `make` makes, now and each time it is older than `age_max`.
    ///
    /// # Errors
    /// The client library refuses the options.
    pub(super) fn new(
        age_max: Duration,
        make: impl Fn() -> reqwest::Result<Client> + Send + Sync + 'static,
    ) -> reqwest::Result<Self> {
        let current = Dated { client: make()?, since: Instant::now() };
        Ok(Self { current: ArcSwap::from_pointee(current), age_max, make: Box::new(make) })
    }

    /// The client for a request that begins at `now`.
    pub(super) fn at(&self, now: Instant) -> Client {
        let current = self.current.load();
        if now.saturating_duration_since(current.since) < self.age_max {
            return current.client.clone();
        }
        match (self.make)() {
            Ok(client) => {
                self.current.store(Dated { client: client.clone(), since: now }.into());
                client
            }
            // The same options made the one before.
            Err(error) => {
                tracing::warn!(%error, "the http client cannot be renewed; connections are kept for longer");
                current.client.clone()
            }
        }
    }
}

impl fmt::Debug for RenewedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewedClient").field("age_max", &self.age_max).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    #[test]
    fn it_is_made_anew_at_its_age_and_not_before() {
        crate::install_crypto();
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let age = Duration::from_secs(300);
        let client = RenewedClient::new(age, move || {
            count.fetch_add(1, Ordering::Relaxed);
            Client::builder().no_proxy().build()
        })
        .unwrap();
        let start = client.current.load().since;
        let made_at = |seconds| {
            drop(client.at(start + Duration::from_secs(seconds)));
            made.load(Ordering::Relaxed)
        };
        assert_eq!([0, 299, 300, 301, 599, 600, 10_000].map(made_at), [1, 1, 2, 2, 2, 3, 4]);
    }
}
