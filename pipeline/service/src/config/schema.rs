//! `[schema]`: where an event's fields are in a record, how a record becomes several events, and which statuses are
//! known.

use stages::{DEPTH_DEFAULT, DEPTH_LIMIT, EVENTS_DEFAULT, Field, Place, Schema, SchemaError, Statuses, Zone};

use super::{
    places::{self, Given, POINTER_MAX},
    problem::Refusal,
    section::Section,
    statuses,
    units::count,
};

/// Where an event's fields are in a record; validated by the stages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaConfig {
    schema: Schema,
    /// The statuses known, each with its aliases.
    pub statuses: Statuses,
    /// Whether the records are CloudEvents.
    pub cloud_events: bool,
}

impl SchemaConfig {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        let problems_before = s.findings.problems.len();
        let cloud_events = s.choice("preset", ("flat", false), &[("cloudevents", true)]);
        let preset = || if cloud_events { Schema::cloudevents() } else { Schema::flat() };
        let mut given = Vec::new();
        for field in Field::ALL {
            places::read(s, field, &mut given);
        }
        let depth_max = s.ranged("depth_max", DEPTH_DEFAULT, 1..=DEPTH_LIMIT, &count());
        let schema = build(preset(), &given, depth_max).unwrap_or_else(|errors| {
            // A value with a problem of its own is not checked against others.
            let is_whole = s.findings.problems.len() == problems_before;
            for error in errors.iter().filter(|error| is_whole || !is_relation(error)) {
                places::report(s, &given, error);
            }
            preset()
        });
        let schema = schema.in_zone(zone(s));
        let schema = events(s, schema);
        Self { schema, statuses: statuses::read(s), cloud_events }
    }

    /// Where the fields of an event are in a record.
    #[must_use]
    pub fn schema(&self) -> Schema {
        self.schema.clone()
    }
}

fn build(preset: Schema, given: &[Given<'_>], depth_max: usize) -> Result<Schema, Vec<SchemaError>> {
    let changes = Field::ALL.into_iter().filter_map(|field| {
        let places = given.iter().filter(|given| given.field == field).map(|given| given.place.clone());
        let places: Vec<Place<&str>> = places.collect();
        (!places.is_empty()).then_some((field, places))
    });
    // The depth last, because a preset's own pointers may be deeper than those that replace them.
    preset.with_depth_max(DEPTH_LIMIT)?.with_places(changes)?.with_depth_max(depth_max)
}

fn is_relation(error: &SchemaError) -> bool {
    matches!(error, SchemaError::TooDeep { .. } | SchemaError::Overlap { .. })
}

fn zone(s: &mut Section<'_, '_>) -> Zone {
    s.know("zone", Some("UTC".to_owned()), None);
    let Some(item) = s.item("zone") else { return Zone::default() };
    let Some(name) = s.text(&item, POINTER_MAX) else { return Zone::default() };
    Zone::named(name).unwrap_or_else(|_| {
        let remedy = "give a name of the IANA time zone database, such as America/Chicago, or UTC";
        s.report(&item, Refusal::new("is no time zone", remedy));
        Zone::default()
    })
}

fn events(s: &mut Section<'_, '_>, schema: Schema) -> Schema {
    let events_max = s.ranged("events_max", EVENTS_DEFAULT, 1..=1_000_000, &count());
    let schema = schema.with_events_max(events_max);
    s.know("events", None, None);
    let Some(item) = s.item("events") else { return schema };
    let Some(pointer) = s.text(&item, POINTER_MAX) else { return schema };
    schema.clone().with_events(pointer).unwrap_or_else(|fault| {
        s.report(&item, places::pointer_refusal(fault));
        schema
    })
}
