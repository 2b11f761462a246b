//! `loadline state`: checks and repairs a directory ([`state_check`]), moves a partition of a topic from one
//! process's state directory to another's, or continues elsewhere in its log. All need the directory for themselves.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, bail};
use bytesize::ByteSize;
use serde_json::json;
use state::{
    Checkpoint, Durability, ImportRules, PartitionTransfer, Record, StateFault, Store, StoreOptions,
};

use super::{Answer, state_check};
use crate::cli::{Exit, StateCommand, StateExportArgs, StateImportArgs, StateSeekArgs};
use fluvio_engine::{
    FluvioOptions, Partitions, check_ownership, is_of as is_fluvio_mark, mark as fluvio_mark,
    name_of as fluvio_name, partition_of_name,
};
use service::{
    assemble::store_options,
    config::{RetainedConfig, SourceKind},
};

pub(super) fn state(command: &StateCommand, answer: Answer) -> anyhow::Result<Exit> {
    let file = command.config();
    let config = file.path();
    let retained = match RetainedConfig::load(config) {
        Ok(retained) => retained,
        Err(errors) => return refuse(answer, &json!(errors.problems), config, &errors.to_string()),
    };
    match command {
        StateCommand::Check(_) => return state_check::check(&retained.state, &file, answer),
        StateCommand::Repair(args) => return state_check::repair(&retained.state, &args.to, &file, answer),
        StateCommand::Export(_) | StateCommand::Import(_) | StateCommand::Seek(_) => {}
    }
    let SourceKind::Fluvio(fluvio) = &retained.source.kind else {
        let way_out = match &retained.source.kind {
            SourceKind::Kafka(_) => {
                "of a Kafka topic the group moves partitions, and its offsets are set with kafka-consumer-groups.sh \
                 --reset-offsets while no member runs"
            }
            _ => "only a partition of a topic can be moved alone",
        };
        let problem = format!(
            "{}: source.kind is not \"fluvio\": {way_out}; to move the whole, move the state directory",
            config.display()
        );
        return refuse(answer, &json!([{ "key": "source.kind", "problem": problem }]), config, &problem);
    };
    match command {
        StateCommand::Export(args) => export(&retained, fluvio, args, answer),
        StateCommand::Import(args) => import(&retained, fluvio, args, answer),
        StateCommand::Seek(args) => seek(&retained, fluvio, args, answer),
        StateCommand::Check(_) | StateCommand::Repair(_) => Ok(Exit::Usage),
    }
}

fn refuse(answer: Answer, told: &serde_json::Value, config: &Path, problem: &str) -> anyhow::Result<Exit> {
    let mut out = io::stderr().lock();
    if answer.json {
        writeln!(out, "{}", json!({ "config": config, "fine": false, "problems": told }))?;
    } else {
        writeln!(out, "{problem}")?;
    }
    Ok(Exit::Usage)
}

fn export(
    retained: &RetainedConfig,
    fluvio: &FluvioOptions,
    args: &StateExportArgs,
    answer: Answer,
) -> anyhow::Result<Exit> {
    let exported = open_there(retained)?.export(&fluvio_name(&fluvio.topic, args.partition), &args.file)?;
    tell(&exported, args.partition, &args.file, answer, |out| {
        let (number, file) = (args.partition, args.file.display());
        let still = match &fluvio.partitions {
            Partitions::All => "name the others in source.partitions",
            Partitions::These(these) if these.contains(&number) => "take it out of source.partitions",
            Partitions::These(_) => "as source.partitions says already",
        };
        writeln!(out, "partition {number} is not read from here any more; {still}, then start this process")?;
        writeln!(
            out,
            "to whom it goes: add it to source.partitions there, and: loadline state import {file} --config \
             THAT.toml"
        )?;
        writeln!(out, "import the file once; it holds events: remove it when the other process runs")
    })
}

