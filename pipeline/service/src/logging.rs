//! Sets up the log: everything traced goes to stderr in the configured format, filtered by a level that can change.
//!
//! Guarantee: one event is one line, whatever its fields contain, and nothing in it controls a terminal.

use std::{
    fmt::{self as text, Write as _},
    io::{self, IsTerminal},
    sync::{
        Once, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use state::Escaped;
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
    // A second subscriber would not be installed, but making it already changes tracing's global level hint.
    STARTED.call_once(|| {
        // Colours only on a terminal.
        let colours = io::stderr().is_terminal();
        // A line that cannot be written is dropped: reporting that on the same stderr would panic the logging task,
        // and a log's collector may end at any time.
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
            // Set only here, once.
            Ok(()) => drop(CHANGES.set(changes)),
            Err(_) => tracing::debug!("logging had been started by other means; it stays as it is"),
        }
    });
    Ok(())
}

/// As [`init`]; if `quiet`, only errors are logged, whatever `filter` and later ones say.
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
    // The metadata of `log` records is in the line already.
    if name.starts_with("log.") {
        return Ok(());
    }
    let mut shown = String::new();
    write!(shown, "{value:?}")?;
    match name {
        "message" => write!(out, "{}", Escaped(&shown)),
        name => write!(out, "{}={}", name.trim_start_matches("r#"), Escaped(&shown)),
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
    let quieter = without_client(filter);
    EnvFilter::builder().parse(quieter).map_err(|why| FilterFault { filter: filter.to_owned(), why })
}

/// The filter without the Fluvio client's own lines about every retry, unless it names that client: the source logs
/// what matters. The source's crate begins with the client's name, so it keeps the general level.
fn without_client(filter: &str) -> String {
    let directives = || filter.split(',').map(str::trim);
    let is_ours = |directive: &str| directive.starts_with("fluvio_engine");
    if directives().any(|directive| directive.starts_with("fluvio") && !is_ours(directive)) {
        return filter.to_owned();
    }
    let ours = match directives().filter_map(|directive| directive.parse::<LevelFilter>().ok()).next_back() {
        Some(level) if !directives().any(is_ours) => format!(",fluvio_engine={level}"),
        _ => String::new(),
    };
    format!("{filter},fluvio=off{ours}")
}

/// Sets another filter.
type Change = dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync;

/// Whether only errors are logged.
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
        assert!(!text.trim_end().contains(state::is_unprintable), "{text:?}");
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

    #[test]
    fn the_client_is_silent_unless_it_is_named_and_the_source_is_not() {
        assert_eq!(without_client("info"), "info,fluvio=off,fluvio_engine=info");
        assert_eq!(without_client("warn,line=debug"), "warn,line=debug,fluvio=off,fluvio_engine=warn");
        assert_eq!(without_client("info, fluvio_engine=debug"), "info, fluvio_engine=debug,fluvio=off");
        for named in ["fluvio=debug", "info,fluvio_socket=trace"] {
            assert_eq!(without_client(named), named);
        }
    }
}
