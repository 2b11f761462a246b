//! The log: a format and a filter enter; from then on, everything that is traced goes to stderr. The filter may change.
//! Guaranteed: a line of text is one line, whatever stands in the fields; nothing in them steers a terminal.

use std::{
    fmt::{self as text, Write as _},
    io::{self, IsTerminal},
    sync::{
        Once, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use state::Fit;
use tracing::{field::Field, level_filters::LevelFilter};
use tracing_subscriber::{EnvFilter, field::MakeExt, fmt, fmt::format, reload, util::SubscriberInitExt};

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
    let parsed = parse(filter)?;
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
        let (started, changes): (_, Box<Change>) = match format {
            LogFormat::Text => {
                let lines = lines.fmt_fields(format::debug_fn(write_field).delimited(" "));
                let lines = lines.with_filter_reloading();
                let handle = lines.reload_handle();
                (lines.finish().try_init(), Box::new(move |filter| handle.reload(filter)))
            }
            LogFormat::Json => {
                let lines = lines.json().flatten_event(true).with_filter_reloading();
                let handle = lines.reload_handle();
                (lines.finish().try_init(), Box::new(move |filter| handle.reload(filter)))
            }
        };
        match started {
            // Only here, and this is done once: it cannot be set already.
            Ok(()) => drop(CHANGES.set(changes)),
            Err(_) => tracing::debug!("logging had been started by other means; it stays as it is"),
        }
    });
    Ok(())
}

/// As [`init`]; if `quiet`, nothing but errors is told, whatever `filter` and later ones say.
///
/// # Errors
/// As [`init`].
pub fn init_as(format: LogFormat, filter: &str, quiet: bool) -> Result<(), FilterFault> {
    if quiet {
        parse(filter)?;
        QUIET.store(true, Relaxed);
    }
    init(format, filter)
}

/// Writes one field of a line of text.
fn write_field(out: &mut format::Writer<'_>, field: &Field, value: &dyn text::Debug) -> text::Result {
    let name = field.name();
    // What the crate `log` says of its own records stands in the line already.
    if name.starts_with("log.") {
        return Ok(());
    }
    let mut shown = String::new();
    write!(shown, "{value:?}")?;
    match name {
        "message" => write!(out, "{}", Fit(&shown)),
        name => write!(out, "{}={}", name.trim_start_matches("r#"), Fit(&shown)),
    }
}

/// Filters by `filter` from now on; nothing if logging has been started by other means.
///
/// # Errors
/// If `filter` is not in the syntax of `EnvFilter`.
pub fn set_level(filter: &str) -> Result<(), FilterFault> {
    let parsed = parse(filter)?;
    if let Some(change) = CHANGES.get()
        && change(parsed).is_err()
    {
        tracing::debug!("logging has ended; there is nothing to filter");
    }
    Ok(())
}

fn parse(filter: &str) -> Result<EnvFilter, FilterFault> {
    let parsed = parse_as_given(filter)?;
    let silent = parsed.max_level_hint() == Some(LevelFilter::OFF);
    Ok(if QUIET.load(Relaxed) && !silent { EnvFilter::new("error") } else { parsed })
}

fn parse_as_given(filter: &str) -> Result<EnvFilter, FilterFault> {
    // Fluvio's client tells every try of its own; what matters of that the source tells. A filter that names it has it.
    let names_it = filter.split(',').any(|directive| directive.trim_start().starts_with("fluvio"));
    let quieter = if names_it { filter.to_owned() } else { format!("{filter},fluvio=off") };
    EnvFilter::builder().parse(quieter).map_err(|why| FilterFault { filter: filter.to_owned(), why })
}

/// Puts another filter in force.
type Change = dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync;

/// Whether nothing but errors is told.
static QUIET: AtomicBool = AtomicBool::new(false);
static STARTED: Once = Once::new();
static CHANGES: OnceLock<Box<Change>> = OnceLock::new();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_in_a_field_a_line_stays_one_and_steers_no_terminal() {
        #[derive(Clone, Default)]
        struct Kept(std::sync::Arc<parking_lot::Mutex<Vec<u8>>>);
        impl io::Write for Kept {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let kept = Kept::default();
        let writer = kept.clone();
        let lines = fmt().with_ansi(false).with_writer(move || writer.clone());
        let lines = lines.fmt_fields(format::debug_fn(write_field).delimited(" ")).finish();
        tracing::subscriber::with_default(lines, || {
            let odd = "a\n2026 ERROR x\u{1b}[2J\u{2028}\u{202e}";
            tracing::warn!(event = %odd, load = odd, word = %state::Word(odd), "it is {odd}");
        });
        let text = String::from_utf8(kept.0.lock().clone()).unwrap();
        assert!(text.ends_with('\n') && text.lines().count() == 1, "{text}");
        assert!(!text.trim_end().contains(state::is_unfit), "{text:?}");
        for part in ["it is a\\n2026", "event=a\\n2026", "load=\"a\\n2026", "word=\"a\\n2026"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_second_start_changes_nothing_and_a_wrong_filter_is_named() {
        init(LogFormat::Text, "off").unwrap();
        init(LogFormat::Json, "info,stages=debug").unwrap();
        assert!(!tracing::enabled!(tracing::Level::ERROR), "the first filter still holds");
        let fault = init(LogFormat::Text, "stages=loud").unwrap_err();
        assert!(fault.to_string().contains("stages=loud"), "{fault}");
        set_level("warn").unwrap();
        assert!(tracing::enabled!(tracing::Level::WARN) && !tracing::enabled!(tracing::Level::INFO));
        assert!(set_level("stages=loud").is_err());
    }
}
