//! `loadline dead list`: every dead letter in the state directory of a config, one line each.

use std::io::{self, Write};

use state::Store;

use super::Answer;
use crate::{assemble::store_options, cli::Exit, config::Config, dead_list};

pub(super) fn list(config: &Config, answer: Answer) -> anyhow::Result<Exit> {
    let store = Store::open(&config.state.dir, store_options(&config.state))?;
    let mut out = io::stdout().lock();
    for letter in store.dead_letters().iter() {
        let letter = letter?;
        if answer.json {
            writeln!(out, "{}", dead_list::to_json(&letter))?;
        } else {
            dead_list::write_line(&mut out, &letter)?;
        }
    }
    Ok(Exit::Done)
}
