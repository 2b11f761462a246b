//! Stands for the network and every receiver behind it: its outcomes are scripted, and whatever breaks a promise is
//! noted the moment it happens.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    fs::File,
    io::Write,
    path::Path,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use stages::{
    Stage,
    models::{Attempt, Exit, Failure, FailureKind, Fault, Fresh, Receipt, Step},
};
use state::StateFault;

/// One attempt, as the script sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// The broker's ordinal.
    pub(super) broker: usize,
    /// The event's number in the log.
    pub(super) number: u64,
    /// How often it was tried at this broker before, over all runs.
    pub(super) before: u32,
}

/// What an attempt comes to.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Accept,
    Transient,
    Throttled,
    Refused,
    Fault,
    Panic,
}

/// How long an attempt takes and what it comes to.
pub(super) type Script = Arc<dyn Fn(Call) -> (Duration, End) + Send + Sync>;

/// The wire. Clones share it, so that one outlives the lines that run over it.
#[derive(Clone)]
pub(super) struct Wire {
    script: Script,
    seen: Arc<Mutex<Seen>>,
}

/// What has been on the wire so far.
#[derive(Default)]
pub(super) struct Seen {
    running: HashSet<(usize, Arc<str>)>,
    tried: HashMap<(usize, u64), u32>,
    /// (broker, load, number) of each attempt, in the order in which they started.
    pub(super) starts: Vec<(usize, String, u64)>,
    /// The same of each attempt that was accepted, in the order in which they ended.
    pub(super) accepted: Vec<(usize, String, u64)>,
    /// How many attempts had been started when each process began.
    pub(super) runs: Vec<usize>,
    /// How many attempts are no longer on the wire, however they ended.
    pub(super) ended: usize,
    /// The most attempts under way at once.
    pub(super) most: usize,
    /// Promises broken.
    pub(super) broken: Vec<String>,
    /// Where to write starts and ends for whoever comes after a kill.
    log: Option<File>,
}

impl Wire {
    pub(super) fn new(script: impl Fn(Call) -> (Duration, End) + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), seen: Arc::default() }
    }

    /// The same, writing each start and each end to the file at `path`, and knowing what that file says already.
    pub(super) fn logged(self, path: &Path) -> Self {
        let before = std::fs::read_to_string(path).unwrap_or_default();
        let mut seen = self.seen.lock();
        for (verb, broker, load, number) in before.lines().filter_map(line) {
            seen.note(verb, broker, load, number);
        }
        seen.log = Some(File::options().create(true).append(true).open(path).unwrap());
        seen.log("run", 0, "-", 0);
        drop(seen);
        self
    }

    pub(super) fn seen(&self) -> parking_lot::MutexGuard<'_, Seen> {
        self.seen.lock()
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl Seen {
    fn note(&mut self, verb: &str, broker: usize, load: &str, number: u64) {
        let entry = (broker, load.to_owned(), number);
        match verb {
            "run" => self.runs.push(self.starts.len()),
            "start" => {
                *self.tried.entry((broker, number)).or_default() += 1;
                self.starts.push(entry);
            }
            _ => self.accepted.push(entry),
        }
    }

    fn log(&mut self, verb: &str, broker: usize, load: &str, number: u64) {
        self.note(verb, broker, load, number);
        if let Some(log) = &mut self.log {
            // One write, so that a kill leaves whole lines.
            log.write_all(format!("{verb} {broker} {load} {number}\n").as_bytes()).unwrap();
        }
    }
}

fn line(line: &str) -> Option<(&str, usize, &str, u64)> {
    let mut words = line.split(' ');
    Some((words.next()?, words.next()?.parse().ok()?, words.next()?, words.next()?.parse().ok()?))
}

/// An attempt under way; dropping it takes it off the wire, also when the line lets go of it half-way.
struct Under<'a> {
    wire: &'a Wire,
    key: (usize, Arc<str>),
}

impl Drop for Under<'_> {
    fn drop(&mut self) {
        let mut seen = self.wire.seen.lock();
        seen.running.remove(&self.key);
        seen.ended += 1;
    }
}

impl Wire {
    fn begin(&self, fresh: &Fresh) -> (Under<'_>, Call) {
        let (delivery, mut seen) = (fresh.delivery(), self.seen.lock());
        let (broker, load) = (delivery.broker.ordinal, &delivery.event().load_id);
        // A letter does not keep it; that of a new event is its place.
        let number = delivery.event().sequence.unwrap_or(delivery.event().position.offset);
        let key = (broker, load.clone());
        if !seen.running.insert(key.clone()) {
            seen.broken.push(format!("broker {broker}, load {load}: {number} started beside another"));
        }
        seen.most = seen.most.max(seen.running.len());
        let before = seen.tried.get(&(broker, number)).copied().unwrap_or(0);
        seen.log("start", broker, load, number);
        (Under { wire: self, key }, Call { broker, number, before })
    }
}

impl Stage for Wire {
    type In = Fresh;
    type Out = Attempt;

    async fn run(&self, fresh: Fresh) -> Step<Attempt> {
        fresh.delivery().begin_attempt().map_err(Exit::Fault)?;
        let (under, call) = self.begin(&fresh);
        let (takes, end) = (self.script)(call);
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        let kind = match end {
            End::Accept => {
                self.seen.lock().log("accept", call.broker, &under.key.1, call.number);
                let failed_attempts = fresh.delivery().history.attempts;
                return Ok(Attempt::Accepted(Receipt { failed_attempts, status: 200, at: 0 }));
            }
            End::Fault => return Err(Exit::Fault(Fault::State(StateFault::Overrun { bound: 42 }))),
            End::Panic => panic!("the script says so"),
            End::Transient => FailureKind::Transient,
            End::Throttled => FailureKind::Throttled,
            End::Refused => FailureKind::Refused,
        };
        let retry_after = matches!(end, End::Throttled).then_some(Duration::from_millis(20));
        let failure = Failure {
            kind,
            // An answer may have been taken, and these are not.
            status: (kind == FailureKind::Refused).then_some(422),
            cause: "scripted".into(),
            retry_after,
            may_have_arrived: false,
            answer: None,
        };
        Ok(Attempt::Failed(fresh, failure))
    }
}

/// A number that looks random and depends on nothing but its arguments (the finaliser of SplitMix64).
pub(super) fn mix(seed: u64, parts: &[u64]) -> u64 {
    parts.iter().fold(seed, |mixed, part| {
        let mut z = (mixed ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}
