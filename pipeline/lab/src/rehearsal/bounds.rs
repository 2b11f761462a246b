//! The limits that a surge may reach, and which value of one holds.

use line::Limits;
use serde::Serialize;
use service::{assemble, config::Config};
use stages::RetryPolicy;
use state::CommitOptions;

use super::{observed::Observed, plan::Plan};

/// The most a value is raised to: the config's own bounds.
const DISK_MAX: u64 = 1 << 40;
const IN_FLIGHT_MAX: usize = 1 << 20;
const ATTEMPTS_MAX: u32 = 1_000;
/// Bytes on disk are given with so much room above what was needed, one part in so many.
const ROOM: u64 = 20;
/// A value that holds is told within one part in so many of the least.
const CLOSE: usize = 16;

/// A limit that a surge may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Limit {
    /// One broker's bytes on disk.
    #[serde(rename = "limits.spill_broker_max")]
    SpillBroker,
    /// All bytes on disk.
    #[serde(rename = "limits.spill_total_max")]
    SpillTotal,
    /// Deliveries in memory.
    #[serde(rename = "limits.in_flight_max")]
    InFlight,
    /// Bytes of bodies in memory.
    #[serde(rename = "limits.memory_max")]
    Memory,
    /// Records between the oldest unsettled and the newest.
    #[serde(rename = "limits.unsettled_max")]
    Unsettled,
    /// Attempts of a delivery.
    #[serde(rename = "retry.attempts_max")]
    Attempts,
}

/// What is allowed in a simulation.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) limits: Limits,
    pub(super) unsettled_max: usize,
    pub(super) retry: RetryPolicy,
    pub(super) commits: CommitOptions,
}

/// A value, and what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Which.
    pub limit: Limit,
    /// In the config.
    pub from: u64,
    /// What holds.
    pub to: u64,
}

impl Limit {
    /// Its key in the config.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::SpillBroker => "limits.spill_broker_max",
            Self::SpillTotal => "limits.spill_total_max",
            Self::InFlight => "limits.in_flight_max",
            Self::Memory => "limits.memory_max",
            Self::Unsettled => "limits.unsettled_max",
            Self::Attempts => "retry.attempts_max",
        }
    }

    /// Whether its value is a size in bytes.
    #[must_use]
    pub fn is_size(self) -> bool {
        matches!(self, Self::SpillBroker | Self::SpillTotal | Self::Memory)
    }

    /// Those that are raised together with it.
    pub(super) fn kin(self) -> &'static [Self] {
        match self {
            Self::SpillBroker | Self::SpillTotal => &[Self::SpillBroker, Self::SpillTotal],
            Self::InFlight | Self::Memory | Self::Unsettled => {
                &[Self::InFlight, Self::Memory, Self::Unsettled]
            }
            Self::Attempts => &[Self::Attempts],
        }
    }
}

impl Bounds {
    pub(super) fn of(config: &Config) -> Self {
        let limits = assemble::limits(config);
        let (unsettled_max, retry) = (config.limits.unsettled_max, config.retry.policy());
        Self { commits: assemble::commits(config, &limits), limits, unsettled_max, retry }
    }

    pub(super) fn value(&self, limit: Limit) -> u64 {
        match limit {
            Limit::SpillBroker => self.limits.spill_broker_max,
            Limit::SpillTotal => self.limits.spill_total_max,
            Limit::InFlight => self.limits.in_flight_max as u64,
            Limit::Memory => self.limits.memory_max,
            Limit::Unsettled => self.unsettled_max as u64,
            Limit::Attempts => self.retry.attempts_max.into(),
        }
    }

    /// What is other than in `before`.
    pub(super) fn changes(&self, before: &Self, limit: Limit) -> Vec<Changed> {
        let changed =
            |limit: &Limit| Changed { limit: *limit, from: before.value(*limit), to: self.value(*limit) };
        limit.kin().iter().map(changed).filter(|changed| changed.from != changed.to).collect()
    }

    /// As much on disk as there may ever be.
    fn with_all_disk(&self) -> Self {
        let mut bounds = self.clone();
        (bounds.limits.spill_broker_max, bounds.limits.spill_total_max) = (DISK_MAX, DISK_MAX);
        bounds
    }

