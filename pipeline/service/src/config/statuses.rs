//! `[schema.statuses]`: the statuses of a load, each with its aliases.

use stages::{STATUS_MAX, Statuses, StatusesError};

use super::{
    problem::Refusal,
    section::{Item, Section},
};

/// A name, the status it stands for, and where it stands.
type Name<'d> = (&'d str, &'d str, Item<'d>);

/// The statuses of the section; the default if there are none, or if something is wrong with them.
pub(super) fn read(s: &mut Section<'_, '_>) -> Statuses {
    s.know("statuses", None, None);
    let Some(item) = s.item("statuses") else { return Statuses::default() };
    let Some(entries) = s.entries(&item) else { return Statuses::default() };
    let mut names: Vec<Name<'_>> = Vec::new();
    let mut statuses = Vec::new();
    for (status, item) in entries {
        let mut aliases = Vec::new();
        for alias in s.list(&item).unwrap_or_default() {
            if let Some(text) = s.text(&alias, STATUS_MAX) {
                aliases.push(text);
                names.push((text, status, alias));
            }
        }
        names.push((status, status, item));
        statuses.push((status, aliases));
    }
    Statuses::new(statuses).unwrap_or_else(|errors| {
        for error in &errors {
            report(s, &item, &names, error);
        }
        Statuses::default()
    })
}

fn report(s: &mut Section<'_, '_>, table: &Item<'_>, names: &[Name<'_>], error: &StatusesError) {
    let (refusal, name, status) = match error {
        StatusesError::None => {
            let remedy = "name one, or leave the table out for the default";
            (Refusal::new("names no status", remedy), None, None)
        }
        StatusesError::Name { name } => {
            let problem =
                format!("has a name that is not 1 to {STATUS_MAX} bytes, or has white space around it");
            (Refusal::new(problem, "give it another name"), Some(name), None)
        }
        StatusesError::Ambiguous { name, first, second } => {
            let problem = format!("stands for {second} and for {first}");
            (Refusal::new(problem, "give the name to one of the two"), Some(name), Some(second))
        }
    };
    let is_it = |(text, of, _): &&Name<'_>| {
        name.is_some_and(|name| name == text) && status.is_none_or(|status| **status == **of)
    };
    let item = names.iter().find(is_it).map_or(table, |(_, _, item)| item);
    s.report(item, refusal);
}
