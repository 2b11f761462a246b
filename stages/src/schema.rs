//! Where in a record the event's fields stand: pointers from the config enter, a checked schema for `Decode` leaves.
//!
//! Guaranteed: every field has a pointer, no pointer reads what another reads or reaches through, and none goes
//! deeper than `depth_max`. So each record is read in one pass, and no schema refuses every record by itself.

use std::fmt;

/// Nesting a record may have unless the config says otherwise: real events stay below ten levels.
pub const DEPTH_DEFAULT: usize = 64;

/// The deepest nesting that can be configured, one less than the limit at which `serde_json` gives up.
pub const DEPTH_LIMIT: usize = 127;

/// What is read from a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The producer's id of the event, a string.
    EventId,
    /// The load that changed, a string.
    LoadId,
    /// The load's new status, a string.
    Status,
    /// When it changed, a string in the form of RFC 3339.
    OccurredAt,
    /// The producer's own count of the load's events: an unsigned integer below 2^64, null or absent.
    Sequence,
    /// Its place in a distributed trace, a string in the form of W3C Trace Context; anything else counts as absent.
    TraceParent,
}

impl Field {
    /// Every field, in the order in which problems with them are reported.
    pub const ALL: [Self; 6] =
        [Self::EventId, Self::LoadId, Self::Status, Self::OccurredAt, Self::Sequence, Self::TraceParent];

    /// The field's name in the config.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventId => "event_id",
            Self::LoadId => "load_id",
            Self::Status => "status",
            Self::OccurredAt => "occurred_at",
            Self::Sequence => "sequence",
            Self::TraceParent => "traceparent",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// The pointer is empty or has no leading slash.
    #[error("{field}: `{pointer}` is not a JSON pointer to an object's member: write it like `/data/loadId`")]
    NotAMember {
        /// The field it was given for.
        field: Field,
        /// The pointer.
        pointer: String,
    },
    /// A tilde stands alone.
    #[error("{field}: `{pointer}` has a `~` that is neither `~0` (for `~`) nor `~1` (for `/`)")]
    BadEscape {
        /// The field it was given for.
        field: Field,
        /// The pointer.
        pointer: String,
    },
    /// The pointer goes through an array.
    #[error("{field}: `{pointer}` has the array index `{index}`: fields are read from objects only")]
    ArrayIndex {
        /// The field it was given for.
        field: Field,
        /// The pointer.
        pointer: String,
        /// The part that looks like an index.
        index: String,
    },
    /// The pointer is deeper than a record may be.
    #[error("{field}: `{pointer}` has {depth} levels, a record may have {depth_max}: raise `depth_max`")]
    TooDeep {
        /// The field it was given for.
        field: Field,
        /// The pointer.
        pointer: String,
        /// The objects it goes through.
        depth: usize,
        /// The nesting a record may have.
        depth_max: usize,
    },
    /// One pointer reads the value another reads, or a part of it.
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

/// A JSON pointer (RFC 6901) to a member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer {
    pub(crate) text: String,
    /// The keys on the way, unescaped; never empty.
    pub(crate) keys: Vec<String>,
}

/// Where the fields stand in a record, and how deep a record may be nested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// One for each of [`Field::ALL`], in that order.
    pub(crate) pointers: [Pointer; 6],
    /// The member that must say `1.0`, if the records are CloudEvents.
    pub(crate) spec_version: Option<Pointer>,
    pub(crate) depth_max: usize,
}

impl Schema {
    /// An object with `eventId`, `loadId`, `status`, `occurredAt`, and perhaps `sequence` and `traceparent`.
    #[must_use]
    pub fn flat() -> Self {
        Self {
            pointers: ["eventId", "loadId", "status", "occurredAt", "sequence", "traceparent"]
                .map(|key| Pointer::of(&[key])),
            spec_version: None,
            depth_max: DEPTH_DEFAULT,
        }
    }

    /// A CloudEvents 1.0 event in structured JSON: `id`, `time` and `specversion` outside, `loadId`, `status` and
    /// perhaps `sequence` in `data` (CloudEvents JSON event format, section 3); `traceparent` outside, as in the
    /// distributed tracing extension.
    #[must_use]
    pub fn cloudevents() -> Self {
        let keys: [&[&str]; 6] = [
            &["id"],
            &["data", "loadId"],
            &["data", "status"],
            &["time"],
            &["data", "sequence"],
            &["traceparent"],
        ];
        Self {
            pointers: keys.map(Pointer::of),
            spec_version: Some(Pointer::of(&["specversion"])),
            depth_max: DEPTH_DEFAULT,
        }
    }

