//! The part of a config that a command about a run needs: how to find the process and its state. Secrets of brokers
//! are not fetched, so it works from a shell without them; other sections may be wrong.

use std::path::{Path, PathBuf};

use super::{
    AdminConfig, ConfigErrors, Reading, Refusal, SourceConfig, SourceKind, StateConfig, part,
    section::Section,
};

/// The sections that must be valid.
const SECTIONS: [&str; 2] = ["state", "admin"];

/// How to find a process and its state.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where the process can be queried.
    pub admin: AdminConfig,
    /// Its state.
    pub state: StateConfig,
    /// The file it reads, if it reads one.
    pub file: Option<PathBuf>,
    /// The ids of its brokers, in the file's order.
    pub brokers: Vec<String>,
}

impl Target {
    /// Reads `[admin]`, `[state]` and the ids of the brokers from a config file.
    ///
    /// # Errors
    /// The problems of these sections; if the file cannot be read or is not TOML, that alone.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        part::load(path, &SECTIONS, Self::read)
    }

    fn read(root: &mut Section<'_, '_>) -> Option<Self> {
        let state = root.section("state", StateConfig::read);
        let admin = root.section("admin", |section| AdminConfig::read(section, &state.dir));
        let file = match root.section("source", SourceConfig::read).map(|source| source.kind) {
            Some(SourceKind::File { path, .. }) => Some(path),
            _ => None,
        };
        Some(Self { admin, state, file, brokers: part::broker_ids(root) })
    }
}

impl Reading {
    /// A file that cannot be read.
    pub(super) fn unreadable(error: &std::io::Error) -> Self {
        Self::failed(
            None,
            Refusal::new(
                format!("cannot be read: {error}"),
                "give the path of a TOML file this process may read",
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::env::VarError;

    use super::*;
    use crate::config::{AdminListen, Problem, findings::Environment};

    fn read(text: &str) -> Result<Target, Vec<Problem>> {
        let nothing: Environment<'_> = &|_| Err(VarError::NotPresent);
        part::from_text(text, Path::new("/etc/loadline"), nothing, &SECTIONS, Target::read)
    }

    #[test]
    fn a_process_is_found_without_any_brokers_secret_and_whatever_else_is_wrong() {
        let target = read(
            "[state]\ndir = \"/var/state\"\n[source]\nkind = \"pulsar\"\n\
             [[brokers]]\nid = \"acme\"\nsecrets = [\"env:NOT_HERE\"]\n[[brokers]]\nrate = 1\n",
        );
        let target = target.unwrap();
        assert_eq!(target.admin.listen, AdminListen::Socket("/var/state/admin.sock".into()));
        assert_eq!((target.brokers, target.file), (vec!["acme".to_owned()], None));
        let file = read("source.path = \"events.ndjson\"\n").unwrap().file;
        assert_eq!(file, Some("/etc/loadline/events.ndjson".into()));
    }

    #[test]
    fn what_leads_to_the_process_must_be_right() {
        let problems = read("[admin]\nlisten = \"nowhere\"\ntoken = \"env:NOT_HERE\"\n").unwrap_err();
        let keys: Vec<&str> = problems.iter().map(|problem| &*problem.key).collect();
        assert_eq!(keys, ["admin.listen", "admin.token"]);
        assert!(read("not toml").is_err());
    }
}