fn import(
    retained: &RetainedConfig,
    fluvio: &FluvioOptions,
    args: &StateImportArgs,
    answer: Answer,
) -> anyhow::Result<Exit> {
    let sources = fluvio_name(&fluvio.topic, 0);
    let sources = sources.trim_end_matches('0');
    // By the one name the partition has here: `0` and not `00`.
    let is_source = |name: &str, mark: &[u8]| {
        partition_of_name(name).is_some_and(|(topic, number)| {
            *fluvio_name(topic, number) == *name && is_fluvio_mark(mark, &fluvio.topic, number)
        })
    };
    let rules = ImportRules {
        sources,
        is_source: &is_source,
        brokers: &retained.brokers,
        spill_broker_max: retained.limits.spill_broker_max,
        spill_total_max: retained.limits.spill_total_max,
    };
    // A mistyped name must not create a directory.
    fs::metadata(&args.file).with_context(|| args.file.display().to_string())?;
    let imported = open(retained)?.import(&args.file, &rules)?;
    let number = partition_of_name(&imported.source).map(|(_, number)| number);
    let number = number.with_context(|| format!("{} names no partition", imported.source))?;
    tell(&imported, number, &args.file, answer, |out| match &fluvio.partitions {
        Partitions::These(these) if !these.contains(&number) => {
            writeln!(out, "add {number} to source.partitions, then start this process: it is not read before")
        }
        Partitions::These(_) | Partitions::All => writeln!(out, "start this process: it reads the partition"),
    })
}

fn seek(
    retained: &RetainedConfig,
    fluvio: &FluvioOptions,
    args: &StateSeekArgs,
    answer: Answer,
) -> anyhow::Result<Exit> {
    let source = fluvio_name(&fluvio.topic, args.partition);
    let store = open_there(retained)?;
    let only = FluvioOptions { partitions: Partitions::These(vec![args.partition]), ..fluvio.clone() };
    check_ownership(&store, &only)?;
    let before = store.sources().checkpoint(&source)?.map(|checkpoint| checkpoint.offset);
    let mark = fluvio_mark(&fluvio.topic, args.partition).to_vec();
    let checkpoint = Checkpoint { epoch: 0, offset: args.to, mark };
    store.put_all(&[Record::Checkpoint(source.clone(), checkpoint)])?;
    let mut out = io::stdout().lock();
    if answer.json {
        writeln!(
            out,
            "{}",
            json!({ "source": &*source, "partition": args.partition, "from": before, "to": args.to })
        )?;
    } else if !answer.quiet {
        let from = before.map_or("nowhere yet".to_owned(), |before| before.to_string());
        writeln!(out, "{source} goes on at {}; it was at {from}", args.to)?;
        if before.is_some_and(|before| before < args.to) {
            writeln!(out, "what stands between was not all delivered, and is passed over")?;
        }
    }
    Ok(Exit::Done)
}

fn open(retained: &RetainedConfig) -> anyhow::Result<Store> {
    // A file that survives a loss of power beside a fence that does not would be one partition in two places.
    let options = StoreOptions { durability: Durability::Power, ..store_options(&retained.state) };
    match Store::open(&retained.state.dir, options) {
        Ok(store) => Ok(store),
        Err(StateFault::Locked { path }) => bail!(
            "state directory {} is in use by another process: stop that process first; a partition is moved between \
             processes that do not run",
            path.display()
        ),
        Err(fault) => Err(fault.into()),
    }
}

/// The state directory, which must exist: reading must not create one.
fn open_there(retained: &RetainedConfig) -> anyhow::Result<Store> {
    let dir = &retained.state.dir;
    if !dir.exists() {
        bail!("no run has begun with this config yet: there is no state directory {}", dir.display());
    }
    open(retained)
}

fn tell(
    moved: &PartitionTransfer,
    partition: u32,
    file: &Path,
    answer: Answer,
    next: impl FnOnce(&mut io::StdoutLock<'static>) -> io::Result<()>,
) -> anyhow::Result<Exit> {
    let PartitionTransfer { source, generation, checkpoint, deliveries, entries, bytes, .. } = moved;
    let mut out = io::stdout().lock();
    if answer.json {
        let told = json!({
            "source": &**source, "partition": partition, "move": generation, "file": file,
            "checkpoint": checkpoint.offset, "deliveries": deliveries, "ledgerEntries": entries, "bytes": bytes,
        });
        writeln!(out, "{told}")?;
    } else if !answer.quiet {
        writeln!(out, "{source}, move {generation}, {} ({})", file.display(), ByteSize(*bytes))?;
        writeln!(out, "{:>10} is the offset at which it goes on", checkpoint.offset)?;
        writeln!(out, "{deliveries:>10} deliveries wait on disk")?;
        writeln!(out, "{entries:>10} entries of the ledger")?;
        next(&mut out)?;
    }
    Ok(Exit::Done)
}
