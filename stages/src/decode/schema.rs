//! Where the event's fields are in a record: a schema for `Decode`, checked from the config's places.
//!
//! Every field has at least one place, no two fields are read from one value, and no pointer is deeper than
//! `depth_max`. So each record is read in one pass, and no schema refuses every record.

use super::{
    field::Field,
    place::{Place, Places, Takes},
    pointer::{Pointer, PointerFault},
    zone::Zone,
};

/// The default limit of nesting; real events stay below ten levels.
pub const DEPTH_DEFAULT: usize = 64;

/// The deepest nesting that can be configured, one less than the limit at which `serde_json` gives up.
pub const DEPTH_LIMIT: usize = 127;

/// The default of how many events a record may have: what a producer sends at once, far below what would be a flood.
pub const EVENTS_DEFAULT: usize = 10_000;

/// Why a schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It is no pointer.
    #[error("{field}: `{pointer}` {fault}")]
    Pointer {
        /// The field it was given for.
        field: Field,
        /// The pointer.
        pointer: String,
        /// What is wrong with it.
        fault: PointerFault,
    },
    /// The field cannot be read from a place of this kind.
    #[error("{field} cannot be read from {place}: {field} takes {takes}")]
    Place {
        /// The field it was given for.
        field: Field,
        /// What was given.
        place: String,
        /// What the field takes.
        takes: &'static str,
    },
    /// The field has no place, or too many.
    #[error("{field} has {found} places: give it 1 to {}", Places::MAX)]
    Places {
        /// The field.
        field: Field,
        /// How many were given.
        found: usize,
    },
    /// The pointer is deeper than a record may be.
    #[error("{field}: `{pointer}` has {depth} levels, a record may have {depth_max}: raise `depth_max`")]
    TooDeep {
        /// The field it was given for.
        field: Field,
        /// The pointer.
        pointer: String,
        /// The levels it goes through.
        depth: usize,
        /// The nesting a record may have.
        depth_max: usize,
    },
    /// One field is read from the value another is read from, or from a part of it.
    #[error("{field}: `{pointer}` overlaps with `{other}`, which is read too: give each its own value")]
    Overlap {
        /// The field it was given for.
        field: Field,
        /// The pointer.
        pointer: String,
        /// The pointer it meets.
        other: String,
    },
    /// The nesting allowed is out of bounds.
    #[error("depth_max is {depth_max}, it must be between 1 and {DEPTH_LIMIT}")]
    DepthMax {
        /// The value given.
        depth_max: usize,
    },
}

/// Where the fields are in a record, how deep it may be nested, and how it becomes several events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// For each of [`Field::ALL`], in that order.
    pub(super) places: [Places; 6],
    /// The member that must say `1.0`, if the records are CloudEvents.
    pub(super) spec_version: Option<Pointer>,
    pub(super) depth_max: usize,
    /// Where times without an offset are.
    pub(super) zone: Zone,
    /// Where the array of a record's events is; none if only a record that is an array has several.
    pub(super) events: Option<Pointer>,
    /// The most events a record may have.
    pub(super) events_max: usize,
}

impl Schema {
    /// An object with `eventId`, `loadId`, `status`, `occurredAt`, and perhaps `sequence` and `traceparent`.
    #[must_use]
    pub fn flat() -> Self {
        let keys = ["eventId", "loadId", "status", "occurredAt", "sequence", "traceparent"];
        Self::of(keys.map(|key| Places::one(Place::Pointer(Pointer::of(&[key])))))
    }

    /// A CloudEvents 1.0 event in structured JSON: `source` and `id` together are its id, `time`, which may be absent,
    /// and `specversion` outside, `loadId` and `status` in `data` (CloudEvents JSON event format, section 3);
    /// `sequence` in `data` or outside, `traceparent` outside, as in the extensions.
    #[must_use]
    pub fn cloudevents() -> Self {
        let at = |keys: &[&str]| Place::Pointer(Pointer::of(keys));
        let id = [&["source"][..], &["id"]].map(Pointer::of);
        let schema = Self::of([
            Places::one(Place::Joined(id.to_vec())),
            Places::one(at(&["data", "loadId"])),
            Places::one(at(&["data", "status"])),
            Places(vec![at(&["time"]), Place::Reading]),
            Places(vec![at(&["data", "sequence"]), at(&["sequence"])]),
            Places::one(at(&["traceparent"])),
        ]);
        Self { spec_version: Some(Pointer::of(&["specversion"])), ..schema }
    }

    fn of(places: [Places; 6]) -> Self {
        Self {
            places,
            spec_version: None,
            depth_max: DEPTH_DEFAULT,
            zone: Zone::default(),
            events: None,
            events_max: EVENTS_DEFAULT,
        }
    }

