//! Reads one table of the config key by key. Problems are collected and a default is used instead, so that one
//! reading finds every problem. Unknown keys are problems, too.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    findings::{Findings, KeyLocation, KnownKey, shown},
    problem::Refusal,
    suggest::suggest,
    units::Kind,
};

/// A value and its location.
#[derive(Clone, Debug)]
pub(super) struct Item<'d> {
    pub(super) location: KeyLocation,
    pub(super) value: &'d DeValue<'d>,
    /// The value as it was written.
    pub(super) raw: &'d str,
}

/// A table being read.
pub(super) struct Section<'f, 'd> {
    pub(super) findings: &'f mut Findings<'d>,
    text: &'d str,
    table: Option<&'d DeTable<'d>>,
    /// The full key of the table: empty for the file itself, `brokers[2]` for a broker.
    pub(super) path: String,
    /// The broker's id, once it is known.
    pub(super) broker: Option<String>,
    asked: Vec<&'static str>,
}

impl<'f, 'd> Section<'f, 'd> {
    /// The whole file.
    pub(super) fn root(findings: &'f mut Findings<'d>, text: &'d str, table: &'d DeTable<'d>) -> Self {
        Self { findings, text, table: Some(table), path: String::new(), broker: None, asked: Vec::new() }
    }

    /// A table in this one, read with `read`; one that is missing reads as an empty one.
    pub(super) fn section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_, 'd>) -> T,
    ) -> T {
        let item = self.item(key);
        let table = item.as_ref().and_then(|item| self.table_of(item));
        let path = self.key(key);
        self.child(path, table, read)
    }

    /// The tables of an array of tables, each read with `read`.
    pub(super) fn sections<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'_, 'd>) -> T,
    ) -> Vec<T> {
        let Some(item) = self.item(key) else { return Vec::new() };
        let Some(array) = item.value.as_array() else {
            let remedy = format!("write [[{key}]], with two brackets, once for each");
            self.report(&item, Refusal::new("is not a list of tables", remedy));
            return Vec::new();
        };
        let mut all = Vec::with_capacity(array.len());
        for (index, element) in array.iter().enumerate() {
            let element = self.element(&item, &format!("[{index}]"), element);
            let table = self.table_of(&element);
            all.push(self.child(element.location.key, table, &mut read));
        }
        all
    }

    /// Whether the file has this table.
    pub(super) fn is_there(&self) -> bool {
        self.table.is_some()
    }

    fn child<T>(
        &mut self,
        path: String,
        table: Option<&'d DeTable<'d>>,
        read: impl FnOnce(&mut Section<'_, 'd>) -> T,
    ) -> T {
        let mut child = Section {
            findings: &mut *self.findings,
            text: self.text,
            table,
            path,
            broker: self.broker.clone(),
            asked: Vec::new(),
        };
        let value = read(&mut child);
        child.finish();
        value
    }

    /// Reports unknown keys, without their values, which may be secrets.
    pub(super) fn finish(&mut self) {
        let Some(table) = self.table else { return };
        for (name, value) in table {
            if self.asked.iter().any(|asked| asked == name.get_ref()) {
                continue;
            }
            let name_shown = shown(name.get_ref()).unwrap_or_else(|| "(hidden)".to_owned());
            let location = KeyLocation {
                key: self.key(&name_shown),
                broker: self.broker.clone(),
                line: Some(self.findings.line_of(name.span().start.min(value.span().start))),
            };
            let remedy = match suggest(name.get_ref(), &self.asked) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("leave it out; the keys here are {}", self.asked.join(", ")),
            };
            self.findings.report(&location, None, Refusal::new("is not a key of the config", remedy));
        }
    }

    /// The full key of a key in this table.
    pub(super) fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Reports a missing key.
    pub(super) fn report_missing(&mut self, key: &str, remedy: &str) {
        self.report_key(key, Refusal::new("is missing", remedy));
    }

    /// Reports a problem of a key as such.
    pub(super) fn report_key(&mut self, key: &str, refusal: Refusal) {
        let location = KeyLocation { key: self.key(key), broker: self.broker.clone(), line: None };
        self.findings.report(&location, None, refusal);
    }

    /// Reports a warning about a key, whether it is there or not.
    pub(super) fn warn_key(&mut self, key: &str, refusal: Refusal) {
        let location = KeyLocation { key: self.key(key), broker: self.broker.clone(), line: None };
        self.findings.warn(&location, refusal);
    }

    /// The value of a key, if the file has it.
    pub(super) fn item(&mut self, key: &'static str) -> Option<Item<'d>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let (_, value) = self.table?.iter().find(|(name, _)| name.get_ref() == key)?;
        let item = self.item_at(self.key(key), value);
        self.findings.give(&item.location);
        Some(item)
    }

    /// An element of an array or an inline table.
    pub(super) fn element(&self, of: &Item<'_>, suffix: &str, value: &'d Spanned<DeValue<'d>>) -> Item<'d> {
        self.item_at(of.location.key.clone() + suffix, value)
    }

    fn item_at(&self, key: String, value: &'d Spanned<DeValue<'d>>) -> Item<'d> {
        let line = Some(self.findings.line_of(value.span().start));
        let raw = self.text.get(value.span()).unwrap_or_default();
        Item { location: KeyLocation { key, broker: self.broker.clone(), line }, value: value.get_ref(), raw }
    }

    /// Reports a problem with the value, unless that is a list or a table, which may contain secrets.
    pub(super) fn report(&mut self, item: &Item<'_>, refusal: Refusal) {
        let scalar = !matches!(item.value, DeValue::Array(_) | DeValue::Table(_));
        self.findings.report(&item.location, scalar.then(|| shown(item.raw)).flatten(), refusal);
    }

    /// Reports a problem of a value that may be a secret, without showing it.
    pub(super) fn report_hidden(&mut self, item: &Item<'_>, refusal: Refusal) {
        self.findings.report(&item.location, None, refusal);
    }

    /// Registers a key with its default and bounds, for the documentation.
    pub(super) fn know(&mut self, key: &str, default: Option<String>, bounds: Option<String>) {
        // `brokers[2].oauth2.scope` is documented once, as `brokers.oauth2.scope`.
        let parts = self.path.split('.').map(|part| part.split('[').next().unwrap_or_default());
        let table = parts.collect::<Vec<_>>().join(".");
        self.findings.known.push(KnownKey { path: format!("{table}.{key}"), default, bounds });
    }

    fn table_of(&mut self, item: &Item<'d>) -> Option<&'d DeTable<'d>> {
        let table = item.value.as_table();
        if table.is_none() {
            self.report(item, Refusal::new("is not a table", format!("write it as [{}]", item.location.key)));
        }
        table
    }

    /// A value with bounds.
    pub(super) fn ranged<T: PartialOrd>(
        &mut self,
        key: &'static str,
        default: T,
        range: RangeInclusive<T>,
        kind: &Kind<T>,
    ) -> T {
        let shown = (kind.show)(&default);
        self.ranged_or(key, default, shown, range, kind)
    }

    /// A value with bounds whose default depends on another key; `from` says how.
    pub(super) fn ranged_or<T: PartialOrd>(
        &mut self,
        key: &'static str,
        default: T,
        from: String,
        range: RangeInclusive<T>,
        kind: &Kind<T>,
    ) -> T {
        debug_assert!(range.contains(&default), "the default of {key} is out of its own bounds");
        self.know(key, Some(from), Some(bounds(&range, kind)));
        let item = self.item(key);
        item.and_then(|item| self.bounded(&item, &range, kind)).unwrap_or(default)
    }

    /// A value with bounds and no default; `remedy` is for one that is missing.
    pub(super) fn required<T: PartialOrd>(
        &mut self,
        key: &'static str,
        range: &RangeInclusive<T>,
        kind: &Kind<T>,
        remedy: &str,
    ) -> Option<T> {
        self.know(key, None, Some(bounds(range, kind)));
        let Some(item) = self.item(key) else {
            self.report_missing(key, remedy);
            return None;
        };
        self.bounded(&item, range, kind)
    }

    /// A value that has been found, if it is of this kind and within its bounds.
    pub(super) fn bounded<T: PartialOrd>(
        &mut self,
        item: &Item<'_>,
        range: &RangeInclusive<T>,
        kind: &Kind<T>,
    ) -> Option<T> {
        let problem = match (kind.parse)(item.value) {
            Some(value) if range.contains(&value) => return Some(value),
            Some(_) => "is out of bounds".to_owned(),
            None => format!("is not {}", kind.name),
        };
        self.report(item, Refusal::new(problem, format!("give {}, {}", kind.name, bounds(range, kind))));
        None
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        self.know(key, Some(default.to_string()), None);
        let Some(item) = self.item(key) else { return default };
        item.value.as_bool().unwrap_or_else(|| {
            self.report(&item, Refusal::new("is not true or false", "write true or false, without quotes"));
            default
        })
    }

    /// One of a few words; the first is the default.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, first: (&str, T), others: &[(&str, T)]) -> T {
        let choices: Vec<(&str, T)> = std::iter::once(first).chain(others.iter().copied()).collect();
        self.choice_or(key, first.1, first.0, &choices)
    }

    /// One of some words; `default`, which is shown as `shown`, if the key is not there.
    pub(super) fn choice_or<T: Copy>(
        &mut self,
        key: &'static str,
        default: T,
        shown: &str,
        choices: &[(&str, T)],
    ) -> T {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.know(key, Some(shown.to_owned()), Some(words.join(" or ")));
        let Some(item) = self.item(key) else { return default };
        let chosen = item.value.as_str().unwrap_or_default();
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == chosen) {
            return *value;
        }
        let remedy = match suggest(chosen, &words) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("give \"{}\"", words.join("\" or \"")),
        };
        self.report(&item, Refusal::new(format!("is not a known {key}"), remedy));
        default
    }

    /// A text that is not empty and not longer than `max` bytes.
    pub(super) fn text(&mut self, item: &Item<'d>, max: usize) -> Option<&'d str> {
        match item.value.as_str() {
            Some(text) if !text.is_empty() && text.len() <= max => Some(text),
            _ => {
                let problem = format!("is not a text of 1 to {max} bytes");
                self.report(item, Refusal::new(problem, "give it in quotes"));
                None
            }
        }
    }

    /// The elements of a list.
    pub(super) fn list(&mut self, item: &Item<'d>) -> Option<Vec<Item<'d>>> {
        let Some(array) = item.value.as_array() else {
            self.report_hidden(item, Refusal::new("is not a list", "write it in brackets: [\"…\"]"));
            return None;
        };
        let elements = array.iter().enumerate();
        Some(elements.map(|(index, value)| self.element(item, &format!("[{index}]"), value)).collect())
    }

    /// The entries of a table whose keys are free.
    pub(super) fn entries(&mut self, item: &Item<'d>) -> Option<Vec<(&'d str, Item<'d>)>> {
        let Some(table) = item.value.as_table() else {
            let remedy = "write it as a table: { name = … }";
            self.report_hidden(item, Refusal::new("is not a table", remedy));
            return None;
        };
        let entries = table.iter();
        Some(
            entries
                .map(|(name, value)| {
                    (name.get_ref().as_ref(), self.element(item, &format!(".{}", name.get_ref()), value))
                })
                .collect(),
        )
    }

    /// A path; one that is not absolute starts where the config file is.
    pub(super) fn path_of(&mut self, item: &Item<'d>) -> Option<PathBuf> {
        self.text(item, PATH_MAX).map(|path| self.resolve(Path::new(path)))
    }

    /// A path that is relative to the config file.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        self.findings.base.join(path)
    }
}

fn bounds<T>(range: &RangeInclusive<T>, kind: &Kind<T>) -> String {
    format!("{} to {}", (kind.show)(range.start()), (kind.show)(range.end()))
}

/// The longest path, in bytes: Linux's own limit.
pub(super) const PATH_MAX: usize = 4096;
