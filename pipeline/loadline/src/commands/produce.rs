//! `loadline produce`: puts the events of a file onto a topic of a Fluvio or a Kafka cluster, keyed by load id.

mod destination;

use std::{
    io::{self, Write},
    time::Duration,
};

use anyhow::Context;
use indicatif::ProgressBar;
use serde_json::json;
use stages::{Decode, Schema};
use state::Clock;
use tokio::time::{Instant, sleep};

use self::destination::{Destination, Progress, Told};
use super::{Answer, check_config, runtime};
use crate::cli::{Exit, ProduceArgs};
use service::{
    config::{Config, LogFormat},
    logging,
};
use sources::{FileMemory, FileOptions, FileSource};

/// The interval of the progress line.
const EVERY: Duration = Duration::from_millis(200);

pub(super) fn run(args: &ProduceArgs, answer: Answer) -> anyhow::Result<Exit> {
    logging::init(LogFormat::Text, if answer.quiet { "error" } else { "warn" })?;
    let (config, schema) = match &args.config {
        None => (None, Schema::flat()),
        Some(path) => match Config::load(path) {
            Ok(config) => {
                let schema = config.schema.schema();
                (Some(config), schema)
            }
            Err(_) => return Ok(check_config(path, answer)),
        },
    };
    let destination = Destination::of(args, config.as_ref())?;
    let began = Instant::now();
    let told = runtime()?.block_on(carry_out(args, &destination, schema, answer))?;
    tell(&told, destination.topic(), began.elapsed(), answer)?;
    // A record that was not sent makes the exit code 1.
    Ok(if told.too_long == 0 { Exit::Done } else { Exit::Failed })
}

async fn carry_out(
    args: &ProduceArgs,
    destination: &Destination,
    schema: Schema,
    answer: Answer,
) -> anyhow::Result<Told> {
    let (memory, reading) = (FileMemory::default(), FileOptions::default());
    let source = FileSource::open(&args.file, false, memory, reading, Clock::System).await?;
    let progress = Progress::default();
    let decode = Decode::new(schema);
    let producing = destination.produce(&decode, source.into_stream(), &progress);
    if !answer.shows_progress() {
        return Box::pin(producing).await;
    }
    let bar = ProgressBar::new_spinner();
    let showing = async {
        loop {
            bar.set_message(progress.to_string());
            bar.tick();
            sleep(EVERY).await;
        }
    };
    let told = tokio::select! {
        told = Box::pin(producing) => Some(told?),
        () = showing => None,
    };
    bar.finish_and_clear();
    told.context("the progress has ended before the work")
}

fn tell(told: &Told, topic: &str, took: Duration, answer: Answer) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Told { read, taken, without_load, too_long, sent_again, partitions } = *told;
    if answer.json {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let told = json!({ "topic": topic, "produced": told, "took_ms": ms });
        return writeln!(out, "{told}");
    }
    if answer.quiet {
        return Ok(());
    }
    let rate = taken as f64 / took.as_secs_f64();
    writeln!(out, "{taken} of {read} records are on {topic}, {partitions} partitions, {rate:.0}/s")?;
    if without_load > 0 {
        writeln!(out, "{without_load} have no load id that could be read; they went to partition 0")?;
    }
    if too_long > 0 {
        writeln!(out, "{too_long} are longer than a record may be and were not sent")?;
    }
    if sent_again > 0 {
        writeln!(
            out,
            "{sent_again} batches were sent again and may stand there twice; the event ids make that harmless"
        )?;
    }
    Ok(())
}