    /// The same schema with each field read from this one pointer.
    ///
    /// # Errors
    /// As [`with_places`](Self::with_places).
    pub fn with_all<'a>(
        self,
        changes: impl IntoIterator<Item = (Field, &'a str)>,
    ) -> Result<Self, Vec<SchemaError>> {
        self.with_places(changes.into_iter().map(|(field, pointer)| (field, vec![Place::Pointer(pointer)])))
    }

    /// The same schema with each field read from the first of its places that has a value; only the result has to be
    /// free of overlaps, so two fields can change places.
    ///
    /// # Errors
    /// Every place that is no pointer or does not suit its field; if there is none of these, every one that is deeper
    /// than a record may be, or overlaps with another field's.
    pub fn with_places<'a>(
        mut self,
        changes: impl IntoIterator<Item = (Field, Vec<Place<&'a str>>)>,
    ) -> Result<Self, Vec<SchemaError>> {
        let mut errors = Vec::new();
        for (field, places) in changes {
            match Places::parse(field, &places) {
                Ok(places) => self.places[field as usize] = places,
                Err(of_places) => errors.extend(of_places),
            }
        }
        if errors.is_empty() { self.checked() } else { Err(errors) }
    }

    /// The same schema for records nested at most `depth_max` deep; the outermost object is one level.
    ///
    /// # Errors
    /// If `depth_max` is 0, more than [`DEPTH_LIMIT`], or less than some pointers need: each of them.
    pub fn with_depth_max(mut self, depth_max: usize) -> Result<Self, Vec<SchemaError>> {
        if !(1..=DEPTH_LIMIT).contains(&depth_max) {
            return Err(vec![SchemaError::DepthMax { depth_max }]);
        }
        self.depth_max = depth_max;
        self.checked()
    }

    /// The same schema for times that are in `zone` unless they say otherwise.
    #[must_use]
    pub fn in_zone(self, zone: Zone) -> Self {
        Self { zone, ..self }
    }

    /// The same schema for records whose events are the elements of the array at this pointer.
    ///
    /// # Errors
    /// If it is no pointer.
    pub fn with_events(self, pointer: &str) -> Result<Self, PointerFault> {
        Ok(Self { events: Some(Pointer::parse(pointer)?), ..self })
    }

    /// The same schema for records of at most `events_max` events.
    #[must_use]
    pub fn with_events_max(self, events_max: usize) -> Self {
        Self { events_max, ..self }
    }

    /// The header whose value is the event's id, if the schema names one, in small letters.
    #[must_use]
    pub fn id_header(&self) -> Option<&str> {
        self.places[Field::EventId as usize].0.iter().find_map(|place| match place {
            Place::Header(name) => Some(name.as_str()),
            _ => None,
        })
    }

    fn checked(self) -> Result<Self, Vec<SchemaError>> {
        let mut errors = Vec::new();
        let sole = |field: Field| match &self.places[field as usize].0[..] {
            [Place::Pointer(pointer)] => Some(pointer),
            _ => None,
        };
        for (at, field) in Field::ALL.into_iter().enumerate() {
            for pointer in self.places[at].pointers() {
                let (depth, depth_max) = (pointer.keys.len(), self.depth_max);
                if depth > depth_max {
                    let pointer = pointer.text.clone();
                    errors.push(SchemaError::TooDeep { field, pointer, depth, depth_max });
                }
            }
            // A trace's place is read in a way of its own, so that it can share its value with no field.
            let traced = (field == Field::TraceParent).then(|| self.places[..at].iter());
            let others = traced.into_iter().flatten().flat_map(Places::pointers);
            let others = others.chain(Field::ALL[..at].iter().filter_map(|&other| sole(other)));
            let mut others = self.spec_version.iter().chain(others);
            let own: Vec<_> = if field == Field::TraceParent {
                self.places[at].pointers().collect()
            } else {
                sole(field).into_iter().collect()
            };
            let overlap = others.find_map(|other| Some((own.iter().find(|own| own.overlaps(other))?, other)));
            if let Some((pointer, other)) = overlap {
                let (pointer, other) = (pointer.text.clone(), other.text.clone());
                errors.push(SchemaError::Overlap { field, pointer, other });
            }
        }
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }
}

impl Places {
    fn parse(field: Field, places: &[Place<&str>]) -> Result<Self, Vec<SchemaError>> {
        if places.is_empty() || places.len() > Self::MAX {
            return Err(vec![SchemaError::Places { field, found: places.len() }]);
        }
        let takes = Takes::of(field);
        let (mut parsed, mut errors) = (Vec::new(), Vec::new());
        for place in places {
            if !takes.includes(place) {
                let place = place.to_string();
                errors.push(SchemaError::Place { field, place, takes: takes.in_words() });
                continue;
            }
            match place.parse() {
                Ok(place) => parsed.push(place),
                Err((pointer, fault)) => errors.push(SchemaError::Pointer { field, pointer, fault }),
            }
        }
        if errors.is_empty() { Ok(Self(parsed)) } else { Err(errors) }
    }
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
