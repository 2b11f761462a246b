//! `loadline check`: validates a config; needs nothing else.

use std::{
    io::{self, Write},
    path::Path,
};

use serde_json::json;
use service::config::{Config, Summary, notes};

use super::Exit;

/// Checks a config and prints to `out`: a summary if it is valid (nothing if `quiet`), every problem if it is not.
#[must_use]
pub fn check(path: &Path, json: bool, quiet: bool, out: &mut impl Write) -> Exit {
    let (exit, written) = match Config::load(path) {
        Ok(_) if quiet => (Exit::Done, Ok(())),
        Ok(config) => (Exit::Done, fine(path, &config, json, out)),
        Err(errors) if json => {
            let answer = json!({ "config": path, "fine": false, "problems": errors.problems });
            (Exit::Usage, writeln!(out, "{answer}"))
        }
        Err(errors) => (Exit::Usage, writeln!(out, "{errors}")),
    };
    match written {
        // The reader may close the pipe early.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Failed,
        _ => exit,
    }
}

fn fine(path: &Path, config: &Config, json: bool, out: &mut impl Write) -> io::Result<()> {
    let (summary, notes, warnings) = (Summary::from(config), notes(config), &config.warnings);
    if json {
        let told = json!({
            "config": path, "fine": true, "summary": summary, "notes": notes, "warnings": warnings,
        });
        return writeln!(out, "{told}");
    }
    writeln!(out, "{}: fine: {summary}", path.display())?;
    notes.iter().try_for_each(|note| writeln!(out, "note      {note}"))?;
    warnings.iter().try_for_each(|warning| writeln!(out, "warning   {warning}"))
}
