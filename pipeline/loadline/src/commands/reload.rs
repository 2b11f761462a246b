//! `loadline reload`: makes the running process reload its config, and reports what changed or why it was refused.

use std::{
    fs,
    io::{self, Write},
    time::Duration,
};

use http::Method;
use serde_json::{Value, json};

use super::{Answer, runtime};
use crate::cli::{ConfigFile, Exit};
use service::{
    admin::client::{AskFault, ask_within},
    config::Target,
    reload::Outcome,
};

/// How long the process may take: ten thousand brokers with a file for each secret, and all waiting deliveries of a
/// broker that is added again, take seconds.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(55);

pub(super) fn reload(target: &Target, config: &ConfigFile, answer: Answer) -> anyhow::Result<Exit> {
    let asked = runtime()?.block_on(ask_within(RELOAD_TIMEOUT, &target.admin, Method::POST, "/reload"));
    match asked {
        Ok(told) => done(&serde_json::from_value(told)?, config, answer),
        Err(AskFault::Refused { answer: told, .. }) if told["problems"].is_array() => refused(&told, answer),
        Err(AskFault::NoProcess { target: at }) => {
            let told = format!(
                "no process answers at {at}: nothing was reloaded; the next run reads {}",
                config.path().display()
            );
            // With `--json` there is always an answer.
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

/// The problems as `loadline check` prints them.
fn refused(told: &Value, answer: Answer) -> anyhow::Result<Exit> {
    if answer.json {
        let told = json!({ "reloaded": false, "error": told["error"], "problems": told["problems"] });
        writeln!(io::stdout().lock(), "{told}")?;
    } else {
        writeln!(io::stderr().lock(), "{}", told["error"].as_str().unwrap_or_default())?;
    }
    Ok(Exit::Usage)
}