    /// Enough on disk for what was seen.
    fn with_disk_for(&self, seen: &Observed) -> Self {
        let enough = |needed: u64, now: u64| {
            let needed = needed + needed / ROOM + (64 << 10);
            // A size that can be typed: whole MiB, or KiB below a few of them.
            let unit = if needed < 4 << 20 { 64 << 10 } else { 1 << 20 };
            now.max(needed.next_multiple_of(unit))
        };
        let of_broker = seen.brokers.iter().map(|broker| broker.peak_spilled_bytes).max().unwrap_or(0);
        let mut bounds = self.clone();
        let limits = &mut bounds.limits;
        limits.spill_broker_max = enough(of_broker, limits.spill_broker_max);
        limits.spill_total_max =
            enough(seen.peak_spilled_bytes, limits.spill_total_max).max(limits.spill_broker_max);
        bounds
    }

    /// Memory for so many deliveries: places, bytes for as many bodies, and the span that goes with them.
    fn with_memory_for(&self, deliveries: usize, body: usize) -> Self {
        let mut bounds = self.clone();
        let bodies = (deliveries as u64) * (body as u64 / 1_024 + 1) * 1_024;
        bounds.limits.in_flight_max = deliveries.max(self.limits.in_flight_max);
        bounds.limits.memory_max = self.limits.memory_max.max(bodies.next_multiple_of(1 << 20));
        bounds.unsettled_max = self.unsettled_max.max(2 * deliveries);
        bounds.commits.inbox_max += 2 * (bounds.limits.in_flight_max - self.limits.in_flight_max);
        bounds
    }

    /// Bounds with which `limit` holds, and what was seen with them; none if no value does. `simulate` stops early once one
    /// of the limits it is given is reached.
    pub(super) fn holding<F>(
        &self,
        limit: Limit,
        plan: &Plan,
        mut simulate: impl FnMut(&Self, &[Limit]) -> Result<Observed, F>,
    ) -> Result<Option<(Self, Observed)>, F> {
        let mut holds = |bounds: Self| {
            let seen = simulate(&bounds, limit.kin())?;
            let is_broken = seen.broken.iter().any(|broken| limit.kin().contains(&broken.limit));
            Ok((!is_broken).then_some((bounds, seen)))
        };
        match limit {
            Limit::SpillBroker | Limit::SpillTotal => match holds(self.with_all_disk())? {
                Some((_, seen)) => holds(self.with_disk_for(&seen)),
                None => Ok(None),
            },
            Limit::InFlight | Limit::Memory | Limit::Unsettled => {
                let least = self.limits.in_flight_max;
                closest(least, IN_FLIGHT_MAX, |places| holds(self.with_memory_for(places, plan.body)))
            }
            Limit::Attempts => closest(self.retry.attempts_max as usize, ATTEMPTS_MAX as usize, |attempts| {
                let mut bounds = self.clone();
                bounds.retry.attempts_max = u32::try_from(attempts).unwrap_or(ATTEMPTS_MAX);
                holds(bounds)
            }),
        }
    }
}

/// The least value between the two, within one part in [`CLOSE`], for which there is an outcome; none if there is none for
/// `most`, which is looked at last.
fn closest<T, F>(
    broken: usize,
    most: usize,
    mut outcome: impl FnMut(usize) -> Result<Option<T>, F>,
) -> Result<Option<T>, F> {
    let mut broken = broken;
    let (mut holds, mut found) = loop {
        if broken >= most {
            return Ok(None);
        }
        let value = (broken * 2).max(2).min(most);
        match outcome(value)? {
            Some(found) => break (value, found),
            None => broken = value,
        }
    };
    while holds - broken > (holds / CLOSE).max(1) {
        let value = usize::midpoint(broken, holds);
        match outcome(value)? {
            Some(closer) => (holds, found) = (value, closer),
            None => broken = value,
        }
    }
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn the_least_value_that_holds_is_found_closely_and_none_if_none_does() {
        for needed in [3, 100, 4_097, 1_000_000] {
            let mut looks = 0;
            let found = closest::<_, Infallible>(2, IN_FLIGHT_MAX, |value| {
                looks += 1;
                Ok((value >= needed).then_some(value))
            });
            let found = found.unwrap().unwrap();
            assert!((needed..=needed + needed / CLOSE + 1).contains(&found), "{found} for {needed}");
            assert!(looks < 30, "{looks}");
        }
        assert_eq!(closest::<(), Infallible>(2, 64, |_| Ok(None)), Ok(None));
    }
}
