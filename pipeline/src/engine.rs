//! A whole run: a config enters, the line runs over its source until that ends or the run is stopped, a summary
//! leaves.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use futures::future::join_all;
use stages::{Ack, Tally};
use state::{EmbeddedLog, Pulse, StateFault};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use crate::{
    admin::{Admin, AdminFault},
    assemble::{self, AssembleFault, Front, Parts},
    config::{Config, HttpConfig, SourceConfig, SourceKind},
    dead::{PublishCounts, Publisher},
    line::{LineFault, LineReport, Watch, records},
    reload::{Reloader, Requests},
    roster::Roster,
    source::{
        Connected, Door, FileCounts, FileMemory, FileOptions, FileSource, FluvioOptions, FluvioSource,
        HttpSource, Listener, PartitionClient, PartitionCounts, ReadLimits, Source, SourceFault, StdinSource,
        Token, connect_fluvio, refuse_moved,
    },
    stop::Stop,
    summary::Summary,
    telemetry::{SpanCounts, Telemetry},
};

/// How long, after a fault, is waited for what still has to be said or closed.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the log is told of dead letters that had no line of their own, if a minute has passed for them.
const LETTERS_TOLD: Duration = Duration::from_secs(5);

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunFault {
    /// A part could not be made.
    #[error(transparent)]
    Assemble(#[from] AssembleFault),
    /// The admin endpoint could not be started.
    #[error(transparent)]
    Admin(#[from] AdminFault),
    /// The line stopped.
    #[error(transparent)]
    Line(#[from] LineFault),
    /// The source could not be opened.
    #[error(transparent)]
    Source(#[from] SourceFault),
    /// The state failed at the end.
    #[error(transparent)]
    State(#[from] StateFault),
}

impl RunFault {
    /// What the state has met, if that is what it is.
    fn of_state(&self) -> Option<&StateFault> {
        match self {
            Self::State(fault)
            | Self::Line(LineFault::State(fault) | LineFault::Source(SourceFault::State(fault)))
            | Self::Source(SourceFault::State(fault))
            | Self::Assemble(AssembleFault::State(fault)) => Some(fault),
            Self::Assemble(_) | Self::Admin(_) | Self::Line(_) | Self::Source(_) => None,
        }
    }

    /// The cause behind it: that the ledger is closed only follows from an earlier fault.
    fn caused_by(self, pulse: &Pulse) -> Self {
        match (self.of_state(), pulse.fault()) {
            (Some(StateFault::Closed), Some(first)) => Self::State(first),
            _ => self,
        }
    }
}

/// What a watcher may look at while the line runs.
#[derive(Clone, Debug)]
pub struct View {
    /// The line's own counts.
    pub line: Watch,
    /// All brokers, those included that come while it runs.
    pub brokers: Roster,
    /// What has been counted for records that never became deliveries.
    pub tally: Arc<Tally>,
    /// Where the run took up its source, if an earlier one had left a checkpoint.
    pub resumed_at: Option<u64>,
    /// Where producers post, if the source is `http`.
    pub listening: Option<SocketAddr>,
    /// What the source tells of each partition, in the line's order, if it is `fluvio`.
    pub partitions: Vec<Arc<PartitionCounts>>,
    /// What has happened to the file, if the source is one.
    pub file: Option<Arc<FileCounts>>,
    /// What has become of the spans, if they are wanted.
    pub spans: Option<Arc<SpanCounts>>,
    /// What has been published of the dead letters, if they are.
    pub letters: Option<Arc<PublishCounts>>,
    /// Tells of a fault that ends the run.
    pub pulse: Pulse,
}

/// Runs the line that `config` describes until its source ends or `stop` is asked. `started` is given a view into it.
///
/// # Errors
/// [`RunFault`]; nothing recorded is lost, and the next run reads the rest again.
pub async fn run(config: &Config, stop: Stop, started: impl FnOnce(View)) -> Result<Summary, RunFault> {
    run_reloading(config, Requests::none(), false, stop, started).await
}

/// As [`run`], and takes up the config anew when `requests` are made. With `fail_fast` a source that is away at the
/// start is a fault, instead of waited for.
///
/// # Errors
/// As [`run`].
pub async fn run_reloading(
    config: &Config,
    mut requests: Requests,
    fail_fast: bool,
    stop: Stop,
    started: impl FnOnce(View),
) -> Result<Summary, RunFault> {
    let parts = assemble::parts(config)?;
    let admin = Admin::start(config, &parts, requests.handle(), stop.clone())?;
    let publisher =
        config.dead_topic.as_ref().map(|topic| Publisher::start(topic, &parts.ledger)).transpose()?;
    let letters = publisher.as_ref().map(Publisher::counts);
    let mut at_once = stop.clone();
    let run = Run { config, parts: &parts, requests: &mut requests, letters, fail_fast, stop };
    let mut file = None;
    let outcome = run.deliver(|view| {
        file.clone_from(&view.file);
        if let Some(admin) = &admin {
            admin.watch(view.clone());
        }
        started(view);
    });
    let outcome = outcome.await;
    parts.ack.tell_letters(true);
    // Whoever waits for a reload is told that there is none.
    drop(requests);
    let pulse = parts.ledger.pulse().clone();
    let (report, fault) = match outcome {
        Ok(report) => (Some(report), None),
        Err(fault) => (None, Some(fault)),
    };
    if fault.as_ref().and_then(RunFault::of_state).is_some_and(StateFault::keeps_open) {
        parts.ledger.store().never_close();
    }
    let closing = Closing { parts, admin, publisher, file, at_once: &mut at_once };
    let ended = tokio::select! {
        ended = closing.end(report) => ended,
        late = given_up(&pulse, fault.is_some()) => Err(late.into()),
    };
    fault.map_or(ended, Err).map_err(|fault| fault.caused_by(&pulse))
}

/// Returns once nothing is waited for any more after a fault; never while there is none.
async fn given_up(pulse: &Pulse, failed: bool) -> StateFault {
    if !failed {
        pulse.failed().await;
    }
    sleep(PATIENCE).await;
    pulse.fault().unwrap_or(StateFault::Closed)
}

/// What is left when the line has ended.
struct Closing<'r> {
    parts: Parts,
    admin: Option<Admin>,
    publisher: Option<Publisher>,
    file: Option<Arc<FileCounts>>,
    at_once: &'r mut Stop,
}

impl Closing<'_> {
    /// Publishes, answers and writes what is left, closes the state, and sums up. Without a report, which is after a fault,
    /// there is nothing to sum up, and the next run publishes what is left.
    async fn end(self, report: Option<LineReport>) -> Result<Summary, RunFault> {
        let Self { parts, admin, publisher, file, at_once } = self;
        // While it can still be asked how that goes.
        let unpublished = match publisher.filter(|_| report.is_some()) {
            Some(publisher) => Some(publisher.finish(at_once).await),
            None => None,
        };
        // Before the state is closed, which it holds open.
        if let Some(admin) = admin {
            admin.end().await;
        }
        let summary = report.map(|report| {
            Summary::new(&report, &parts.ack.tally(), &parts.brokers.all(), &parts.ledger)
                .map(|summary| Summary { unpublished, ..summary.with_losses(file.as_deref()) })
        });
        let Parts { ledger, thread, ack, telemetry, .. } = parts;
        if let Some(telemetry) = telemetry {
            telemetry.end().await;
        }
        drop((ledger, ack));
        // The thread ends when the last handle on the ledger is gone: all of them were the line's or are dropped above.
        let ended = tokio::task::spawn_blocking(|| thread.join()).await;
        ended.map_err(StateFault::interrupted)??;
        // Only a fault leaves no report, and that one is told.
        Ok(summary.ok_or(StateFault::Closed)??)
    }
}

/// A run whose parts are made.
struct Run<'r> {
    config: &'r Config,
    parts: &'r Parts,
    requests: &'r mut Requests,
    letters: Option<Arc<PublishCounts>>,
    fail_fast: bool,
    stop: Stop,
}

/// A source that is open, and what a watcher may want to know of it.
struct Opened<S> {
    source: S,
    /// More of the same kind, one for each further partition.
    others: Vec<S>,
    resumed_at: Option<u64>,
    listening: Option<SocketAddr>,
    partitions: Vec<Arc<PartitionCounts>>,
    file: Option<Arc<FileCounts>>,
}

impl<S> Opened<S> {
    fn new(source: S) -> Self {
        let (others, partitions) = (Vec::new(), Vec::new());
        Self { source, others, resumed_at: None, listening: None, partitions, file: None }
    }
}

impl Run<'_> {
    async fn deliver(self, started: impl FnOnce(View)) -> Result<LineReport, RunFault> {
        let clock = self.parts.clock.clone();
        let SourceConfig { kind, record_max } = &self.config.source;
        let limits = ReadLimits { record_bytes_max: *record_max, ..ReadLimits::default() };
        match kind {
            SourceKind::File { path, follow, poll, rotated, on_unknown } => {
                let name = FileSource::name_of(path);
                let memory = FileMemory::of(&self.parts.ledger, &name)?;
                let (rotated, on_unknown) = (rotated.clone(), *on_unknown);
                let options =
                    FileOptions { limits, poll: *poll, rotated, on_unknown, ..FileOptions::default() };
                let resumed_at = memory.checkpoint.as_ref().map(|checkpoint| checkpoint.offset);
                let source = FileSource::open(path, *follow, memory, options, clock).await?;
                let file = Some(source.counts());
                self.over(Opened { resumed_at, file, ..Opened::new(source) }, started).await
            }
            SourceKind::Http(http) => self.posted(http, started).await,
            SourceKind::Stdin => {
                let source = StdinSource::new(tokio::io::stdin(), clock.now(), limits, clock);
                self.over(Opened::new(source), started).await
            }
            SourceKind::Fluvio(fluvio) => {
                // None if the run was stopped before the cluster was there.
                let Some(Connected { mut sources, growth }) = self.connected(fluvio).await? else {
                    return Ok(LineReport::default());
                };
                let partitions = sources.iter().map(FluvioSource::counts).collect();
                let last_words: Vec<_> = sources.iter().filter_map(FluvioSource::last_word).collect();
                let others = sources.split_off(sources.len().min(1));
                let Some(source) = sources.pop() else { return Ok(LineReport::default()) };
                let opened = Opened { others, partitions, ..Opened::new(source) };
                let report = tokio::select! {
                    report = Box::pin(self.over(opened, started)) => report,
                    never = growth => match never {},
                };
                // What was settled since they last spoke, while what was on the wire came to its end too.
                if report.is_ok() {
                    join_all(last_words).await;
                }
                report
            }
        }
    }

    /// The partitions to read; none if the run was stopped before the cluster was there.
    async fn connected(
        &self,
        options: &FluvioOptions,
    ) -> Result<Option<Connected<PartitionClient, impl Future<Output = Infallible> + use<>>>, RunFault> {
        let ledger = self.parts.ledger.clone();
        refuse_moved(ledger.store(), options)?;
        let mut stop = self.stop.clone();
        tokio::select! {
            connected = connect_fluvio(options, ledger, self.fail_fast, self.parts.clock.clone()) => Ok(Some(connected?)),
            _ = stop.asked() => Ok(None),
        }
    }

    /// Runs the line over what producers post; they are answered until it has ended.
    async fn posted(self, http: &HttpConfig, started: impl FnOnce(View)) -> Result<LineReport, RunFault> {
        let mut listener = Listener::bind(http.listen).await?;
        if http.strict {
            let Front { decode, validate, .. } = &self.parts.front;
            listener = listener.strict(Door::new(decode.clone(), validate.clone(), self.parts.clock.clone()));
        }
        let intake = EmbeddedLog::new(&self.parts.ledger, http.intake());
        let token = http.token.as_ref().map(|token| Token::new(token.expose()));
        let limits = http.posts(self.config.source.record_max);
        let limits = limits.within(self.parts.connections_max, token.is_some());
        let (line_ended, ended) = oneshot::channel::<()>();
        let source = HttpSource::new(intake.clone(), self.parts.clock.clone());
        let (addr, resumed_at) = (listener.addr(), Some(intake.settled().offset));
        let serving = listener.serve(intake, token, limits, self.stop.clone(), async {
            // The sender's end is the line's, whether it says so or not.
            let _gone = ended.await.is_err();
        });
        let line = async {
            let report =
                self.over(Opened { resumed_at, listening: Some(addr), ..Opened::new(source) }, started).await;
            drop(line_ended);
            report
        };
        let (mut line, mut serving) = (pin!(line), pin!(serving));
        let report = tokio::select! {
            report = &mut line => report,
            // It goes on until the line has ended.
            () = &mut serving => return line.await,
        };
        if report.is_ok() {
            serving.await;
        } else {
            // Posts that are being committed are waited for; a ledger that does not answer is not.
            let _late = timeout(PATIENCE, serving).await.is_err();
        }
        report
    }

    /// Runs the line over `source`, and reloads beside it. One task does both, so that a reload comes between two
    /// records.
    async fn over(
        self,
        Opened { source, others, resumed_at, listening, partitions, file }: Opened<impl Source>,
        started: impl FnOnce(View),
    ) -> Result<LineReport, RunFault> {
        let Self { config, parts, requests, letters, stop, .. } = self;
        let records = records(source, others, &parts.ledger, config.limits.unsettled_max)?;
        let (brokers, tally) = (parts.brokers.clone(), parts.ack.tally());
        let (spans, pulse) = (parts.telemetry.as_ref().map(Telemetry::counts), parts.ledger.pulse().clone());
        let (watched, watch) = oneshot::channel::<Watch>();
        let line = parts.line(config).run(records, stop, |line| {
            // The one that waits for it is below.
            drop(watched.send(line.clone()));
            started(View {
                line,
                brokers,
                tally,
                resumed_at,
                listening,
                partitions,
                file,
                spans,
                letters,
                pulse,
            });
        });
        let reloads = async {
            match watch.await {
                Ok(line) => Reloader::new(parts, line, config.clone(), requests.path()).serve(requests).await,
                // The line could not be started, as it says itself.
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            report = line => Ok(report?),
            never = reloads => match never {},
            never = tell_letters(&parts.ack) => match never {},
        }
    }
}

/// Keeps the log told of dead letters.
async fn tell_letters(ack: &Ack) -> Infallible {
    loop {
        sleep(LETTERS_TOLD).await;
        ack.tell_letters(false);
    }
}
