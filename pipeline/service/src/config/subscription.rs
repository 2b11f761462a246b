//! Which events a broker gets: `statuses`, `loads` and `filter`, all of which an event has to pass.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use serde_json::{Number, Value};
use stages::{FieldRule, FieldTest, LoadFilter, Subscription};
use toml::de::DeValue;

use super::{
    problem::Refusal,
    schema::SchemaConfig,
    section::{Item, Section},
};

/// The longest load id or prefix, in bytes: `rules.id_max` has the same bound.
const LOAD_MAX: usize = 1024;
/// The longest pointer and the longest value of a field, in bytes.
const FIELD_MAX: usize = 1024;
/// Rules of one broker, and values of one rule: each is tried on each event of its statuses and loads.
const RULES_MAX: usize = 64;

pub(super) fn read(s: &mut Section<'_, '_>, schema: &SchemaConfig) -> Subscription {
    Subscription { statuses: statuses(s, schema), loads: loads(s), fields: fields(s) }
}

fn statuses(s: &mut Section<'_, '_>, schema: &SchemaConfig) -> Option<FxHashSet<Arc<str>>> {
    s.know("statuses", Some("all".to_owned()), None);
    let item = s.item("statuses")?;
    let elements = s.list(&item)?;
    if elements.is_empty() {
        let remedy = "name one, or leave the key out for all";
        s.report(&item, Refusal::new("names no status: this broker would get nothing", remedy));
    }
    // If the schema's statuses have a problem, the known ones are not reliable.
    if s.findings.has_problem("schema.statuses") {
        return None;
    }
    let mut names = FxHashSet::default();
    for element in &elements {
        match element.value.as_str().and_then(|name| schema.statuses.canonical(name)) {
            Some(canonical) => {
                names.insert(Arc::clone(canonical));
            }
            None => {
                let known = schema.statuses.all().join(", ");
                let remedy = format!("give one of {known}, or add it to schema.statuses");
                s.report(element, Refusal::new("is not a known status", remedy));
            }
        }
    }
    Some(names)
}

fn loads(s: &mut Section<'_, '_>) -> LoadFilter {
    s.know("loads", Some("all".to_owned()), None);
    let Some(item) = s.item("loads") else { return LoadFilter::All };
    if item.value.as_str() == Some("all") {
        return LoadFilter::All;
    }
    if item.value.is_array() {
        let elements = s.list(&item).unwrap_or_default();
        if !elements.is_empty() {
            return LoadFilter::List(texts(s, &elements).map(Into::into).collect());
        }
    } else if item.value.is_table() {
        let entries = s.entries(&item).unwrap_or_default();
        if let [("prefix", prefix)] = &entries[..]
            && let Some(elements) = one_or_more(s, prefix)
        {
            return LoadFilter::Prefixes(texts(s, &elements).map(ToOwned::to_owned).collect());
        }
    }
    let remedy = "give \"all\", a list such as [\"L-1\", \"L-2\"], or { prefix = [\"CHI-\", \"DAL-\"] }";
    s.report(&item, Refusal::new("does not say which loads", remedy));
    LoadFilter::All
}

/// A value alone, or the elements of a list that is not empty.
fn one_or_more<'d>(s: &mut Section<'_, 'd>, item: &Item<'d>) -> Option<Vec<Item<'d>>> {
    if !item.value.is_array() {
        return Some(vec![item.clone()]);
    }
    s.list(item).filter(|elements| !elements.is_empty())
}

fn texts<'d>(s: &mut Section<'_, 'd>, elements: &[Item<'d>]) -> impl Iterator<Item = &'d str> {
    let texts: Vec<_> = elements.iter().filter_map(|element| s.text(element, LOAD_MAX)).collect();
    texts.into_iter()
}

/// The rules of `filter`: by JSON pointer a value, a list of values, or `{ exists = true }`.
fn fields(s: &mut Section<'_, '_>) -> Vec<FieldRule> {
    s.know("filter", None, None);
    let Some(item) = s.item("filter") else { return Vec::new() };
    let Some(entries) = s.entries(&item) else { return Vec::new() };
    if entries.is_empty() || entries.len() > RULES_MAX {
        let problem = format!("has {} rules", entries.len());
        s.report_hidden(&item, Refusal::new(problem, format!("give 1 to {RULES_MAX}, or leave it out")));
    }
    let rules = entries.iter().filter_map(|(pointer, item)| {
        let is_pointer = is_pointer(pointer);
        if !is_pointer {
            let remedy = "write it like \"/customer/id\" or \"/stops/0/city\"";
            s.report_hidden(item, Refusal::new("does not begin with a JSON pointer to a field", remedy));
        }
        let test = test(s, item)?;
        is_pointer.then(|| FieldRule { pointer: (*pointer).to_owned(), test })
    });
    rules.collect()
}

/// Whether `text` is a JSON pointer (RFC 6901) to something inside.
pub(super) fn is_pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1);
    text.starts_with('/')
        && text.len() <= FIELD_MAX
        && escapes.clone().all(|rest| rest.starts_with(['0', '1']))
}

fn test<'d>(s: &mut Section<'_, 'd>, item: &Item<'d>) -> Option<FieldTest> {
    if item.value.is_table() {
        let entries = s.entries(item).unwrap_or_default();
        if let [("exists", wanted)] = &entries[..]
            && let Some(wanted) = wanted.value.as_bool()
        {
            return Some(FieldTest::Exists(wanted));
        }
        let remedy = "give a value, a list of values, or { exists = true }";
        s.report(item, Refusal::new("does not say what the field must be", remedy));
        return None;
    }
    let elements = one_or_more(s, item).unwrap_or_default();
    if elements.is_empty() || elements.len() > RULES_MAX {
        let problem = format!("has {} values", elements.len());
        s.report(item, Refusal::new(problem, format!("give 1 to {RULES_MAX}")));
        return None;
    }
    let values: Option<Vec<Value>> = elements.iter().map(|element| value(s, element)).collect();
    values.map(FieldTest::OneOf)
}

/// A text, a number, or true or false, as JSON has it.
fn value(s: &mut Section<'_, '_>, item: &Item<'_>) -> Option<Value> {
    let found = match item.value {
        DeValue::String(text) if text.len() <= FIELD_MAX => Some(Value::from(text.as_ref())),
        DeValue::Boolean(flag) => Some(Value::from(*flag)),
        DeValue::Integer(whole) => i64::from_str_radix(whole.as_str(), whole.radix()).ok().map(Value::from),
        DeValue::Float(number) => number.as_str().parse().ok().and_then(Number::from_f64).map(Value::from),
        _ => None,
    };
    if found.is_none() {
        let problem = format!("is not a text of at most {FIELD_MAX} bytes, a number, true or false");
        s.report(item, Refusal::new(problem, "give one of these"));
    }
    found
}
