//! The log: a format and a filter enter; from then on, everything that is traced goes to stderr.

use std::{
    io::{self, IsTerminal},
    sync::Once,
};

use tracing_subscriber::{EnvFilter, fmt, util::SubscriberInitExt};

use crate::config::LogFormat;

/// The filter is not in `EnvFilter`'s syntax.
#[derive(Debug, thiserror::Error)]
#[error("log filter {filter:?} is not valid: {why}; use a level such as info, or info,stages=debug")]
pub struct FilterFault {
    filter: String,
    why: tracing_subscriber::filter::ParseError,
}

/// Starts logging. The first call in a process decides; a later one changes nothing, so a test or a command that calls
/// another may call it again.
///
/// Logs go to stderr, because stdout belongs to a command's answer.
///
/// # Errors
/// If `filter` is not in the syntax of `EnvFilter`.
pub fn init(format: LogFormat, filter: &str) -> Result<(), FilterFault> {
    let parsed =
        EnvFilter::builder().parse(filter).map_err(|why| FilterFault { filter: filter.to_owned(), why })?;
    // A second subscriber would not be installed, but its making alone moves tracing's global level hint.
    STARTED.call_once(|| {
        // Colours are for a terminal; in a file or a collector they are noise.
        let colours = io::stderr().is_terminal();
        // A line that cannot be written is given up: to complain about it on the same stderr would panic whatever
        // task had something to say, and a log's collector may go at any time.
        let lines = fmt()
            .with_env_filter(parsed)
            .with_writer(io::stderr)
            .with_ansi(colours)
            .log_internal_errors(false);
        let started = match format {
            LogFormat::Text => lines.finish().try_init(),
            LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
        };
        if started.is_err() {
            tracing::debug!("logging had been started by other means; it stays as it is");
        }
    });
    Ok(())
}

static STARTED: Once = Once::new();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_start_changes_nothing_and_a_wrong_filter_is_named() {
        init(LogFormat::Text, "off").unwrap();
        init(LogFormat::Json, "info,stages=debug").unwrap();
        assert!(!tracing::enabled!(tracing::Level::ERROR), "the first filter still holds");
        let fault = init(LogFormat::Text, "stages=loud").unwrap_err();
        assert!(fault.to_string().contains("stages=loud"), "{fault}");
    }
}
