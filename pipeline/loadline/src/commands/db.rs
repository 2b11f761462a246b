//! `loadline db init|check|import`: prepares the database with brokers and subscriptions, or says what would be done.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use anyhow::Context;
use serde_json::json;
use service::{
    config::{Config, SubscriptionsConfig},
    database::{self, Checked, ImportPlan, SCHEMA, SCHEMA_VERSION},
};

use super::{Answer, runtime};
use crate::cli::{DbCommand, Exit};

pub(super) fn run(config: &Config, command: &DbCommand, answer: Answer) -> anyhow::Result<Exit> {
    let args = command.args();
    let file = args.config.file();
    let Some(database) = &config.subscriptions else {
        writeln!(io::stderr().lock(), "{}", database::missing())?;
        return Ok(Exit::Usage);
    };
    match command {
        DbCommand::Init(_) => init(database, args.dry_run, answer),
        DbCommand::Check(_) => check(config, database, file.path(), args.dry_run, answer),
        DbCommand::Import(_) => import(config, database, file.path(), args.dry_run, answer),
    }
}

fn init(database: &SubscriptionsConfig, dry_run: bool, answer: Answer) -> anyhow::Result<Exit> {
    if !dry_run {
        runtime()?.block_on(database::init(&database.options)).context("the schema was not made")?;
    }
    let mut out = io::stdout().lock();
    if answer.json {
        writeln!(out, "{}", json!({ "schema": SCHEMA_VERSION, "done": !dry_run }))?;
    } else if dry_run {
        write!(out, "{SCHEMA}")?;
    } else if !answer.quiet {
        writeln!(out, "the default schema is there, version {SCHEMA_VERSION}")?;
    }
    Ok(Exit::Done)
}

fn check(
    config: &Config,
    database: &SubscriptionsConfig,
    path: &Path,
    dry_run: bool,
    answer: Answer,
) -> anyhow::Result<Exit> {
    let options = &database.options;
    if dry_run {
        let mut out = io::stdout().lock();
        if answer.json {
            let told = json!({ "lookupQuery": options.lookup_query, "brokersQuery": options.brokers_query });
            writeln!(out, "{told}")?;
        } else {
            writeln!(out, "{}\n\n{}", options.lookup_query, options.brokers_query)?;
        }
        return Ok(Exit::Done);
    }
    let checked = runtime()?.block_on(database::check(config, database, base(path)));
    let checked = checked.context("the database cannot be used")?;
    let Checked { brokers, inactive, broken } = &checked;
    let mut out = io::stdout().lock();
    if answer.json {
        writeln!(out, "{}", serde_json::to_string(&checked)?)?;
    } else if !answer.quiet {
        writeln!(
            out,
            "the database can be used: {brokers} brokers, {inactive} switched off, {} broken",
            broken.len()
        )?;
        broken.iter().try_for_each(|(broker, why)| writeln!(out, "broken    {broker}: {why}"))?;
    }
    Ok(if broken.is_empty() { Exit::Done } else { Exit::Failed })
}

fn import(
    config: &Config,
    database: &SubscriptionsConfig,
    path: &Path,
    dry_run: bool,
    answer: Answer,
) -> anyhow::Result<Exit> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let ImportPlan { brokers, staying } = database::import_plan(config, &text, base(path))?;
    if !dry_run {
        let imported = database::import(&database.options, &brokers);
        runtime()?.block_on(imported).context("nothing was imported")?;
    }
    let loads: usize = brokers.iter().map(|(_, loads)| loads.len()).sum();
    let mut out = io::stdout().lock();
    if answer.json {
        let names: Vec<_> = brokers.iter().map(|(broker, _)| &broker.id).collect();
        let told = json!({ "brokers": names, "subscriptions": loads, "staying": staying, "done": !dry_run });
        writeln!(out, "{told}")?;
    } else if !answer.quiet {
        let done = if dry_run { "would be imported" } else { "are in the table" };
        writeln!(out, "{} brokers with {loads} subscriptions {done}", brokers.len())?;
        staying.iter().try_for_each(|(broker, why)| writeln!(out, "stays     {broker}: {why}"))?;
        if !brokers.is_empty() {
            writeln!(out, "the config's brokers go first: take these out of it and reload")?;
        }
    }
    Ok(Exit::Done)
}

/// Where relative paths of the config start.
fn base(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}
