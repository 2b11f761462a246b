//! A database with brokers and subscriptions that change, a site that routes by it, and an oracle that knows from the log of
//! changes who must, who may and who must not have been given an event. It uses nothing of Loadline's code.
//!
//! When exactly an event was routed is not known: after it was produced, and before the first broker had it. So a broker that
//! was subscribed all that time must have it, and one that was not at any moment of it must not.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Write,
    time::Duration,
};

use serde_json::Value;
use tests::{Arrival, Fleet, Loadline, Postgres, Site, Wants, now, pause, until};
use tokio::{runtime::Runtime, time::Instant};
use tokio_postgres::Client;

/// How many of what there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) brokers: usize,
    pub(crate) loads: usize,
    pub(crate) subscriptions: usize,
    pub(crate) events: usize,
}

/// A load and a broker.
type Pair = (usize, usize);

/// A change of a subscription: it came into force at some moment between these.
#[derive(Clone, Copy, Debug)]
struct Change {
    begun: Instant,
    done: Instant,
    /// What it was changed to; none if that is not known, because the server did not answer.
    to: Option<bool>,
}

/// An event, and when it was about to be produced.
#[derive(Clone, Copy, Debug)]
struct Produced {
    load: usize,
    at: Instant,
}

/// What was found wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Deliveries that must have been made and were not.
    pub(crate) missing: usize,
    /// Deliveries that must not have been made.
    pub(crate) wrong: usize,
    /// Deliveries that came again.
    pub(crate) repeated: usize,
    /// Deliveries that came after a later one of their load.
    pub(crate) overtaken: usize,
}

/// A database, a site and its receivers: the first one is the config's broker, which gets everything; the second is all
/// brokers of the table, each with a path of its own.
pub(crate) struct World {
    pub(crate) server: Postgres,
    pub(crate) site: Site,
    pub(crate) fleet: Fleet,
    size: Size,
    changes: HashMap<Pair, Vec<Change>>,
    produced: Vec<Produced>,
    runtime: Runtime,
    client: Option<Client>,
    random: u64,
}

impl World {
    /// None if there is no server here. What is asked of the server is in its log only if `logged`.
    pub(crate) fn new(size: Size, logged: bool) -> Option<Self> {
        let server = Postgres::start_with(if logged { "" } else { "log_statement = 'none'" })?;
        let fleet = Fleet::start(2);
        let mut site = Site::new(&fleet, &[Wants::all(), Wants::all()]);
        site.take_broker(1);
        site.set("source.follow", true);
        site.set("source.poll", "10ms");
        site.write_bytes(b"");
        route_by(&mut site, &server.connection());
        site.environment("LOADLINE_BROKER_KEY", fleet.tms(1).secret());
        let _made = site.loadline(&["db", "init"]).expect(0);
        let Size { brokers, loads, subscriptions, .. } = size;
        let url = fleet.tms(1).url();
        server.execute(&format!(
            "insert into brokers (id, webhook_url, secret_refs, rate) \
             select 'b-' || n, '{url}/b-' || n, '{{env:LOADLINE_BROKER_KEY}}', 100000 from generate_series(0, {brokers} - 1) n; \
             insert into broker_subscriptions (load_id, broker_id) \
             select 'L-' || (n % {loads}), 'b-' || ((n % {loads}) + 7 * (n / {loads})) % {brokers} \
             from generate_series(0, {subscriptions} - 1) n; analyze;"
        ));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (changes, produced) = (HashMap::new(), Vec::new());
        Some(Self {
            server,
            site,
            fleet,
            size,
            changes,
            produced,
            runtime,
            client: None,
            random: 88_172_645_463_325_252,
        })
    }