    /// The same schema with each field read from its pointer; only the result has to be free of overlaps, so two
    /// fields can change places.
    ///
    /// # Errors
    /// Every pointer that is no JSON pointer or has an array index (digits alone, or `-`); if there is none of these,
    /// every one that is deeper than a record may be, or overlaps with another.
    pub fn with_all<'a>(
        mut self,
        changes: impl IntoIterator<Item = (Field, &'a str)>,
    ) -> Result<Self, Vec<SchemaError>> {
        let mut errors = Vec::new();
        for (field, pointer) in changes {
            match Pointer::parse(field, pointer) {
                Ok(pointer) => self.pointers[field as usize] = pointer,
                Err(error) => errors.push(error),
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

    fn checked(self) -> Result<Self, Vec<SchemaError>> {
        let mut errors = Vec::new();
        for (at, (field, pointer)) in Field::ALL.into_iter().zip(&self.pointers).enumerate() {
            let depth = pointer.keys.len();
            if depth > self.depth_max {
                let (pointer, depth_max) = (pointer.text.clone(), self.depth_max);
                errors.push(SchemaError::TooDeep { field, pointer, depth, depth_max });
            }
            let others = self.spec_version.iter().chain(&self.pointers[..at]);
            if let Some(other) = others.into_iter().find(|other| pointer.overlaps(other)) {
                let (pointer, other) = (pointer.text.clone(), other.text.clone());
                errors.push(SchemaError::Overlap { field, pointer, other });
            }
        }
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }
}

impl Pointer {
    /// For the presets, whose keys need no escaping.
    fn of(keys: &[&str]) -> Self {
        Self {
            text: keys.iter().map(|key| format!("/{key}")).collect(),
            keys: keys.iter().map(|&key| key.to_owned()).collect(),
        }
    }

    fn parse(field: Field, text: &str) -> Result<Self, SchemaError> {
        let pointer = text.to_owned();
        let Some(path) = text.strip_prefix('/') else {
            return Err(SchemaError::NotAMember { field, pointer });
        };
        let mut keys = Vec::new();
        for token in path.split('/') {
            if token == "-" || (!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit())) {
                return Err(SchemaError::ArrayIndex { field, pointer, index: token.to_owned() });
            }
            let Some(key) = unescape(token) else {
                return Err(SchemaError::BadEscape { field, pointer });
            };
            keys.push(key);
        }
        Ok(Self { text: pointer, keys })
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.keys.starts_with(&other.keys) || other.keys.starts_with(&self.keys)
    }
}

/// RFC 6901, section 4: `~1` stands for `/` and `~0` for `~`.
fn unescape(token: &str) -> Option<String> {
    let mut key = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(next) = chars.next() {
        key.push(match next {
            '~' => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            other => other,
        });
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(schema: &Schema, field: Field) -> &[String] {
        &schema.pointers[field as usize].keys
    }

    #[test]
    fn every_field_stands_at_its_own_place_in_the_list_of_all() {
        for (at, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, at);
        }
    }

    #[test]
    fn the_presets_pass_their_own_check() {
        for preset in [Schema::flat(), Schema::cloudevents()] {
            assert_eq!(preset.clone().checked(), Ok(preset));
        }
    }

    #[test]
    fn a_pointer_is_unescaped_once() {
        let schema = Schema::flat().with_all([(Field::LoadId, "/a~1b/~01//ü")]).unwrap();
        assert_eq!(keys(&schema, Field::LoadId), ["a/b", "~1", "", "ü"]);
    }

    #[test]
    fn what_is_no_pointer_to_a_member_is_refused() {
        let refused = |pointer| Schema::flat().with_all([(Field::Status, pointer)]).unwrap_err().remove(0);
        for pointer in ["", "status", "#/status", "$.status"] {
            assert!(matches!(refused(pointer), SchemaError::NotAMember { .. }), "{pointer}");
        }
        for pointer in ["/a~", "/a~2b", "/~~0"] {
            assert!(matches!(refused(pointer), SchemaError::BadEscape { .. }), "{pointer}");
        }
        for pointer in ["/stops/0/status", "/stops/-", "/007"] {
            assert!(matches!(refused(pointer), SchemaError::ArrayIndex { .. }), "{pointer}");
        }
    }

    #[test]
    fn two_fields_cannot_read_one_value_or_reach_through_it() {
        for pointer in ["/loadId", "/loadId/number"] {
            let errors = Schema::flat().with_all([(Field::Status, pointer)]).unwrap_err();
            let overlaps = |error: &SchemaError| matches!(error, SchemaError::Overlap { other, .. } if other == "/loadId");
            assert!(errors.len() == 1 && overlaps(&errors[0]), "{errors:?}");
        }
        let errors = Schema::cloudevents().with_all([(Field::EventId, "/specversion")]).unwrap_err();
        assert!(matches!(errors[..], [SchemaError::Overlap { .. }]), "{errors:?}");
    }

    #[test]
    fn every_bad_pointer_is_told_and_only_then_what_does_not_go_together() {
        let changes = [(Field::EventId, "id"), (Field::LoadId, "/status"), (Field::Sequence, "/a~")];
        let errors = Schema::flat().with_all(changes).unwrap_err();
        assert!(
            matches!(errors[..], [SchemaError::NotAMember { .. }, SchemaError::BadEscape { .. }]),
            "{errors:?}"
        );
        let errors = Schema::flat().with_all([(Field::EventId, "/loadId"), (Field::Status, "/sequence")]);
        assert_eq!(errors.unwrap_err().len(), 2);
    }

    #[test]
    fn two_fields_can_change_places() {
        let swapped =
            Schema::flat().with_all([(Field::EventId, "/loadId"), (Field::LoadId, "/eventId")]).unwrap();
        assert_eq!(keys(&swapped, Field::EventId), ["loadId"]);
    }

    #[test]
    fn depth_has_bounds_and_leaves_room_for_the_pointers() {
        for depth_max in [0, DEPTH_LIMIT + 1] {
            assert_eq!(
                Schema::flat().with_depth_max(depth_max),
                Err(vec![SchemaError::DepthMax { depth_max }])
            );
        }
        assert!(Schema::flat().with_depth_max(1).is_ok());
        let errors = Schema::cloudevents().with_depth_max(1).unwrap_err();
        let told = "load_id: `/data/loadId` has 2 levels, a record may have 1: raise `depth_max`";
        assert_eq!((errors.len(), errors[0].to_string().as_str()), (3, told));
    }
}
