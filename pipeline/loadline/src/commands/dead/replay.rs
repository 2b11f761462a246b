//! `loadline dead replay`: sends dead letters again, or counts them with `--dry-run`. In a running process it waits
//! while a disk queue is full; in a state directory it stops there.

use std::{
    io::{self, Write},
    time::Duration,
};

use http::Method;
use indicatif::ProgressBar;
use serde_json::json;
use state::{Clock, Store, UnixMillis, timestamp};
use tokio::signal::unix::{Signal, SignalKind};

use super::{
    super::{Answer, signals},
    change::meant,
    ends,
    host::{Host, path, understood},
};
use crate::cli::{DeadChangeArgs, DeadReplayArgs, Exit, check};
use line::Roster;
use service::{
    admin::client::ask,
    assemble::{self, IntakeStages},
    config::{AdminConfig, Config, Target},
    dead::{
        DiskQueues, LetterId, Overtaking, Planner, ReplayCounts, ReplayPage, ReplayRequest, Selection,
        counted, replay_page,
    },
    text_table::shown_in,
};

/// How long to wait for room on disk: some hundred deliveries at a quick broker's pace.
const WAIT: Duration = Duration::from_secs(1);

/// How much of a name from outside is shown, in characters.
const NAME_MAX: usize = 120;

/// The progress of a replay.
#[derive(Default)]
struct ReplayRun {
    counts: ReplayCounts,
    /// Why it ended before all letters were read.
    ended: Option<String>,
    /// How many letters were not read, if they were counted.
    left: Option<u64>,
}

pub(super) async fn replay(target: &Target, args: &DeadReplayArgs, answer: Answer) -> anyhow::Result<Exit> {
    let DeadReplayArgs { change: args, force } = args;
    let began = Clock::System.now();
    let selection = args.select.selection(began);
    if !meant(args, &selection)? {
        return Ok(Exit::Usage);
    }
    let host = Host::find(target, true).await?;
    let mut run = ReplayRun::default();
    let replayed = match &host {
        Host::Process(admin) => in_process(admin, (args, *force), &selection, began, answer, &mut run).await,
        Host::Directory(store) => match Config::load(args.config.file().path()) {
            Ok(config) => {
                in_directory(store, &config, (args, *force), selection.clone(), began, &mut run).await
            }
            // A replay needs the whole config: brokers, schema and rules.
            Err(_) => {
                let config = args.config.file();
                return Ok(check(config.path(), answer.json, answer.quiet, &mut io::stderr().lock()));
            }
        },
    };
    // Printed after a fault, too, because the letters are replayed.
    tell(&host, args, &run, answer)?;
    replayed?;
    if run.ended.is_some() || (!args.dry_run && run.counts.all_stay()) {
        return Ok(Exit::Failed);
    }
    ends(run.counts.letters, &selection, target)
}

async fn in_process(
    admin: &AdminConfig,
    (args, force): (&DeadChangeArgs, bool),
    selection: &Selection,
    began: UnixMillis,
    answer: Answer,
    run: &mut ReplayRun,
) -> anyhow::Result<()> {
    let mut interrupt = signals::listen(SignalKind::interrupt())?;
    let mut after: Option<String> = None;
    let mut progress = Progress::new(answer);
    loop {
        let more = [
            ("after", after.clone()),
            ("began", Some(began.to_string())),
            ("all", Some(args.all.to_string())),
            ("dry_run", Some(args.dry_run.to_string())),
            ("force", Some(force.to_string())),
        ];
        let page: ReplayPage =
            understood(ask(admin, Method::POST, &path("/dead/replay", selection, &more)).await?)?;
        run.counts.merge(&page.counts);
        if page.stopping {
            run.ended =
                Some("the run is stopping; replay the rest once it has ended, or runs again".to_owned());
        } else if is_interrupted(&mut interrupt, page.full.is_some()).await && !page.done {
            run.ended = Some("it was interrupted; the rest are letters still".to_owned());
        }
        if page.done || run.ended.is_some() {
            return Ok(());
        }
        progress.tell(&run.counts, page.full.as_deref())?;
        after = page.after;
    }
}

/// Whether a signal asks to end; with `waits`, waits a little first.
async fn is_interrupted(interrupt: &mut Signal, waits: bool) -> bool {
    let wait = if waits { WAIT } else { Duration::ZERO };
    tokio::select! {
        biased;
        _asked = interrupt.recv() => true,
        () = tokio::time::sleep(wait) => false,
    }
}