    /// A number below `bound`.
    fn draw(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % bound as u64) as usize
    }

    /// Who was subscribed to a load in the beginning.
    fn first(&self, load: usize) -> impl Iterator<Item = usize> {
        let Size { brokers, loads, subscriptions, .. } = self.size;
        let turns =
            (0..subscriptions.div_ceil(loads)).filter(move |turn| turn * loads + load < subscriptions);
        turns.map(move |turn| (load + 7 * turn) % brokers)
    }

    fn at_first(&self, (load, broker): Pair) -> bool {
        self.first(load).any(|one| one == broker)
    }

    /// Starts a run, once it answers.
    pub(crate) fn start(&self) -> Loadline {
        let run = self.site.run();
        until("the run answers", || status(&self.site).is_some());
        run
    }

    /// Subscribes one broker to a load, or ends its subscription, and produces an event of that load at once.
    pub(crate) fn change_and_produce(&mut self) {
        let pair = (self.draw(self.size.loads), self.draw(self.size.brokers));
        let known = self.changes.get(&pair).and_then(|changes| changes.last());
        let is_on = match known {
            Some(Change { to: Some(to), .. }) => *to,
            // What it is now is not known: it stays so.
            Some(Change { to: None, .. }) => return,
            None => self.at_first(pair),
        };
        let begun = now();
        let client = match self.client.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => self.server.client(),
        };
        let statement = format!(
            "insert into broker_subscriptions (load_id, broker_id, active) values ('L-{}', 'b-{}', {to}) \
             on conflict (load_id, broker_id) do update set active = {to}",
            pair.0,
            pair.1,
            to = !is_on,
        );
        let done = self.runtime.block_on(client.batch_execute(&statement)).is_ok();
        let change = Change { begun, done: now(), to: done.then_some(!is_on) };
        self.changes.entry(pair).or_default().push(change);
        if done {
            self.client = Some(client);
        }
        self.produce(&[pair.0]);
    }

    /// Produces one event of each of these loads.
    pub(crate) fn produce(&mut self, loads: &[usize]) {
        let mut lines = String::new();
        let at = now();
        for &load in loads {
            let number = self.produced.len();
            writeln!(
                lines,
                r#"{{"eventId":"e-{number}","loadId":"L-{load}","status":"matched","occurredAt":"2026-01-01T00:00:00Z","sequence":{number}}}"#
            )
            .unwrap();
            self.produced.push(Produced { load, at });
        }
        self.site.append_bytes(lines.as_bytes());
    }

    /// Produces events of any loads, in batches, with `changes` changes between any two; until all have been produced.
    pub(crate) fn flow(
        &mut self,
        batch: usize,
        changes: usize,
        every: Duration,
        mut between: impl FnMut(&mut Self),
    ) {
        while self.produced.len() < self.size.events {
            let loads: Vec<_> = (0..batch).map(|_| self.draw(self.size.loads)).collect();
            self.produce(&loads);
            for _ in 0..changes {
                self.change_and_produce();
            }
            between(self);
            pause(every);
        }
    }

    /// Waits until every event has been routed.
    pub(crate) fn wait(&self) {
        self.fleet.tms(0).wait_for(self.produced.len());
    }

    /// Waits until nothing is missing, and ends the run; what is wrong then, and how many deliveries were right.
    pub(crate) fn end(&self, run: Loadline) -> (Verdict, usize) {
        self.wait();
        until("all is settled", || {
            let status = status(&self.site).unwrap_or_default();
            status["inFlight"] == 0 && status["spilled"] == 0
        });
        run.terminate();
        let summary = run.wait().summary();
        assert_eq!(summary.dead_letters, 0);
        self.judge()
    }

    /// What is wrong so far, and how many deliveries are right.
    pub(crate) fn judge(&self) -> (Verdict, usize) {
        let mut verdict = Verdict::default();
        let (routed, _) = given(&self.fleet.tms(0).arrivals(), &mut verdict, |_| Some(0));
        let broker = |path: &str| path.rsplit_once("/b-")?.1.parse().ok();
        let (given, right) = given(&self.fleet.tms(1).arrivals(), &mut verdict, broker);
        let mut changed: HashMap<usize, Vec<usize>> = HashMap::new();
        self.changes.keys().for_each(|(load, broker)| changed.entry(*load).or_default().push(*broker));
        let mut had: HashMap<usize, Vec<usize>> = HashMap::new();
        given.keys().for_each(|(number, broker)| had.entry(*number).or_default().push(*broker));
        for (number, event) in self.produced.iter().enumerate() {
            let Some(routed) = routed.get(&(number, 0)) else {
                verdict.missing += 1;
                continue;
            };
            let more = [changed.get(&event.load), had.get(&number)].into_iter().flatten().flatten().copied();
            for broker in self.first(event.load).chain(more).collect::<HashSet<_>>() {
                let pair = (event.load, broker);
                let changes = self.changes.get(&pair).map_or(&[][..], Vec::as_slice);
                let is_given = given.contains_key(&(number, broker));
                let meanwhile = |change: &Change| {
                    let end = if change.to.is_some() { change.done } else { *routed };
                    change.begun <= *routed && end >= event.at
                };
                if changes.iter().any(meanwhile) {
                    continue;
                }
                let before = changes.iter().rfind(|change| change.done < event.at);
                let wanted = before.map_or_else(|| self.at_first(pair), |change| change.to == Some(true));
                verdict.missing += usize::from(wanted && !is_given);
                verdict.wrong += usize::from(!wanted && is_given);
            }
        }
        (verdict, right)
    }
}

