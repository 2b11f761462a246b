//! `[log]`: the format and the level of the log.

use tracing_subscriber::EnvFilter;

use super::{problem::Refusal, section::Section};

const LEVEL_MAX: usize = 1024;

/// The log's format and level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The format of a line.
    pub format: LogFormat,
    /// The filter, in the syntax of tracing's `EnvFilter` (default `info`): a level, or `info,stages=debug`.
    pub level: String,
}

/// The format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogConfig {
    pub(super) fn read(s: &mut Section<'_, '_>) -> Self {
        let format = s.choice("format", ("text", LogFormat::Text), &[("json", LogFormat::Json)]);
        Self { format, level: level(s).unwrap_or_else(|| "info".to_owned()) }
    }
}

fn level(s: &mut Section<'_, '_>) -> Option<String> {
    s.know("level", Some("info".to_owned()), None);
    let item = s.item("level")?;
    let text = s.text(&item, LEVEL_MAX)?;
    // EnvFilter reads a word that is no level as the name of a module, so a misspelt level alone would silence all.
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let names_a_level = levels.iter().any(|level| text.to_ascii_lowercase().contains(level));
    match EnvFilter::builder().parse(text) {
        Ok(_) if names_a_level => return Some(text.to_owned()),
        _ => {
            let remedy =
                "give one of off, error, warn, info, debug, trace, or a filter such as \"info,stages=debug\"";
            s.report(&item, Refusal::new("is not a log filter", remedy));
        }
    }
    None
}