async fn in_directory(
    store: &Store,
    config: &Config,
    (args, force): (&DeadChangeArgs, bool),
    selection: Selection,
    began: UnixMillis,
    run: &mut ReplayRun,
) -> anyhow::Result<()> {
    let brokers = assemble::brokers(config, 1)?;
    for broker in &brokers {
        if let Some(disabled) = store.brokers().disabled(&broker.id)? {
            broker.mark_disabled(disabled.reason);
        }
    }
    let front = IntakeStages::new(config, &brokers, Clock::System);
    let planner = Planner::new(&front, Roster::new(brokers), config, Clock::System);
    let mut queues = DiskQueues::open(store, &config.limits)?;
    let mut request = ReplayRequest { selection, after: None, began, dry_run: args.dry_run, force };
    loop {
        let page = replay_page(store, &planner, &mut queues, &request).await?;
        // Letters behind the place where there was no room are only counted.
        match &mut run.left {
            Some(left) => *left += page.counts.letters,
            None => run.counts.merge(&page.counts),
        }
        if page.done {
            return Ok(());
        }
        request.after = page.after.map(|after| after.parse::<LetterId>()).transpose()?;
        if let Some(broker) = page.full {
            let why = "there is no room on disk for what waits for it (limits.spill_broker_max, limits.spill_total_max)";
            run.ended =
                Some(format!("broker {broker}: {why}; start Loadline so that it drains, and replay again"));
            run.left = Some(0);
            request.dry_run = true;
        }
    }
}

/// The progress line.
struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    told: Option<String>,
}

impl Progress {
    fn new(answer: Answer) -> Self {
        let bar = answer.shows_progress().then(ProgressBar::new_spinner);
        Self { bar, quiet: answer.quiet, told: None }
    }

    fn tell(&mut self, counts: &ReplayCounts, full: Option<&str>) -> io::Result<()> {
        let wait = full.map(|broker| {
            format!("waiting for room on disk for broker {broker}; --broker NAME leaves it out")
        });
        if let Some(bar) = &self.bar {
            let wait = wait.map(|wait| format!("; {wait}")).unwrap_or_default();
            bar.set_message(format!("{} of {} letters sent again{wait}", counts.replayed, counts.letters));
            bar.tick();
        } else if !self.quiet && wait.is_some() && wait != self.told {
            writeln!(io::stderr().lock(), "{}", wait.as_deref().unwrap_or_default())?;
            self.told = wait;
        }
        Ok(())
    }
}

fn tell(host: &Host, args: &DeadChangeArgs, run: &ReplayRun, answer: Answer) -> io::Result<()> {
    let ReplayRun { counts, ended, left } = run;
    let mut out = io::stdout().lock();
    if answer.json {
        let told = json!({
            "answeredBy": host.by(), "dryRun": args.dry_run, "counts": counts, "ended": ended, "left": left,
        });
        return writeln!(out, "{told}");
    }
    if answer.quiet && ended.is_none() {
        return Ok(());
    }
    let deliveries: u64 = counts.deliveries.values().sum();
    let (sent, over) =
        if args.dry_run { ("would be sent", "would be removed") } else { ("are sent", "are removed") };
    writeln!(out, "{} ({})", counted(counts.letters), host.place())?;
    writeln!(out, "{:>8} {sent} again: {deliveries} deliveries wait for their turn", counts.replayed)?;
    if counts.delivered_since > 0 {
        writeln!(
            out,
            "{:>8} were delivered since: they {over}, nothing is left to do",
            counts.delivered_since
        )?;
    }
    for (count, why) in counts.skip_reasons() {
        writeln!(out, "{count:>8} stay: they {}", args.config.file().complete(why))?;
    }
    for Overtaking { letter, event_id, passed_by } in &counts.overtaken_by {
        let event = shown_in(event_id.as_deref().unwrap_or("-"), NAME_MAX);
        let (newer, place) =
            (shown_in(&passed_by.event_id, NAME_MAX), shown_in(&passed_by.position, NAME_MAX));
        let at = timestamp::text(passed_by.at);
        writeln!(
            out,
            "         {}, event {event}: behind event {newer} at {place}, delivered {at}",
            shown_in(letter, NAME_MAX)
        )?;
    }
    if let Some(left) = left {
        writeln!(out, "{left:>8} are left as they were")?;
    }
    match ended {
        Some(why) => writeln!(out, "not all letters were looked at: {why}"),
        None => Ok(()),
    }
}
