//! The places of a field in `[schema]`: a JSON pointer, a word for what stands beside the values, a table for several
//! values, or a list of these in the order of preference.

use stages::{Field, Place, SchemaError};

use super::{
    problem::Refusal,
    section::{Item, Section},
};

/// The longest pointer or header's name, in bytes.
pub(super) const POINTER_MAX: usize = 256;

/// A place in the file.
pub(super) struct Given<'d> {
    pub(super) field: Field,
    pub(super) place: Place<&'d str>,
    pub(super) item: Item<'d>,
}

/// Adds the places of `field`, if the file has it.
pub(super) fn read<'d>(s: &mut Section<'_, 'd>, field: Field, given: &mut Vec<Given<'d>>) {
    s.know(field.as_str(), None, None);
    let Some(item) = s.item(field.as_str()) else { return };
    let items = if item.value.as_array().is_some() { s.list(&item) } else { Some(vec![item.clone()]) };
    let Some(items) = items else { return };
    if items.is_empty() {
        return s.report(&item, Refusal::new("is empty", "name at least one place, or leave the key out"));
    }
    for item in items {
        if let Some(place) = place(s, &item) {
            given.push(Given { field, place, item });
        }
    }
}

fn place<'d>(s: &mut Section<'_, 'd>, item: &Item<'d>) -> Option<Place<&'d str>> {
    if item.value.as_table().is_some() {
        return table(s, item);
    }
    let text = s.text(item, POINTER_MAX)?;
    Some(match text {
        "digest" => Place::Digest,
        "reading" => Place::Reading,
        _ => match text.strip_prefix("header:") {
            Some(name) if is_header(name) => Place::Header(name.to_owned()),
            Some(_) => {
                let remedy = "write it like \"header:x-event-id\"";
                s.report(item, Refusal::new("names no header", remedy));
                return None;
            }
            None => Place::Pointer(text),
        },
    })
}

fn table<'d>(s: &mut Section<'_, 'd>, item: &Item<'d>) -> Option<Place<&'d str>> {
    let (mut join, mut date, mut time) = (None, None, None);
    for (key, value) in s.entries(item)? {
        match key {
            "join" => {
                let parts = s.list(&value)?;
                join = Some(parts.iter().map(|part| s.text(part, POINTER_MAX)).collect::<Option<Vec<_>>>()?);
            }
            "date" => date = Some(s.text(&value, POINTER_MAX)?),
            "time" => time = Some(s.text(&value, POINTER_MAX)?),
            _ => {
                s.report(
                    &value,
                    Refusal::new("is not a key of a place", "the keys are join, or date and time"),
                );
                return None;
            }
        }
    }
    match (join, date, time) {
        (Some(all), None, None) => Some(Place::Joined(all)),
        (None, Some(date), Some(time)) => Some(Place::DateTime { date, time }),
        _ => {
            let remedy = "write { join = [\"/a\", \"/b\"] }, or { date = \"/a\", time = \"/b\" }";
            s.report(item, Refusal::new("is no place", remedy));
            None
        }
    }
}

/// RFC 9110, section 5.6.2.
fn is_header(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}

/// Reports the error at the place it is about; where that is the preset's, at what it does not go together with.
pub(super) fn report(s: &mut Section<'_, '_>, given: &[Given<'_>], error: &SchemaError) {
    let (refusal, field, pointer) = refusal(error);
    let has = |given: &&Given<'_>| pointer.is_some_and(|pointer| mentions(&given.place, pointer));
    let of_field = |given: &&Given<'_>| Some(given.field) == field;
    let item = given
        .iter()
        .find(|given| of_field(given) && has(given))
        .or_else(|| given.iter().find(of_field))
        .or_else(|| match error {
            SchemaError::Overlap { other, .. } => given.iter().find(|given| mentions(&given.place, other)),
            _ => None,
        });
    match item {
        Some(given) => s.report(&given.item, refusal),
        None => match s.item("depth_max") {
            Some(item) => s.report(&item, refusal),
            None => s.report_key("depth_max", refusal),
        },
    }
}

fn mentions(place: &Place<&str>, pointer: &str) -> bool {
    match place {
        Place::Pointer(text) => *text == pointer,
        Place::Joined(all) => all.contains(&pointer),
        Place::DateTime { date, time } => [*date, *time].contains(&pointer),
        Place::Header(_) | Place::Digest | Place::Reading => place.to_string() == pointer,
    }
}

/// The error in the words of the config, the field it is about, and the pointer.
fn refusal(error: &SchemaError) -> (Refusal, Option<Field>, Option<&str>) {
    match error {
        SchemaError::Pointer { field, pointer, fault } => {
            (pointer_refusal(*fault), Some(*field), Some(pointer))
        }
        SchemaError::Place { field, place, takes } => {
            let problem = format!("cannot be {place}");
            (Refusal::new(problem, format!("{field} takes {takes}")), Some(*field), Some(place))
        }
        SchemaError::Places { field, found } => {
            let problem = format!("has {found} places");
            (Refusal::new(problem, "name those that your feed really has: 1 to 8"), Some(*field), None)
        }
        SchemaError::TooDeep { field, pointer, depth, depth_max } => {
            let problem = format!("{field} at {pointer} has {depth} levels, a record may have {depth_max}");
            (Refusal::new(problem, "raise schema.depth_max"), Some(*field), Some(pointer))
        }
        SchemaError::Overlap { field, pointer, other } => {
            let problem = format!("{field} at {pointer} overlaps with {other}, which is read too");
            (Refusal::new(problem, "give each its own value"), Some(*field), Some(pointer))
        }
        SchemaError::DepthMax { .. } => {
            let remedy = format!("give a whole number, 1 to {}", stages::DEPTH_LIMIT);
            (Refusal::new("is out of bounds", remedy), None, None)
        }
    }
}

/// What is wrong with a pointer, in the words of the config.
pub(super) fn pointer_refusal(fault: stages::PointerFault) -> Refusal {
    match fault {
        stages::PointerFault::NoSlash => {
            let remedy = "start it with / and write it like \"/data/loadId\"";
            Refusal::new("is not a JSON pointer", remedy)
        }
        stages::PointerFault::BadEscape => {
            let remedy = "write ~ as ~0 and / as ~1 within a name";
            Refusal::new("has a ~ that is neither ~0 nor ~1, so it is not a JSON pointer", remedy)
        }
        stages::PointerFault::BehindLast => {
            Refusal::new("has the element -, which is behind an array's last", "give the element's number")
        }
    }
}
