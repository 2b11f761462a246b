//! `loadline broker enable|disable`: takes a broker out of service, or back into it, in the state directory.

use std::io::{self, Write};

use state::{Clock, Disabled, Store};

use super::{Answer, with_config};
use crate::{
    assemble::store_options,
    cli::{BrokerArgs, BrokerCommand, Exit},
    config::Config,
};

pub(super) fn broker(command: &BrokerCommand, answer: Answer) -> anyhow::Result<Exit> {
    let (args, disabled) = match command {
        BrokerCommand::Enable(args) => (args, None),
        BrokerCommand::Disable(args) => {
            let reason = "disabled by an operator".to_owned();
            (args, Some(Disabled { since: Clock::System.now(), reason }))
        }
    };
    with_config(&args.config, answer, |config| set(config, args, disabled.as_ref(), answer))
}

fn set(
    config: &Config,
    args: &BrokerArgs,
    disabled: Option<&Disabled>,
    answer: Answer,
) -> anyhow::Result<Exit> {
    let name = &args.name;
    if !config.brokers.iter().any(|broker| broker.id == *name) {
        let known: Vec<_> = config.brokers.iter().take(20).map(|broker| broker.id.as_str()).collect();
        anyhow::bail!("broker {name} is not in {}; it names {}", args.config.display(), known.join(", "));
    }
    let store = Store::open(&config.state.dir, store_options(config))?;
    store.disable_broker(name, disabled)?;
    if !answer.quiet {
        let state = if disabled.is_some() { "disabled" } else { "enabled" };
        let note = if disabled.is_some() { ": its deliveries become dead letters" } else { "" };
        writeln!(io::stdout().lock(), "{name} {state}{note}")?;
    }
    Ok(Exit::Done)
}
