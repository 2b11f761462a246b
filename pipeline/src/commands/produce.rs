//! `loadline produce`: puts the events of a file onto a topic of a Fluvio cluster, keyed by load id.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use serde_json::json;
use stages::{Decode, Schema};
use state::Clock;
use tokio::time::{Instant, sleep};

use super::{Answer, check_config, runtime};
use crate::{
    cli::{Exit, ProduceArgs},
    config::{Config, LogFormat, SourceKind, is_endpoint, is_topic},
    logging,
    produce::{BATCH_BYTES, ProduceOptions, Produced, Sent, produce},
    source::{ClusterOptions, FileMemory, FileOptions, FileSource, Source},
};

/// Often enough to look alive.
const EVERY: Duration = Duration::from_millis(200);

pub(super) fn run(args: &ProduceArgs, answer: Answer) -> anyhow::Result<Exit> {
    logging::init(LogFormat::Text, if answer.quiet { "error" } else { "warn" })?;
    let (mut options, schema) = match &args.config {
        None => (defaults(), Schema::flat()),
        Some(path) => match Config::load(path) {
            Ok(config) => (configured(&config)?, config.schema.schema()),
            Err(_) => return Ok(check_config(path, answer)),
        },
    };
    if let Some(endpoint) = &args.endpoint {
        options.cluster.endpoint.clone_from(endpoint);
    }
    if let Some(topic) = &args.topic {
        options.topic.clone_from(topic);
    }
    (options.batch_bytes, options.timeout) = (args.batch, args.timeout);
    if !is_endpoint(&options.cluster.endpoint) {
        bail!(
            "--endpoint {} is not a host and a port; give it like 127.0.0.1:9003",
            options.cluster.endpoint
        );
    }
    if !is_topic(&options.topic) {
        bail!("--topic {} is not a topic's name; give 1 to 63 of a to z, 0 to 9 and -", options.topic);
    }
    let began = Instant::now();
    let produced = runtime()?.block_on(carry_out(args, &options, schema, answer))?;
    tell(&produced, &options, began.elapsed(), answer)?;
    // A record that was not sent is for the caller to look at.
    Ok(if produced.too_long == 0 { Exit::Done } else { Exit::Failed })
}

fn defaults() -> ProduceOptions {
    ProduceOptions {
        cluster: ClusterOptions { endpoint: "127.0.0.1:9003".to_owned(), tls: None },
        topic: "shipment-events".to_owned(),
        batch_bytes: BATCH_BYTES,
        timeout: Duration::ZERO,
    }
}

fn configured(config: &Config) -> anyhow::Result<ProduceOptions> {
    match &config.source.kind {
        SourceKind::Fluvio(fluvio) => Ok(ProduceOptions {
            cluster: fluvio.cluster.clone(),
            topic: fluvio.topic.clone(),
            batch_bytes: BATCH_BYTES,
            timeout: Duration::ZERO,
        }),
        SourceKind::File { .. } | SourceKind::Stdin | SourceKind::Http(_) => {
            bail!(
                "the config reads no topic: give one with source.kind = \"fluvio\", or --endpoint and --topic"
            )
        }
    }
}

async fn carry_out(
    args: &ProduceArgs,
    options: &ProduceOptions,
    schema: Schema,
    answer: Answer,
) -> anyhow::Result<Produced> {
    let (memory, reading) = (FileMemory::default(), FileOptions::default());
    let source = FileSource::open(&args.file, false, memory, reading, Clock::System).await?;
    let sent = Arc::new(Sent::default());
    let decode = Decode::new(schema);
    let producing = produce(options, &decode, source.into_stream(), Arc::clone(&sent));
    if !answer.shows_progress() {
        return Ok(Box::pin(producing).await?);
    }
    let bar = ProgressBar::new_spinner();
    let showing = async {
        loop {
            bar.set_message(format!("{} records taken, {} batches sent again", sent.taken(), sent.again()));
            bar.tick();
            sleep(EVERY).await;
        }
    };
    let produced = tokio::select! {
        produced = Box::pin(producing) => Some(produced?),
        () = showing => None,
    };
    bar.finish_and_clear();
    produced.context("the progress has ended before the work")
}

fn tell(produced: &Produced, options: &ProduceOptions, took: Duration, answer: Answer) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Produced { read, taken, without_load, too_long, sent_again, partitions } = *produced;
    if answer.json {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let told = json!({ "topic": options.topic, "produced": produced, "took_ms": ms });
        return writeln!(out, "{told}");
    }
    if answer.quiet {
        return Ok(());
    }
    let rate = taken as f64 / took.as_secs_f64();
    writeln!(
        out,
        "{taken} of {read} records are on {}, {partitions} partitions, {rate:.0}/s",
        options.topic
    )?;
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
