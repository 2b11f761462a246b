//! The part of a config that says what a process keeps and within which bounds: what a command needs that moves state from
//! one directory to another. Secrets are not fetched, and other sections may be wrong.

use std::{env, path::Path};

use toml::de::DeTable;

use super::{
    ConfigErrors, LimitsConfig, Problem, Reading, SourceConfig, StateConfig,
    findings::{Environment, Findings},
    read_file,
    section::Section,
};

/// What a process reads, and where and within which bounds it keeps what it remembers of that.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// Where records come from.
    pub source: SourceConfig,
    /// Where Loadline remembers.
    pub state: StateConfig,
    /// How much may wait on disk.
    pub limits: LimitsConfig,
    /// The ids of the brokers, in the file's order.
    pub brokers: Vec<String>,
}

impl Keeping {
    /// Reads `[source]`, `[state]`, `[limits]` and the ids of the brokers from a config file.
    ///
    /// # Errors
    /// What is wrong with these; if the file cannot be read or is not TOML, that alone.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let base = path.parent().unwrap_or(Path::new(""));
        let read = match read_file(path) {
            Ok(text) => Self::read(&text, base, &|name| env::var(name)),
            Err(error) => Err(Reading::unreadable(&error).problems),
        };
        read.map_err(|problems| ConfigErrors { path: path.to_owned(), problems })
    }

    fn read(text: &str, base: &Path, environment: Environment<'_>) -> Result<Self, Vec<Problem>> {
        let table = DeTable::parse(text).map_err(|error| Reading::not_toml(text, &error).problems)?;
        let mut findings = Findings::new(text, base, environment);
        let mut root = Section::root(&mut findings, text, table.get_ref());
        let source = root.section("source", SourceConfig::read);
        let state = root.section("state", StateConfig::read);
        let limits = root.section("limits", LimitsConfig::read);
        let ids = root.sections("brokers", |section| {
            let id = section.item("id")?;
            id.value.as_str().map(str::to_owned)
        });
        let of_these = |problem: &Problem| {
            ["source", "state", "limits"].contains(&problem.key.split('.').next().unwrap_or(""))
        };
        let problems: Vec<Problem> = findings.problems.into_iter().filter(of_these).collect();
        match source {
            Some(source) if problems.is_empty() => {
                Ok(Self { source, state, limits, brokers: ids.into_iter().flatten().collect() })
            }
            _ => Err(problems),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::env::VarError;

    use super::*;
    use crate::config::SourceKind;

    fn read(text: &str) -> Result<Keeping, Vec<Problem>> {
        Keeping::read(text, Path::new("/etc/loadline"), &|_| Err(VarError::NotPresent))
    }

    #[test]
    fn it_is_read_without_any_brokers_secret_and_whatever_else_is_wrong() {
        let keeping = read(
            "[source]\nkind = \"fluvio\"\ntopic = \"loads\"\n[limits]\nspill_broker_max = \"1MiB\"\n\
             [retry]\nage_max = \"never\"\n[[brokers]]\nid = \"acme\"\nsecrets = [\"env:NOT_HERE\"]\n",
        );
        let keeping = keeping.unwrap();
        assert!(matches!(keeping.source.kind, SourceKind::Fluvio(fluvio) if fluvio.topic == "loads"));
        assert_eq!((keeping.limits.spill_broker_max, keeping.brokers), (1 << 20, vec!["acme".to_owned()]));
    }

    #[test]
    fn what_it_reads_must_be_right() {
        let wrong =
            "[source]\nkind = \"kafka\"\npath = \"e\"\n[state]\ncache = 1\n[limits]\nin_flight_max = 0\n";
        let keys: Vec<_> = read(wrong).unwrap_err().into_iter().map(|problem| problem.key).collect();
        assert_eq!(keys, ["source.kind", "state.cache", "limits.in_flight_max"]);
    }
}
