//! A whole run: a config enters, the line runs over its source until that ends or the run is stopped, a summary
//! leaves.

use std::{net::SocketAddr, sync::Arc};

use stages::Tally;
use state::{Clock, EmbeddedLog, StateFault};
use tokio::sync::oneshot;

use crate::{
    admin::{Admin, AdminFault},
    assemble::{self, AssembleFault, Parts},
    config::{Config, HttpConfig, SourceConfig, SourceKind},
    line::{LineFault, LineReport, Watch, records},
    roster::Roster,
    source::{
        FileOptions, FileSource, HttpSource, Listener, ReadLimits, Source, SourceFault, StdinSource, Token,
    },
    stop::Stop,
    summary::Summary,
};

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

/// What a watcher may look at while the line runs.
#[derive(Clone, Debug)]
pub struct View {
    /// The line's own counts.
    pub line: Watch,
    /// All brokers, those included that come while it runs.
    pub brokers: Roster,
    /// What has been counted for records that never became deliveries.
    pub tally: Arc<Tally>,
    /// The name of the source.
    pub source: Arc<str>,
    /// Where the run took up its source, if an earlier one had left a checkpoint.
    pub resumed_at: Option<u64>,
    /// Where producers post, if the source is `http`.
    pub listening: Option<SocketAddr>,
}

/// Runs the line that `config` describes until its source ends or `stop` is asked. `started` is given a view into it.
///
/// # Errors
/// [`RunFault`]; nothing recorded is lost, and the next run reads the rest again.
pub async fn run(config: &Config, stop: Stop, started: impl FnOnce(View)) -> Result<Summary, RunFault> {
    let parts = assemble::parts(config)?;
    let admin = Admin::start(config, &parts, stop.clone())?;
    let outcome = deliver(config, &parts, stop, |view| {
        if let Some(admin) = &admin {
            admin.watch(view.clone());
        }
        started(view);
    });
    let outcome = outcome.await;
    // Before the state is closed, which it holds open.
    if let Some(admin) = admin {
        admin.end().await;
    }
    let summary = outcome
        .and_then(|report| Ok(Summary::new(&report, &parts.ack.tally(), &parts.brokers.all(), &parts.ledger)?));
    let Parts { ledger, thread, ack, .. } = parts;
    drop((ledger, ack));
    // The thread ends when the last handle on the ledger is gone: all of them were the line's or are dropped above.
    let ended = tokio::task::spawn_blocking(|| thread.join()).await;
    let summary = summary?;
    ended.map_err(|_| StateFault::Closed)??;
    Ok(summary)
}

async fn deliver(
    config: &Config,
    parts: &Parts,
    stop: Stop,
    started: impl FnOnce(View),
) -> Result<LineReport, RunFault> {
    let clock = Clock::System;
    let SourceConfig { kind, record_max } = &config.source;
    let limits = ReadLimits { record_bytes_max: *record_max, ..ReadLimits::default() };
    match kind {
        SourceKind::File { path, follow, poll } => {
            let checkpoint = parts.ledger.store().sources().checkpoint(&FileSource::name_of(path))?;
            let options = FileOptions { limits, poll: *poll, ..FileOptions::default() };
            let resumed_at = checkpoint.as_ref().map(|checkpoint| checkpoint.offset);
            let source = FileSource::open(path, *follow, checkpoint, options, clock).await?;
            let source = Opened { source, resumed_at, listening: None };
            over(config, parts, source, stop, started).await
        }
        SourceKind::Http(http) => posted(config, http, parts, stop, started).await,
        SourceKind::Stdin => {
            let source = StdinSource::new(tokio::io::stdin(), clock.now(), limits, clock);
            let source = Opened { source, resumed_at: None, listening: None };
            over(config, parts, source, stop, started).await
        }
    }
}

/// Runs the line over what producers post; they are answered until it has ended.
async fn posted(
    config: &Config,
    http: &HttpConfig,
    parts: &Parts,
    stop: Stop,
    started: impl FnOnce(View),
) -> Result<LineReport, RunFault> {
    let listener = Listener::bind(http.listen).await?;
    let intake = EmbeddedLog::new(&parts.ledger, http.intake());
    let token = http.token.as_ref().map(|token| Token::new(token.expose()));
    let limits = http.posts(config.source.record_max);
    let (line_ended, ended) = oneshot::channel::<()>();
    let source = HttpSource::new(intake.clone(), Clock::System);
    let (addr, resumed_at) = (listener.addr(), Some(intake.settled().offset));
    let serving = listener.serve(intake, token, limits, stop.clone(), async {
        // The sender's end is the line's, whether it says so or not.
        let _gone = ended.await.is_err();
    });
    let line = async {
        let source = Opened { source, resumed_at, listening: Some(addr) };
        let report = over(config, parts, source, stop, started).await;
        drop(line_ended);
        report
    };
    let (report, ()) = tokio::join!(line, serving);
    report
}

/// A source that is open, and what a watcher may want to know of it.
struct Opened<S> {
    source: S,
    resumed_at: Option<u64>,
    listening: Option<SocketAddr>,
}

async fn over(
    config: &Config,
    parts: &Parts,
    Opened { source, resumed_at, listening }: Opened<impl Source>,
    stop: Stop,
    started: impl FnOnce(View),
) -> Result<LineReport, RunFault> {
    let name = source.name();
    let records = records(source, &parts.ledger, config.limits.unsettled_max)?;
    let brokers = parts.brokers.clone();
    let tally = parts.ack.tally();
    let watch = |line| started(View { line, brokers, tally, source: name, resumed_at, listening });
    Ok(parts.line(config).run(records, stop, watch).await?)
}
