//! A broker in the status: its state, its queues, its attempts of this run.

use serde::{Deserialize, Serialize};
use stages::{Broker, HealthState};
use state::{SpillUsage, UnixMillis};
use tokio::time::Instant;

use super::{RecentBroker, age, seconds};

/// A broker at one moment. Counts are of this run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerStatus {
    /// Its id.
    pub id: String,
    /// How it is doing: `healthy`, `draining` (healthy, with a backlog on disk, or leaving), `limited`, `open`,
    /// `half-open`, `paused`, `disabled`, or `stranded`: the config has not named it in this run, and what waits on disk
    /// for it stays there.
    pub state: String,
    /// Whether it was removed from the config: its waiting deliveries are sent, and nothing new.
    pub leaving: bool,
    /// Attempts made.
    pub attempts: u64,
    /// Events delivered.
    pub delivered: u64,
    /// Deliveries that became dead letters.
    pub dead_letters: u64,
    /// Deliveries in memory that are not on the wire.
    pub queued: u64,
    /// Deliveries on the wire.
    pub on_wire: u64,
    /// Deliveries on disk.
    pub spilled: u64,
    /// Their bytes.
    pub spilled_bytes: u64,
    /// The most bytes its disk queue may take; only from the admin endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spilled_bytes_max: Option<u64>,
    /// In how long its disk queue, or all of them together, will be full at the pace of the last minutes, in seconds;
    /// none if it does not grow. Only from the admin endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_in_seconds: Option<f64>,
    /// Deliveries in memory for which there is no room on disk.
    pub no_room: u64,
    /// What happens to those: `dead-letter` or `hold`.
    pub when_full: String,
    /// Deliveries that became dead letters for want of room.
    pub queue_full: u64,
    /// How long the oldest that waits has waited, in seconds; none if nothing waits.
    pub oldest_seconds: Option<f64>,
    /// Attempts a second it may be given, by this process.
    pub rate_allowed: f64,
    /// Attempts a second it may be given by all members of the group together; the same without a group.
    pub rate_whole: f64,
    /// Attempts that this process may have on the wire at once.
    pub concurrency_allowed: u64,
    /// Attempts that all members together may have on the wire at once.
    pub concurrency_whole: u64,
    /// Attempts a second over the last ten seconds; only from the admin endpoint, and not in the first second.
    pub rate_used: Option<f64>,
    /// The share of those that ended in these ten seconds that were taken, 0 to 1; none if none ended.
    pub success_ratio: Option<f64>,
    /// The share of them that it refused, with a 4xx.
    pub refused_ratio: Option<f64>,
    /// What became of the attempts of the last minutes; only from the admin endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recent: Option<RecentBroker>,
    /// The last failed attempt.
    pub last_error: Option<ErrorStatus>,
    /// Why it is disabled, if it is.
    pub disabled: Option<String>,
    /// Duplicates.
    pub duplicates: u64,
    /// Deliveries whose event id had come before with another body.
    pub conflicts: u64,
    /// Attempts answered 2xx.
    pub successes: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Those of them with which it asked for a pause.
    pub throttled: u64,
    /// Those with which it refused the event.
    pub refused: u64,
    /// Those without an answer: a timeout or a broken connection.
    pub unanswered: u64,
    /// Those in which nothing was sent, because the address is not allowed.
    pub unsent: u64,
    /// The rest of the failures, mostly 5xx.
    pub unwell: u64,
    /// Attempts of deliveries that had been attempted before.
    pub retries: u64,
    /// Retries put off because the retry budget was empty.
    pub deferred: u64,
    /// How often its breaker opened.
    pub opened: u64,
    /// Attempts that had to wait for its quota.
    pub quota_waits: u64,
    /// Attempts that may have repeated one of a run that ended before its outcome was on record.
    pub repeats_after_crash: u64,
    /// Attempts that may have repeated one that had no clear answer.
    pub repeats_after_no_answer: u64,
    /// Attempts that may have repeated one that was refused.
    pub repeats_after_refusal: u64,
}

/// A failed attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ErrorStatus {
    /// How long ago it ended, in seconds.
    pub age_seconds: f64,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What went wrong.
    pub cause: String,
}

impl BrokerStatus {
    pub(super) fn new(broker: &Broker, now: Instant, wall: UnixMillis) -> Self {
        let (counts, tally, health) = (broker.health.counts(), &broker.tally, &broker.health);
        let (quota, terms, leaving) = (broker.quota(), broker.terms(), broker.is_leaving());
        let (spilled, oldest_at) = (tally.gauges.spilled.get(), tally.gauges.oldest_at.get());
        let state = match health.state(now) {
            HealthState::Healthy if spilled > 0 || leaving => "draining",
            state => state.as_str(),
        };
        Self {
            id: broker.id.to_string(),
            state: state.to_owned(),
            leaving,
            attempts: counts.attempts,
            delivered: tally.delivered.get(),
            dead_letters: tally.dead_letters.get(),
            queued: tally.gauges.queued.get(),
            on_wire: tally.gauges.on_wire.get(),
            spilled,
            spilled_bytes: tally.gauges.spilled_bytes.get(),
            spilled_bytes_max: None,
            full_in_seconds: None,
            when_full: broker.when_full().as_str().to_owned(),
            queue_full: tally.queue_full.get(),
            no_room: tally.gauges.no_room.get(),
            oldest_seconds: (oldest_at > 0).then(|| age(wall, oldest_at)),
            rate_allowed: quota.rate(),
            rate_whole: terms.quota.rate(),
            concurrency_allowed: broker.concurrency() as u64,
            concurrency_whole: terms.concurrency as u64,
            rate_used: None,
            success_ratio: None,
            refused_ratio: None,
            recent: None,
            last_error: health.last_error().map(|error| ErrorStatus {
                age_seconds: seconds(now.saturating_duration_since(error.at)),
                status: error.status,
                cause: error.cause,
            }),
            disabled: health.disabled_reason().map(|reason| reason.to_string()),
            duplicates: tally.duplicates.get(),
            conflicts: tally.conflicts.get(),
            successes: counts.successes,
            failures: counts.failures,
            throttled: counts.throttled,
            refused: counts.refused,
            unanswered: counts.unanswered,
            unsent: counts.unsent,
            unwell: counts.server_errors,
            retries: tally.retries.get(),
            deferred: counts.deferred,
            opened: counts.opened,
            quota_waits: quota.waits(),
            repeats_after_crash: counts.repeats_after_crash,
            repeats_after_no_answer: counts.repeats_after_no_answer,
            repeats_after_refusal: counts.repeats_after_refusal,
        }
    }

    /// A broker that is not in the config, with deliveries on disk.
    #[must_use]
    pub fn stranded(id: &str, usage: SpillUsage) -> Self {
        Self {
            id: id.to_owned(),
            state: "stranded".to_owned(),
            spilled: usage.deliveries,
            spilled_bytes: usage.bytes,
            ..Self::default()
        }
    }

    /// Deliveries that wait for it, in memory or on disk.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        // A delivery read from disk stays there until it is settled; one without room is not there.
        self.queued.saturating_sub(self.no_room).max(self.spilled) + self.no_room
    }

    /// Deliveries that are on disk and not in memory as well.
    #[must_use]
    pub fn on_disk_only(&self) -> u64 {
        // While there is a backlog on disk, deliveries in memory are on disk, too, except those without room.
        self.spilled.saturating_sub((self.queued + self.on_wire).saturating_sub(self.no_room))
    }
}
