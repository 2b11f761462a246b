//! The result of a reload for people and machines: names, never a secret.

use std::{
    fmt::{self, Write},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use crate::{
    assemble::{AssembleFault, BROKERS_PER_RUN_MAX},
    config::{ConfigErrors, Problem},
};
use line::LineFault;

/// A reload that was carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The file that was read.
    pub config: PathBuf,
    /// Added brokers.
    pub added: Vec<String>,
    /// Brokers with changed terms.
    pub changed: Vec<Changed>,
    /// Removed brokers, which get nothing new.
    pub removed: Vec<String>,
    /// Other sections that were changed.
    pub sections: Vec<String>,
    /// Hints about unexpected effects.
    pub hints: Vec<String>,
}

/// A broker with changed terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// The broker.
    pub broker: String,
    /// The changed keys.
    pub keys: Vec<String>,
}

impl Outcome {
    /// Whether nothing has changed.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.added.is_empty()
            && self.changed.is_empty()
            && self.removed.is_empty()
            && self.sections.is_empty()
    }
}

/// One line for each broker and each hint.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, added, changed, removed, sections, hints } = self;
        if self.is_nothing() {
            write!(f, "nothing has changed in {}", config.display())?;
        } else {
            write!(f, "{} is in force", config.display())?;
        }
        for name in added {
            write!(f, "\n  added    {name}: gets events that are read from now on")?;
        }
        for Changed { broker, keys } in changed {
            write!(f, "\n  changed  {broker}: {}", keys.join(", "))?;
        }
        for name in removed {
            write!(f, "\n  removed  {name}: gets no new events, what is left for it is still sent")?;
        }
        if !sections.is_empty() {
            write!(f, "\n  changed  {}", sections.iter().fold(String::new(), in_brackets))?;
        }
        hints.iter().try_for_each(|hint| write!(f, "\n  note     {hint}"))
    }
}

fn in_brackets(mut all: String, section: &String) -> String {
    let between = if all.is_empty() { "" } else { ", " };
    // Writing to a string cannot fail.
    let _written = write!(all, "{between}[{section}]");
    all
}

/// Why a reload was refused. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The new config is wrong, or has changes that need a restart.
    #[error("{0}; the config in force stays")]
    Config(ConfigErrors),
    /// The run has had too many brokers.
    #[error(
        "with the new config this run would come to know {known} brokers, those that have left included, and {BROKERS_PER_RUN_MAX} \
         are the most: restart the process, which forgets those that left; the config in force stays"
    )]
    TooMany {
        /// How many there would be.
        known: usize,
    },
    /// The run has no config file.
    #[error("this run was started without a config file, so there is nothing to read again")]
    NoFile,
    /// The run is ending.
    #[error("the run is stopping; the next one reads the new config")]
    Stopping,
    /// A part could not be made.
    #[error("{0}; the config in force stays")]
    Assemble(#[from] AssembleFault),
    /// A broker could not be added to the line.
    #[error("{0}; the config in force stays")]
    Line(#[from] LineFault),
}

impl Refused {
    /// The problems of the config, if that is the reason.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Config(errors) => &errors.problems,
            _ => &[],
        }
    }
}
