//! `[schema]`: how an event is found in a record, and which statuses it may name.

use stages::{DEPTH_DEFAULT, DEPTH_LIMIT, Field, Schema, SchemaError, Statuses};

use super::{
    problem::Refusal,
    section::{Item, Section},
    statuses,
    units::count,
};

const POINTER_MAX: usize = 256;

/// How an event is found in a record, checked by the stages themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaConfig {
    schema: Schema,
    /// The statuses known, each with its aliases.
    pub statuses: Statuses,
}

/// The pointers that are in the file.
type Pointers<'d> = Vec<(Field, &'d str, Item<'d>)>;

impl SchemaConfig {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        let problems_before = s.findings.problems.len();
        let preset = s.choice(
            "preset",
            ("flat", Schema::flat as fn() -> Schema),
            &[("cloudevents", Schema::cloudevents)],
        );
        let mut pointers = Vec::new();
        for field in Field::ALL {
            pointer(s, field, &mut pointers);
        }
        let depth_max = s.ranged("depth_max", DEPTH_DEFAULT, 1..=DEPTH_LIMIT, &count());
        let schema = build(preset(), &pointers, depth_max).unwrap_or_else(|errors| {
            // A value that is wrong by itself is not judged together with others: something else stands in for it.
            let is_whole = s.findings.problems.len() == problems_before;
            for error in errors.iter().filter(|error| is_whole || !is_relation(error)) {
                report(s, &pointers, error);
            }
            preset()
        });
        Self { schema, statuses: statuses::read(s) }
    }

    /// Where the fields of an event stand in a record.
    #[must_use]
    pub fn schema(&self) -> Schema {
        self.schema.clone()
    }
}

fn pointer<'d>(s: &mut Section<'_, 'd>, field: Field, pointers: &mut Pointers<'d>) {
    s.know(field.as_str(), None, None);
    let Some(item) = s.item(field.as_str()) else { return };
    if let Some(text) = s.text(&item, POINTER_MAX) {
        pointers.push((field, text, item));
    }
}

fn build(preset: Schema, pointers: &Pointers<'_>, depth_max: usize) -> Result<Schema, Vec<SchemaError>> {
    let changes = pointers.iter().map(|(field, pointer, _)| (*field, *pointer));
    // The depth last: a preset's own pointers may need more of it than those that replace them.
    preset.with_depth_max(DEPTH_LIMIT)?.with_all(changes)?.with_depth_max(depth_max)
}

fn is_relation(error: &SchemaError) -> bool {
    matches!(error, SchemaError::TooDeep { .. } | SchemaError::Overlap { .. })
}

/// Reports the error at the pointer it is about; where that is the preset's, at what it does not go together with.
fn report(s: &mut Section<'_, '_>, pointers: &Pointers<'_>, error: &SchemaError) {
    let (refusal, field, other) = refusal(error);
    let item = pointers
        .iter()
        .find(|(given, ..)| Some(*given) == field)
        .or_else(|| pointers.iter().find(|(_, text, _)| Some(*text) == other));
    match item {
        Some((_, _, item)) => s.report(item, refusal),
        None => match s.item("depth_max") {
            Some(item) => s.report(&item, refusal),
            None => s.report_key("depth_max", refusal),
        },
    }
}

/// The error in the words of the config, the field it is about, and the pointer that one meets.
fn refusal(error: &SchemaError) -> (Refusal, Option<Field>, Option<&str>) {
    match error {
        SchemaError::NotAMember { field, .. } => {
            let remedy = "start it with / and write it like \"/data/loadId\"";
            (Refusal::new("is not a JSON pointer to an object's member", remedy), Some(*field), None)
        }
        SchemaError::BadEscape { field, .. } => {
            let remedy = "write ~ as ~0 and / as ~1 within a name";
            let refusal =
                Refusal::new("has a ~ that is neither ~0 nor ~1, so it is not a JSON pointer", remedy);
            (refusal, Some(*field), None)
        }
        SchemaError::ArrayIndex { field, index, .. } => {
            let remedy = "fields are read from objects only: point to a member of one";
            (Refusal::new(format!("has the array index {index}"), remedy), Some(*field), None)
        }
        SchemaError::TooDeep { field, pointer, depth, depth_max } => {
            let problem = format!("{field} at {pointer} has {depth} levels, a record may have {depth_max}");
            (Refusal::new(problem, "raise schema.depth_max"), Some(*field), None)
        }
        SchemaError::Overlap { field, pointer, other } => {
            let problem = format!("{field} at {pointer} overlaps with {other}, which is read too");
            (Refusal::new(problem, "give each its own value"), Some(*field), Some(other))
        }
        SchemaError::DepthMax { .. } => {
            (Refusal::new("is out of bounds", format!("give a whole number, 1 to {DEPTH_LIMIT}")), None, None)
        }
    }
}
