//! The part of a config that a command needs to move state between directories: what a process stores and its bounds.
//! Secrets are not fetched, and other sections may be wrong.

use std::path::Path;

use super::{ConfigErrors, LimitsConfig, SourceConfig, StateConfig, part, section::Section};

/// The sections that must be valid.
const SECTIONS: [&str; 3] = ["source", "state", "limits"];

/// A process's source, its state, and the bounds of that.
#[derive(Clone, Debug)]
pub struct RetainedConfig {
    /// Where records come from.
    pub source: SourceConfig,
    /// Where state is stored.
    pub state: StateConfig,
    /// How much may wait on disk.
    pub limits: LimitsConfig,
    /// The ids of the brokers, in the file's order.
    pub brokers: Vec<String>,
}

impl RetainedConfig {
    /// Reads `[source]`, `[state]`, `[limits]` and the ids of the brokers from a config file.
    ///
    /// # Errors
    /// The problems of these sections; if the file cannot be read or is not TOML, that alone.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        part::load(path, &SECTIONS, Self::read)
    }

    fn read(root: &mut Section<'_, '_>) -> Option<Self> {
        let source = root.section("source", SourceConfig::read);
        let state = root.section("state", StateConfig::read);
        let limits = root.section("limits", LimitsConfig::read);
        let brokers = part::broker_ids(root);
        Some(Self { source: source?, state, limits, brokers })
    }
}

#[cfg(test)]
mod tests {
    use std::env::VarError;

    use super::*;
    use crate::config::{Problem, SourceKind, findings::Environment};

    fn read(text: &str) -> Result<RetainedConfig, Vec<Problem>> {
        let nothing: Environment<'_> = &|_| Err(VarError::NotPresent);
        part::from_text(text, Path::new("/etc/loadline"), nothing, &SECTIONS, RetainedConfig::read)
    }

    #[test]
    fn it_is_read_without_any_brokers_secret_and_whatever_else_is_wrong() {
        let retained = read(
            "[source]\nkind = \"fluvio\"\ntopic = \"loads\"\n[limits]\nspill_broker_max = \"1MiB\"\n\
             [retry]\nage_max = \"never\"\n[[brokers]]\nid = \"acme\"\nsecrets = [\"env:NOT_HERE\"]\n",
        );
        let retained = retained.unwrap();
        assert!(matches!(retained.source.kind, SourceKind::Fluvio(fluvio) if fluvio.topic == "loads"));
        assert_eq!((retained.limits.spill_broker_max, retained.brokers), (1 << 20, vec!["acme".to_owned()]));
    }

    #[test]
    fn what_it_reads_must_be_right() {
        let wrong =
            "[source]\nkind = \"pulsar\"\npath = \"e\"\n[state]\ncache = 1\n[limits]\nin_flight_max = 0\n";
        let keys: Vec<_> = read(wrong).unwrap_err().into_iter().map(|problem| problem.key).collect();
        assert_eq!(keys, ["source.kind", "state.cache", "limits.in_flight_max"]);
    }
}
