//! Loadline's config for a run, and what its state directory says after it.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustc_hash::FxHashMap;
use service::{
    assemble::store_options,
    config::{Config, SourceKind},
};
use sources::FileSource;
use state::{Spill, StateFault, Store};
use toml::Value;

use crate::{
    BodyDigest, BrokerTable, RunDir,
    member_source::MemberSource,
    oracle::DeadClaim,
    traffic::{Traffic, profile::Profile},
};

/// The name of the log in the run's directory.
const LOG: &str = "log.ndjson";

/// The secret a simulated broker shares with Loadline, `whsec_…`. It guards nothing: anyone can read it here.
#[must_use]
pub fn secret(id: &str) -> String {
    format!("whsec_{}", STANDARD.encode(format!("{:-<32.32}", format!("surge-secret-of-{id}"))))
}

/// Writes config and secrets of a run over a file into `dir`; gives the config's path.
///
/// # Errors
/// A file cannot be written.
pub fn write_loadline_config(dir: &Path, profile: &Profile, addresses: &[SocketAddr]) -> io::Result<PathBuf> {
    let mut dir = RunDir::new(dir)?;
    dir.set("source.kind", "file");
    dir.set("source.path", LOG);
    dir.set("source.follow", true);
    dir.set("source.poll", "10ms");
    write_config(dir, profile, addresses)
}

/// Writes config and secrets of a member, whose state follows its partitions, into `dir`; gives the config's path.
///
/// # Errors
/// A file cannot be written.
pub fn write_loadline_member(
    dir: &Path,
    source: &MemberSource,
    profile: &Profile,
    addresses: &[SocketAddr],
) -> io::Result<PathBuf> {
    let mut dir = RunDir::new(dir)?;
    source.set_on(&mut dir);
    write_config(dir, profile, addresses)
}

fn write_config(mut dir: RunDir, profile: &Profile, addresses: &[SocketAddr]) -> io::Result<PathBuf> {
    dir.set("state.dir", "state");
    dir.set("log.level", "warn");
    for (name, section) in &profile.loadline {
        match section {
            Value::Table(keys) => dir.set_all(name, keys.clone()),
            other => dir.set(name, other.clone()),
        }
    }
    for (broker, address) in profile.brokers.iter().zip(addresses) {
        let secret = dir.keep_secret(&format!("{}.secret", broker.id), &secret(&broker.id))?;
        let table = BrokerTable::new(&broker.id, format!("http://{address}/webhooks"), secret)
            .with("rate", broker.rate)
            .with_some("burst", broker.burst)
            .with_some("concurrency", broker.concurrency);
        dir.add_broker(table.subscribed(&broker.subscription()));
    }
    dir.save()
}

/// What Loadline's state directory says after a run.
#[derive(Clone, Debug, Default)]
pub struct StateReport {
    /// Its dead letters.
    pub dead: Vec<DeadClaim>,
    /// Deliveries that wait on disk: broker and event, by their places.
    pub spilled: Vec<(u16, u32)>,
    /// How far the log is settled, in bytes; none if there is no checkpoint.
    pub settled_to: Option<u64>,
}

/// Reads the state directory of `config`, which no process may be using.
///
/// # Errors
/// A fault of the state.
pub fn read_state(config: &Config, traffic: &Traffic) -> Result<StateReport, StateFault> {
    let events: FxHashMap<&str, u32> =
        (0..).zip(&traffic.events).map(|(place, event)| (event.id.as_str(), place)).collect();
    let brokers: FxHashMap<&str, u16> =
        (0..).zip(&config.brokers).map(|(place, broker)| (broker.id.as_str(), place)).collect();
    let store = Store::open(&config.state.dir, store_options(&config.state))?;
    let mut book = StateReport::default();
    if let SourceKind::File { path, .. } = &config.source.kind {
        let checkpoint = store.sources().checkpoint(&FileSource::name_of(path))?;
        book.settled_to = Some(checkpoint.map_or(0, |checkpoint| checkpoint.offset));
    }
    for letter in store.dead_letters().iter() {
        let letter = letter?;
        book.dead.push(DeadClaim {
            broker: letter.broker.as_deref().and_then(|id| brokers.get(id).copied()),
            event: letter.event_id.as_deref().and_then(|id| events.get(id).copied()),
            cause: letter.cause.clone(),
            digest: BodyDigest::of(&letter.body),
        });
    }
    for (id, place) in &brokers {
        let id: Arc<str> = Arc::from(*id);
        read_spilled(store.spill(), &id, |event_id| {
            // What waits but was never issued is caught by what the brokers see of it.
            book.spilled.extend(events.get(event_id).map(|event| (*place, *event)));
        })?;
    }
    Ok(book)
}

fn read_spilled(spill: &Spill, broker: &Arc<str>, mut each: impl FnMut(&str)) -> Result<(), StateFault> {
    const AT_ONCE: usize = 1_000;
    let mut from = 0;
    loop {
        let read = spill.read(broker, from..u64::MAX, AT_ONCE)?;
        read.iter().for_each(|delivery| each(&delivery.event.event_id));
        match read.last() {
            Some(last) if read.len() == AT_ONCE => from = last.seq + 1,
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::profile::BUILTIN;

    #[test]
    fn every_profile_makes_a_config_loadline_takes() {
        for builtin in BUILTIN {
            let (dir, profile) = (tempfile::tempdir().unwrap(), Profile::load(builtin.name).unwrap());
            std::fs::write(dir.path().join(LOG), "").unwrap();
            let addresses: Vec<SocketAddr> = (0..profile.brokers.len() as u16)
                .map(|port| SocketAddr::from(([127, 0, 0, 1], 9_000 + port)))
                .collect();
            let path = write_loadline_config(dir.path(), &profile, &addresses).unwrap();
            let config = Config::load(&path).unwrap_or_else(|errors| panic!("{}: {errors}", builtin.name));
            for (broker, wanted) in config.brokers.iter().zip(&profile.brokers) {
                assert_eq!(broker.subscription, wanted.subscription(), "{}: {}", builtin.name, broker.id);
                assert_eq!(broker.rate, wanted.rate);
            }
        }
    }

    #[test]
    fn each_broker_has_a_secret_of_its_own_that_is_one() {
        assert_ne!(secret("amber"), secret("basalt"));
        for id in ["a", "a-broker-with-a-name-that-is-longer-than-any-secret"] {
            assert!(stages::SigningKey::parse(&secret(id)).is_ok(), "{id}");
        }
    }
}