/// When each event came first to each broker; how many came for the first time.
fn given(
    arrivals: &[Arrival],
    verdict: &mut Verdict,
    broker_of: impl Fn(&str) -> Option<usize>,
) -> (HashMap<(usize, usize), Instant>, usize) {
    let mut given = HashMap::new();
    let mut newest: HashMap<(usize, String), usize> = HashMap::new();
    for arrival in arrivals {
        let broker = broker_of(&arrival.path).expect("a broker's path");
        let number: usize = arrival.webhook_id.strip_prefix("e-").unwrap().parse().unwrap();
        if given.contains_key(&(number, broker)) {
            verdict.repeated += 1;
            continue;
        }
        given.insert((number, broker), arrival.at);
        let body: Value = serde_json::from_slice(&arrival.body).unwrap();
        let newest = newest.entry((broker, body["loadId"].as_str().unwrap().to_owned())).or_default();
        verdict.overtaken += usize::from(*newest > number);
        *newest = number.max(*newest);
    }
    let count = given.len();
    (given, count)
}

/// Has the site look for subscriptions in the database at `connection`.
pub(crate) fn route_by(site: &mut Site, connection: &str) {
    site.environment("DATABASE", connection);
    site.set("subscriptions.source", "postgres");
    site.set("subscriptions.connection", "env:DATABASE");
    site.set("subscriptions.tls", false);
    site.set("subscriptions.backoff_max", "500ms");
}

/// What `loadline status` says; none while no process answers.
pub(crate) fn status(site: &Site) -> Option<Value> {
    let told = site.loadline(&["status", "--json"]);
    let status: Value = serde_json::from_str(&told.stdout).ok()?;
    (status["verdict"]["word"] != "not-running").then_some(status)
}

/// The brokers of the status, by name.
pub(crate) fn brokers(site: &Site) -> BTreeMap<String, Value> {
    let status = status(site).unwrap_or_default();
    let brokers = status["brokers"].as_array().cloned().unwrap_or_default();
    brokers.into_iter().map(|broker| (broker["id"].as_str().unwrap().to_owned(), broker)).collect()
}

/// The event numbers that have come to a path.
pub(crate) fn numbers(arrivals: &[Arrival], path: &str) -> HashSet<usize> {
    let mine = arrivals.iter().filter(|arrival| arrival.path.ends_with(path));
    mine.map(|arrival| arrival.webhook_id.strip_prefix("e-").unwrap().parse().unwrap()).collect()
}
