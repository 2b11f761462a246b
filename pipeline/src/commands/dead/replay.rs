//! `loadline dead replay`: dead letters are sent again, or counted as if. In a running process it obeys the queues: where
//! there is no room on disk it waits until some has drained. In a state directory it stops there.

use std::{
    io::{self, Write},
    time::Duration,
};

use http::Method;
use indicatif::ProgressBar;
use serde_json::json;
use state::{Clock, Store, UnixMillis};
use tokio::signal::unix::{Signal, SignalKind};

use super::{
    super::{Answer, signals},
    change::meant,
    ends,
    reach::{Reach, path, understood},
};
use crate::{
    admin::client::ask,
    assemble::{self, Front},
    cli::{DeadChangeArgs, Exit, check},
    config::{AdminConfig, Config, Place},
    dead::{
        DiskQueues, LetterId, Planner, ReplayCounts, ReplayPage, ReplayRequest, Selection, counted,
        replay_page,
    },
    roster::Roster,
};

/// How long to wait for room on disk: some hundred deliveries at a quick broker's pace.
const WAIT: Duration = Duration::from_secs(1);

/// How far a replay has come.
#[derive(Default)]
struct Course {
    counts: ReplayCounts,
    /// Why it ended before all letters were visited.
    ended: Option<String>,
    /// The letters that were not visited, if they were counted.
    left: Option<u64>,
}

pub(super) async fn replay(place: &Place, args: &DeadChangeArgs, answer: Answer) -> anyhow::Result<Exit> {
    let began = Clock::System.now();
    let selection = args.select.selection(began);
    if !meant(args, &selection)? {
        return Ok(Exit::Usage);
    }
    let reach = Reach::find(place, true).await?;
    let mut course = Course::default();
    let replayed = match &reach {
        Reach::Process(admin) => in_process(admin, args, &selection, began, answer, &mut course).await,
        Reach::Directory(store) => match Config::load(args.config.file().path()) {
            Ok(config) => in_directory(store, &config, args, selection.clone(), began, &mut course).await,
            // What is sent to whom, and what is an event, the whole config says.
            Err(_) => {
                let config = args.config.file();
                return Ok(check(config.path(), answer.json, answer.quiet, &mut io::stderr().lock()));
            }
        },
    };
    // Also after a fault: what was replayed is.
    tell(&reach, args, &course, answer)?;
    replayed?;
    if course.ended.is_some() {
        return Ok(Exit::Failed);
    }
    ends(course.counts.letters, &selection, place)
}

async fn in_process(
    admin: &AdminConfig,
    args: &DeadChangeArgs,
    selection: &Selection,
    began: UnixMillis,
    answer: Answer,
    course: &mut Course,
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
        ];
        let page: ReplayPage =
            understood(ask(admin, Method::POST, &path("/dead/replay", selection, &more)).await?)?;
        course.counts.merge(&page.counts);
        if page.stopping {
            course.ended =
                Some("the run is stopping; replay the rest once it has ended, or runs again".to_owned());
        } else if is_interrupted(&mut interrupt, page.full.is_some()).await && !page.done {
            course.ended = Some("it was interrupted; the rest are letters still".to_owned());
        }
        if page.done || course.ended.is_some() {
            return Ok(());
        }
        progress.tell(&course.counts, page.full.as_deref())?;
        after = page.after;
    }
}

/// Whether someone wants this to end; if there is something to wait for, waits a little first.
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
    args: &DeadChangeArgs,
    selection: Selection,
    began: UnixMillis,
    course: &mut Course,
) -> anyhow::Result<()> {
    let brokers = assemble::brokers(config, 1)?;
    for broker in &brokers {
        if let Some(disabled) = store.brokers().disabled(&broker.id)? {
            broker.disabled_before(disabled.reason);
        }
    }
    let front = Front::new(config, &brokers, Clock::System);
    let planner = Planner::new(&front, Roster::new(brokers), config, Clock::System);
    let mut queues = DiskQueues::open(store, &config.limits)?;
    let mut request = ReplayRequest { selection, after: None, began, dry_run: args.dry_run };
    loop {
        let page = replay_page(store, &planner, &mut queues, &request).await?;
        // What is behind the place where there was no room is only counted.
        match &mut course.left {
            Some(left) => *left += page.counts.letters,
            None => course.counts.merge(&page.counts),
        }
        if page.done {
            return Ok(());
        }
        request.after = page.after.map(|after| after.parse::<LetterId>()).transpose()?;
        if let Some(broker) = page.full {
            let why = "there is no room on disk for what waits for it (limits.spill_broker_max, limits.spill_total_max)";
            course.ended =
                Some(format!("broker {broker}: {why}; start Loadline so that it drains, and replay again"));
            course.left = Some(0);
            request.dry_run = true;
        }
    }
}

/// What someone who waits is shown.
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

fn tell(reach: &Reach, args: &DeadChangeArgs, course: &Course, answer: Answer) -> io::Result<()> {
    let Course { counts, ended, left } = course;
    let mut out = io::stdout().lock();
    if answer.json {
        let told = json!({
            "answeredBy": reach.by(), "dryRun": args.dry_run, "counts": counts, "ended": ended, "left": left,
        });
        return writeln!(out, "{told}");
    }
    if answer.quiet && ended.is_none() {
        return Ok(());
    }
    let deliveries: u64 = counts.deliveries.values().sum();
    let (sent, over) =
        if args.dry_run { ("would be sent", "would be removed") } else { ("are sent", "are removed") };
    writeln!(out, "{} ({})", counted(counts.letters), reach.place())?;
    writeln!(out, "{:>8} {sent} again: {deliveries} deliveries wait for their turn", counts.replayed)?;
    if counts.delivered_since > 0 {
        writeln!(
            out,
            "{:>8} were delivered since: they {over}, nothing is left to do",
            counts.delivered_since
        )?;
    }
    for (count, why) in counts.kept_in_words() {
        writeln!(out, "{count:>8} stay: they {}", args.config.file().complete(why))?;
    }
    if let Some(left) = left {
        writeln!(out, "{left:>8} are left as they were")?;
    }
    match ended {
        Some(why) => writeln!(out, "not all letters were looked at: {why}"),
        None => Ok(()),
    }
}
