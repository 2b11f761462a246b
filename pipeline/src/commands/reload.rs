//! `loadline reload`: has the running process read its config again, and says what changed or why it was refused.

use std::{
    fs,
    io::{self, Write},
    time::Duration,
};

use http::Method;
use serde_json::{Value, json};

use super::{Answer, runtime};
use crate::{
    admin::client::{AskFault, ask_within},
    cli::{ConfigFile, Exit},
    config::Place,
    reload::Outcome,
};

/// How long the process may take: ten thousand brokers with a file for each secret, and every delivery that waits on disk
/// for a broker that comes back, take seconds.
const PATIENCE: Duration = Duration::from_secs(55);

pub(super) fn reload(place: &Place, config: &ConfigFile, answer: Answer) -> anyhow::Result<Exit> {
    let asked = runtime()?.block_on(ask_within(PATIENCE, &place.admin, Method::POST, "/reload"));
    match asked {
        Ok(told) => done(&serde_json::from_value(told)?, config, answer),
        Err(AskFault::Refused { told, .. }) if told["problems"].is_array() => refused(&told, answer),
        Err(AskFault::Nobody { place: at }) => {
            let told = format!(
                "no process answers at {at}: nothing was reloaded; the next run reads {}",
                config.path().display()
            );
            // A machine that asked for an answer gets one.
            if answer.json {
                writeln!(io::stdout().lock(), "{}", json!({ "reloaded": false, "error": told }))?;
            }
            anyhow::bail!(told)
        }
        Err(fault) => Err(fault.into()),
    }
}

fn done(outcome: &Outcome, config: &ConfigFile, answer: Answer) -> anyhow::Result<Exit> {
    let path = config.path();
    let mut out = io::stdout().lock();
    if answer.json {
        let mut told = json!({ "reloaded": true });
        if let (Value::Object(told), Value::Object(outcome)) = (&mut told, serde_json::to_value(outcome)?) {
            told.extend(outcome);
        }
        writeln!(out, "{told}")?;
    } else if !answer.quiet {
        writeln!(out, "{}", config.complete(&outcome.to_string()))?;
    }
    let same = match (fs::canonicalize(&outcome.config), fs::canonicalize(path)) {
        (Ok(read), Ok(given)) => read == given,
        _ => true,
    };
    if !same {
        writeln!(
            io::stderr().lock(),
            "loadline: the process was started with {} and has read that, not {}",
            outcome.config.display(),
            path.display()
        )?;
    }
    Ok(Exit::Done)
}

/// The problems as `loadline check` says them.
fn refused(told: &Value, answer: Answer) -> anyhow::Result<Exit> {
    if answer.json {
        let told = json!({ "reloaded": false, "error": told["error"], "problems": told["problems"] });
        writeln!(io::stdout().lock(), "{told}")?;
    } else {
        writeln!(io::stderr().lock(), "{}", told["error"].as_str().unwrap_or_default())?;
    }
    Ok(Exit::Usage)
}
