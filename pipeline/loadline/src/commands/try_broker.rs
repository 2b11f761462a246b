//! `loadline try`: sends one event to one broker, or prints the request. Ends with 0 if the event was taken, or was only to
//! be printed.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Answer, runtime};
use crate::cli::{Exit, TryArgs};
use service::{
    config::Config,
    trial::{Attempted, Prepared, TryFault, answered, curl, show_request, unanswered},
};

pub(super) fn run(config: &Config, args: &TryArgs, answer: Answer) -> anyhow::Result<Exit> {
    let runtime = runtime()?;
    let tried = runtime.block_on(Attempted::new(config, &args.broker, &args.event));
    let (attempted, request) = match tried.and_then(|tried| tried.prepared().map(|request| (tried, request)))
    {
        Ok(made) => made,
        Err(
            fault @ (TryFault::NoBroker { .. }
            | TryFault::File(_)
            | TryFault::NoEvent { .. }
            | TryFault::Unfit(_)),
        ) => {
            writeln!(io::stderr().lock(), "loadline: {fault}")?;
            return Ok(Exit::Usage);
        }
        Err(fault) => return Err(fault.into()),
    };
    if attempted.events() > 1 && !answer.quiet {
        let events = attempted.events();
        writeln!(io::stderr().lock(), "note: the file holds {events} events; the first is tried")?;
    }
    if !attempted.is_wanted() && !answer.quiet {
        let name = &args.broker;
        writeln!(
            io::stderr().lock(),
            "note: a run would not give this event to {name}: its statuses, loads or filter keep it out"
        )?;
    }
    let mut out = io::stdout().lock();
    if args.curl {
        writeln!(out, "{}", curl(&request))?;
        return Ok(Exit::Done);
    }
    if args.dry_run {
        tell(&request, None, answer, &mut out)?;
        return Ok(Exit::Done);
    }
    let (taken, told) = match runtime.block_on(attempted.send(config))? {
        Ok(trial) => (trial.failure.is_none(), answered(&trial)),
        Err(failure) => (false, unanswered(&failure)),
    };
    tell(&request, Some(&told), answer, &mut out)?;
    Ok(if taken { Exit::Done } else { Exit::Failed })
}

fn tell(
    request: &Prepared,
    told: Option<&(Vec<String>, Value)>,
    answer: Answer,
    out: &mut impl Write,
) -> io::Result<()> {
    if answer.json {
        let answer = told.map(|(_, json)| json);
        return writeln!(out, "{}", json!({ "request": request, "answer": answer }));
    }
    if !answer.quiet {
        show_request(request, out)?;
    }
    let lines = told.map(|(lines, _)| lines.as_slice()).unwrap_or_default();
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}
