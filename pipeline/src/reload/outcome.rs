//! What came of a reload, as a person or a machine is told it: names, never a secret.

use std::{
    fmt::{self, Write},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use crate::{
    assemble::{AssembleFault, KNOWN_MAX},
    config::{ConfigErrors, Problem},
    line::LineFault,
};

/// A reload that was carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The file that was read.
    pub config: PathBuf,
    /// Brokers that get events from now on.
    pub added: Vec<String>,
    /// Brokers with whom something else is agreed.
    pub changed: Vec<Changed>,
    /// Brokers that get nothing new.
    pub removed: Vec<String>,
    /// Other sections that are in force as they stand in the file now.
    pub sections: Vec<String>,
    /// What is not as one might expect.
    pub hints: Vec<String>,
}

/// A broker with whom something else is agreed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// The broker.
    pub broker: String,
    /// What, by its keys.
    pub keys: Vec<String>,
}

impl Outcome {
    /// Whether the file says what was in force already.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.added.is_empty()
            && self.changed.is_empty()
            && self.removed.is_empty()
            && self.sections.is_empty()
    }
}

/// One line for what is done to each broker, and for each hint.
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

/// Why a reload was refused: nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The new config is wrong, or has changes that need a restart.
    #[error("{0}; the config in force stays")]
    Config(ConfigErrors),
    /// Too many brokers have come and gone.
    #[error(
        "with the new config this run would come to know {known} brokers, those that have left included, and {KNOWN_MAX} \
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
    /// A broker could not be brought to the line.
    #[error("{0}; the config in force stays")]
    Line(#[from] LineFault),
}

impl Refused {
    /// Everything that is wrong with the config, if that is why.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Config(errors) => &errors.problems,
            _ => &[],
        }
    }
}
