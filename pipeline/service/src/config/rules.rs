//! `[rules]`: the limits of an event's values.

use std::time::Duration;

use stages::{AGE_MAX_DEFAULT, AHEAD_MAX_DEFAULT, ID_MAX_DEFAULT, Rules, UnknownStatus};

use super::{
    schema::SchemaConfig,
    section::Section,
    units::{DURATION, size},
};

const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);

/// The limits of an event's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesConfig {
    /// The longest event id and load id, in bytes (default 256, 1 to 1024: both become part of keys on disk).
    pub id_max: usize,
    /// How far an event may lie ahead of the clock (default 1 day, 0 to 365 days).
    pub ahead_max: Duration,
    /// How old an event may be (default 3650 days, 1 min to 36500 days). The one duration that may be longer than 366
    /// days: it is compared with dates and no timer is ever set to it.
    pub age_max: Duration,
    /// What becomes of an event with a status that is not known (default: a dead letter).
    pub unknown_status: UnknownStatus,
}

impl RulesConfig {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        Self {
            id_max: s.ranged("id_max", ID_MAX_DEFAULT, 1..=1024, &size()),
            ahead_max: s.ranged("ahead_max", AHEAD_MAX_DEFAULT, Duration::ZERO..=365 * DAY, &DURATION),
            age_max: s.ranged("age_max", AGE_MAX_DEFAULT, MINUTE..=36_500 * DAY, &DURATION),
            unknown_status: s.choice(
                "unknown_status",
                ("dead", UnknownStatus::Dead),
                &[("pass", UnknownStatus::Pass)],
            ),
        }
    }

    /// The rules of these values and of the schema's statuses.
    #[must_use]
    pub fn rules(&self, schema: &SchemaConfig) -> Rules {
        let Self { id_max, ahead_max, age_max, unknown_status } = *self;
        Rules { id_max, ahead_max, age_max, statuses: schema.statuses.clone(), unknown_status }
    }
}
