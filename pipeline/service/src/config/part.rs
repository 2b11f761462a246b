//! Reads some sections of a config file, whatever is wrong with the others. Secrets of brokers are not fetched.

use std::{env, path::Path};

use toml::de::DeTable;

use super::{
    ConfigErrors, Problem, Reading,
    findings::{Environment, Findings},
    read_file,
    section::Section,
};

/// The result of `read` for the file at `path`, unless one of `sections` has a problem. `read` may return none if it
/// has reported why.
///
/// # Errors
/// The problems of these sections; if the file cannot be read or is not TOML, that alone.
pub(super) fn load<T>(
    path: &Path,
    sections: &[&str],
    read: impl FnOnce(&mut Section<'_, '_>) -> Option<T>,
) -> Result<T, ConfigErrors> {
    let base = path.parent().unwrap_or(Path::new(""));
    let found = match read_file(path) {
        Ok(text) => from_text(&text, base, &|name| env::var(name), sections, read),
        Err(error) => Err(Reading::unreadable(&error).problems),
    };
    found.map_err(|problems| ConfigErrors { path: path.to_owned(), problems })
}

/// The same from the text itself, with relative paths starting at `base`.
pub(super) fn from_text<T>(
    text: &str,
    base: &Path,
    environment: Environment<'_>,
    sections: &[&str],
    read: impl FnOnce(&mut Section<'_, '_>) -> Option<T>,
) -> Result<T, Vec<Problem>> {
    let table = DeTable::parse(text).map_err(|error| Reading::not_toml(text, &error).problems)?;
    let mut findings = Findings::new(text, base, environment);
    let found = read(&mut Section::root(&mut findings, text, table.get_ref()));
    let of_these = |problem: &Problem| sections.contains(&problem.key.split('.').next().unwrap_or_default());
    let problems: Vec<Problem> = findings.problems.into_iter().filter(of_these).collect();
    found.filter(|_| problems.is_empty()).ok_or(problems)
}

/// The ids of the brokers, in the file's order; a broker without one is left out.
pub(super) fn broker_ids(root: &mut Section<'_, '_>) -> Vec<String> {
    let ids = root.sections("brokers", |section| {
        let id = section.item("id")?;
        id.value.as_str().map(str::to_owned)
    });
    ids.into_iter().flatten().collect()
}
