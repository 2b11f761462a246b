//! Raises the limit of file descriptors as far as the system allows, and compares it with what the config can use.
//!
//! Guarantee: producers' connections never take the descriptors that the store, the endpoints and the threads need.

use std::{fmt, io};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{Config, SourceKind};
use fluvio_engine::Partitions;

/// The standard streams, the store's files, the lock, the listeners and the runtimes of other threads, 24 in all; and
/// some for large values, name look-ups, and the config and secrets of a reload.
const BASE: u64 = 32;

/// A shard's runtime.
const PER_SHARD: u64 = 4;

/// Connections to the admin endpoint.
const ADMIN: u64 = 18;

/// Of these, connections without the token, if there is one.
const ADMIN_STRANGERS: u64 = 16;

/// A partition of a topic: a connection to its leader, one that replaces it, and one to the controller.
const PER_PARTITION: u64 = 3;

/// How many partitions are assumed for `"all"`.
const PARTITIONS_GUESSED: u64 = 16;

/// For a Kafka client: a connection to each broker that leads a partition or coordinates, and two ends of a pipe for each of
/// its threads. However many partitions there are; a cluster of twenty brokers fits.
const KAFKA: u64 = 96;

/// The connections to a database of subscriptions, and those that replace them.
const DATABASE: u64 = 4;

/// The fewest producers' connections with which a run starts.
const CONNECTIONS_MIN: u64 = 4;

/// How many descriptors a config can use at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// For producers' connections.
    pub(crate) producers: u64,
    /// For requests to brokers and to the admin endpoint.
    pub(crate) requests: u64,
    /// For everything else; without these a run cannot start.
    pub(crate) rest: u64,
}

/// How a limit compares with the need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Headroom {
    /// There are enough.
    Enough,
    /// They can run out; producers get this many connections.
    Scarce(u64),
    /// A run cannot start.
    TooFew,
}

/// There are too few descriptors, with the numbers and the way out.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub struct Shortage {
    limit: u64,
    need: Need,
}

impl Need {
    /// What `config` can use with so many shards.
    pub(crate) fn of(config: &Config, shards: usize) -> Self {
        let on_wire: usize = config.brokers.iter().map(|broker| broker.concurrency).sum();
        let (producers, source) = match &config.source.kind {
            SourceKind::Http(http) => {
                let strangers = if http.token.is_some() { http.strangers_max } else { 0 };
                ((http.connections_max + strangers) as u64, 1)
            }
            SourceKind::Fluvio(fluvio) => {
                let partitions = match &fluvio.partitions {
                    Partitions::All => PARTITIONS_GUESSED,
                    Partitions::These(these) => these.len() as u64,
                };
                (0, PER_PARTITION * partitions)
            }
            SourceKind::Kafka(_) => (0, KAFKA),
            SourceKind::File { .. } | SourceKind::Stdin => (0, 4),
        };
        let database = if config.subscriptions.is_some() { DATABASE } else { 0 };
        let strangers = if config.admin.token.is_some() { ADMIN_STRANGERS } else { 0 };
        Self {
            producers,
            requests: ADMIN + strangers + on_wire.min(config.limits.in_flight_max) as u64,
            rest: BASE + PER_SHARD * shards as u64 + source + database,
        }
    }

    /// Compares the need with `limit`. Requests without a descriptor wait, which loses nothing.
    pub(crate) fn headroom(&self, limit: u64) -> Headroom {
        let Self { producers, requests, rest } = *self;
        if limit >= rest + requests + producers {
            return Headroom::Enough;
        }
        let left = limit.saturating_sub(rest);
        // At most half of what is left: the other half is for the requests.
        let connections = producers.min((left / 2).max(left.saturating_sub(requests)));
        let least = producers.min(CONNECTIONS_MIN);
        if left == 0 || connections < least { Headroom::TooFew } else { Headroom::Scarce(connections) }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, need: Need { producers, requests, rest } } = self;
        let sum = producers + requests + rest;
        write!(
            f,
            "the process may have {limit} open files, and this config can use {sum}: {producers} for producers, \
             {requests} for requests to brokers and to the admin endpoint, {rest} for the store and the threads; raise the limit \
             (`ulimit -n`, `LimitNOFILE=` of the service), or lower source.connections_max, delivery.concurrency or \
             limits.in_flight_max"
        )
    }
}

/// Raises the limit, and returns how many of the configured connections producers may have. Warns if descriptors can
/// run out.
///
/// # Errors
/// [`Shortage`] if a run cannot start.
pub(crate) fn connections(config: &Config, shards: usize) -> Result<usize, Shortage> {
    let need = Need::of(config, shards);
    let all = usize::try_from(need.producers).unwrap_or(usize::MAX);
    let limit = match raise() {
        Ok(Some(limit)) => limit,
        Ok(None) => return Ok(all),
        Err(error) => {
            tracing::warn!(%error, "the limit on open files cannot be raised");
            getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
        }
    };
    match need.headroom(limit) {
        Headroom::Enough => Ok(all),
        Headroom::TooFew => Err(Shortage { limit, need }),
        Headroom::Scarce(connections) => {
            let shortage = Shortage { limit, need };
            tracing::warn!(connections, "file descriptors can run out: {shortage}");
            Ok(usize::try_from(connections).unwrap_or(all))
        }
    }
}

/// Raises the limit on open files as far as the system lets the process; gives the limit in force, none if there is none.
///
/// # Errors
/// The system's, if it refuses what it had allowed.
pub(crate) fn raise() -> io::Result<Option<u64>> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(maximum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn producers_get_what_is_left_and_without_the_rest_there_is_no_run() {
        let need = Need { producers: 256, requests: 100, rest: 80 };
        assert_eq!(need.headroom(436), Headroom::Enough);
        assert_eq!(need.headroom(435), Headroom::Scarce(255));
        assert_eq!(need.headroom(180), Headroom::Scarce(50), "half is for the requests");
        assert_eq!(need.headroom(88), Headroom::Scarce(4));
        assert_eq!(need.headroom(87), Headroom::TooFew);
        assert_eq!(need.headroom(10), Headroom::TooFew);
        let file = Need { producers: 0, ..need };
        assert_eq!(
            (file.headroom(180), file.headroom(179), file.headroom(80)),
            (Headroom::Enough, Headroom::Scarce(0), Headroom::TooFew)
        );
        let told = Shortage { limit: 64, need }.to_string();
        for words in ["64", "436", "LimitNOFILE"] {
            assert!(told.contains(words), "{told}");
        }
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_goes() {
        let limit = raise().unwrap();
        assert_eq!(getrlimit(Resource::Nofile).current, limit);
    }
}
