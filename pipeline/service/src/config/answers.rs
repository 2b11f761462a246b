//! What a broker's answers mean: which statuses, and which values in the body of an answer whose status says success.

use std::{ops::RangeInclusive, sync::Arc};

use serde_json::Value;
use stages::{Answers, BODY_RULE_TEXT_MAX, BodyError, Meaning, is_json_pointer};
use toml::de::DeValue;

use super::{
    problem::Refusal,
    section::{Item, Section},
    units::NUMBER,
};

/// The statuses a final answer can have.
const STATUSES: RangeInclusive<u16> = 200..=599;
/// Rules for bodies: each is looked for in every answer.
const RULES_MAX: usize = 8;
/// Values of one rule.
const VALUES_MAX: usize = 32;

/// The keys that list statuses, with their defaults.
const LISTS: [(&str, Meaning, &str); 5] = [
    ("success", Meaning::Success, "[\"2xx\"]"),
    ("retry", Meaning::Retry, "[408, 421, 425, 429, \"3xx\", \"5xx\"]"),
    ("pause", Meaning::Pause, "[401, 403, 404, 407]"),
    ("disable", Meaning::Disable, "[410]"),
    ("final", Meaning::Final, "[\"4xx\"]"),
];

/// What an error in a body can mean.
const ERRORS: [(&str, Meaning); 4] = [
    ("final", Meaning::Final),
    ("retry", Meaning::Retry),
    ("pause", Meaning::Pause),
    ("disable", Meaning::Disable),
];

pub(super) fn read(s: &mut Section<'_, '_>) -> Arc<Answers> {
    let mut rows: Vec<(RangeInclusive<u16>, Meaning)> = Vec::new();
    for (key, meaning, default) in LISTS {
        s.know(key, Some(default.to_owned()), None);
        let Some(item) = s.item(key) else { continue };
        for element in s.list(&item).unwrap_or_default() {
            let Some(statuses) = statuses(s, &element) else { continue };
            if rows.iter().any(|(known, _)| *known == statuses) {
                s.report(&element, Refusal::new("has another meaning already", "give it one meaning"));
            }
            rows.push((statuses, meaning));
        }
    }
    let errors = body_errors(s);
    Arc::new(Answers::new(rows, errors))
}

/// A status such as 404, or all of a class such as "5xx".
fn statuses(s: &mut Section<'_, '_>, item: &Item<'_>) -> Option<RangeInclusive<u16>> {
    let class = item.value.as_str().and_then(|text| text.strip_suffix("xx")?.parse::<u16>().ok());
    let status = (NUMBER.parse)(item.value).filter(|status| status.fract() == 0.0);
    let found = match (class, status) {
        (Some(class @ 2..=5), _) => Some(class * 100..=class * 100 + 99),
        // Within the bounds, and whole.
        (None, Some(status)) if (200.0..600.0).contains(&status) => Some(status as u16..=status as u16),
        _ => None,
    };
    if found.is_none() {
        let (least, most) = (STATUSES.start(), STATUSES.end());
        let remedy = format!("give a number from {least} to {most}, or \"2xx\" to \"5xx\"");
        s.report(item, Refusal::new("is not a status of an answer", remedy));
    }
    found
}

fn body_errors(s: &mut Section<'_, '_>) -> Vec<BodyError> {
    s.know("body_errors", Some("[]".to_owned()), None);
    let Some(item) = s.item("body_errors") else { return Vec::new() };
    let Some(array) = item.value.as_array() else {
        s.report_hidden(&item, Refusal::new("is not a list", "write it as [{ pointer = \"/error\" }]"));
        return Vec::new();
    };
    if array.len() > RULES_MAX {
        let problem = format!("has {} rules", array.len());
        s.report_hidden(&item, Refusal::new(problem, format!("give at most {RULES_MAX}")));
    }
    s.sections("body_errors", body_error).into_iter().flatten().collect()
}

fn body_error(s: &mut Section<'_, '_>) -> Option<BodyError> {
    let pointer = pointer(s);
    let values = values(s);
    let missing = s.flag("missing", false);
    let meaning = s.choice("then", ERRORS[0], &ERRORS[1..]);
    Some(BodyError { pointer: pointer?, values, missing, meaning })
}

fn pointer(s: &mut Section<'_, '_>) -> Option<String> {
    s.know("pointer", None, None);
    let Some(item) = s.item("pointer") else {
        s.report_missing(
            "pointer",
            "name the value that says whether it is an error: pointer = \"/success\"",
        );
        return None;
    };
    let pointer = s.text(&item, BODY_RULE_TEXT_MAX)?;
    if !is_json_pointer(pointer) {
        let remedy = "give the names on the way to the value, each after a slash: \"/result/code\"";
        s.report(&item, Refusal::new("is not a JSON pointer", remedy));
        return None;
    }
    Some(pointer.to_owned())
}

fn values(s: &mut Section<'_, '_>) -> Option<Vec<Value>> {
    s.know("values", None, None);
    let item = s.item("values")?;
    let elements = s.list(&item)?;
    if elements.is_empty() || elements.len() > VALUES_MAX {
        let problem = format!("has {} elements", elements.len());
        let remedy = format!("give 1 to {VALUES_MAX}, or leave the key out for whatever says something");
        s.report(&item, Refusal::new(problem, remedy));
    }
    Some(elements.iter().filter_map(|element| value(s, element)).collect())
}

fn value(s: &mut Section<'_, '_>, item: &Item<'_>) -> Option<Value> {
    let found = match item.value {
        DeValue::Boolean(value) => Some(Value::Bool(*value)),
        DeValue::String(text) if text.len() <= BODY_RULE_TEXT_MAX => Some(text.as_ref().into()),
        other => (NUMBER.parse)(other).map(Value::from),
    };
    if found.is_none() {
        let remedy = "give true, false, a number or a text in quotes";
        s.report(item, Refusal::new("is no value that is looked for", remedy));
    }
    found
}
