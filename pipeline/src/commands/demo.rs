//! `loadline demo`: local receivers for a dozen brokers, the real line between them and a file of events, and at the
//! end what each broker got and why the rest did not go.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context;
use state::{DeadLetter, Store};

use super::{
    Answer,
    directory::Directory,
    run::{Ended, deliver},
};
use crate::{
    assemble::store_options,
    cli::{ConfigFile, DemoArgs, Exit},
    config::Config,
    dead::Told,
    demo::{BrokerTally, DemoBroker, Loads, brokers, expected, write_report},
    logging,
    receive::Fleet,
    reload::Requests,
    summary::Summary,
};

/// The demo's own events, so that the binary needs no other file.
const EVENTS: &[u8] = include_bytes!("../../../examples/events.ndjson");

/// What the demo's config says besides its brokers: waits are short, so that it ends within seconds, and only
/// loopback may be delivered to. The events carry fixed dates, so a clock that is behind them must not matter.
const CONFIG: &str = r#"# The demo's config. `loadline run` takes it as well, while something listens on these ports.
[source]
kind = "file"
path = "events.ndjson"

[rules]
ahead_max = "365d"

[state]
dir = "state"

[delivery]
allow_http = true
allow_networks = ["127.0.0.0/8"]

[retry]
base = "100ms"
cap = "2s"

[breaker]
open_min = "500ms"
open_max = "2s"

[log]
level = "error"
"#;

pub(super) fn demo(args: &DemoArgs, answer: Answer) -> anyhow::Result<Exit> {
    let events = match &args.events {
        None => EVENTS.to_vec(),
        Some(path) => fs::read(path).with_context(|| format!("events {}", path.display()))?,
    };
    let dir = Directory::make("demo", args.keep.as_deref(), "--keep")?;
    let brokers = brokers();
    let fleet = Fleet::start(brokers.iter().map(DemoBroker::part).collect(), 0)?;
    let file = write_files(&dir.path, &brokers, &fleet, &events)?;
    if !answer.quiet && !answer.json {
        let (count, lines) = (brokers.len(), events.split_inclusive(|byte| *byte == b'\n').count());
        let mut out = io::stderr().lock();
        writeln!(out, "{count} brokers listen on loopback; the line runs over {lines} lines of events")?;
    }
    let config = Config::load(&file).map_err(|errors| anyhow::anyhow!("the demo's own config: {errors}"))?;
    logging::init(config.log.format, &config.log.level)?;
    let receivers = fleet.begin();
    let Ended { summary, .. } = deliver(&config, Requests::none(), None, answer)?;
    let counts = receivers.stop()?;
    let dead: Vec<DeadLetter> = Store::open(&config.state.dir, store_options(&config.state))?
        .dead_letters()
        .iter()
        .collect::<Result<_, _>>()?;
    let tallies: Vec<BrokerTally> = brokers
        .iter()
        .zip(&counts)
        .map(|(broker, counts)| BrokerTally {
            id: broker.id.to_owned(),
            about: broker.about.to_owned(),
            expected: expected(broker, &events),
            received: counts.taken - counts.repeats,
            repeats: counts.repeats,
        })
        .collect();
    // What is not kept cannot be asked later.
    let file = args.keep.is_some().then(|| ConfigFile::named(file));
    report(&summary, file.as_ref(), &tallies, &dead, answer)
}

fn report(
    summary: &Summary,
    config: Option<&ConfigFile>,
    tallies: &[BrokerTally],
    dead: &[DeadLetter],
    answer: Answer,
) -> anyhow::Result<Exit> {
    let mut out = io::stdout().lock();
    if answer.json {
        let dead: Vec<_> = dead.iter().cloned().map(Told::from).collect();
        writeln!(out, "{}", serde_json::json!({ "summary": summary, "deadLetters": dead }))?;
    } else if !answer.quiet {
        summary.write(&mut out, config)?;
        writeln!(out)?;
        write_report(&mut out, tallies, dead)?;
    }
    let letters = |id: &str| dead.iter().filter(|letter| letter.broker.as_deref() == Some(id)).count() as u64;
    let whole = tallies.iter().all(|tally| tally.received + letters(&tally.id) >= tally.expected);
    Ok(if whole { Exit::Done } else { Exit::Failed })
}

/// Writes events, secrets and config; gives the config's path.
fn write_files(dir: &Path, brokers: &[DemoBroker], fleet: &Fleet, events: &[u8]) -> anyhow::Result<PathBuf> {
    let put = |name: &str, content: &[u8]| {
        let path = dir.join(name);
        fs::write(&path, content).with_context(|| path.display().to_string()).map(|()| path)
    };
    put("events.ndjson", events)?;
    let mut config = CONFIG.to_owned();
    for (broker, address) in brokers.iter().zip(&fleet.addresses) {
        let secret = format!("{}.secret", broker.id);
        put(&secret, broker.secret().as_bytes())?;
        let loads = match broker.loads {
            Loads::All => "\"all\"".to_owned(),
            Loads::Prefix(prefix) => format!("{{ prefix = \"{prefix}\" }}"),
        };
        write!(
            config,
            "\n[[brokers]] # {}\nid = \"{}\"\nurl = \"http://{address}/webhooks\"\nsecrets = [\"file:{secret}\"]\n\
             rate = {}\nloads = {loads}\n",
            broker.about, broker.id, broker.rate
        )?;
        if !broker.statuses.is_empty() {
            writeln!(config, "statuses = {:?}", broker.statuses)?;
        }
    }
    put("loadline.toml", config.as_bytes())
}
