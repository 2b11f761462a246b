//! A database with brokers and subscriptions that change, a site that routes by it, and an oracle that knows from the log of
//! changes who must, who may and who must not have been given an event. It uses nothing of Loadline's code.
//!
//! When exactly an event was routed is not known: after it was produced, and before the first broker had it. So a broker that
//! was subscribed all that time must have it, and one that was not at any moment of it must not.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    env,
    fmt::Write,
    io::{self, Write as _},
    time::Duration,
};

use serde_json::Value;
use tests::{Arrival, Fleet, Loadline, Postgres, Site, Tms, Wants, now, pause, until};
use tokio::{runtime::Runtime, time::Instant};
use tokio_postgres::Client;
use toml::Table;

/// How many of what there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) brokers: usize,
    pub(crate) loads: usize,
    pub(crate) subscriptions: usize,
    pub(crate) events: usize,
}

/// A number from the environment, or this one.
pub(crate) fn number(name: &str, default: usize) -> usize {
    let given = env::var(format!("LOADLINE_TEST_POSTGRES_{name}")).ok();
    given.map_or(default, |given| given.parse().expect("a number"))
}

impl Size {
    /// That of the environment where it has one.
    pub(crate) fn or_given(self) -> Self {
        Self {
            brokers: number("BROKERS", self.brokers),
            loads: number("LOADS", self.loads),
            subscriptions: number("SUBSCRIPTIONS", self.subscriptions),
            events: number("EVENTS", self.events),
        }
    }
}

/// The most memory that a run has had so far, as the system tells it.
pub(crate) fn memory(run: &Loadline) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    peak.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

/// Says something past the test harness, which keeps what macros print to itself.
pub(crate) fn tell(what: &str) {
    io::stderr().write_all(format!("{what}\n").as_bytes()).unwrap();
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
        site.subscribe_by(&server.connection());
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

    /// The same subscriptions, in the config instead of the database.
    pub(crate) fn by_config(size: Size) -> Option<Self> {
        let mut world = Self::new(size, false)?;
        world.site.set("subscriptions", Table::new());
        let Size { brokers, loads, .. } = size;
        let mut wanted = vec![Vec::new(); brokers];
        (0..loads).for_each(|load| world.first(load).for_each(|broker| wanted[broker].push(load)));
        let url = world.fleet.tms(1).url();
        for (broker, loads) in wanted.into_iter().enumerate() {
            let mut table = Table::new();
            table.insert("id".to_owned(), format!("b-{broker}").into());
            table.insert("url".to_owned(), format!("{url}/b-{broker}").into());
            table.insert("secrets".to_owned(), vec!["env:LOADLINE_BROKER_KEY"].into());
            table.insert("rate".to_owned(), 100_000.into());
            let loads: Vec<_> = loads.into_iter().map(|load| format!("L-{load}")).collect();
            table.insert("loads".to_owned(), loads.into());
            world.site.put_broker(table);
        }
        Some(world)
    }

    /// Produces so many events of any loads at once.
    pub(crate) fn produce_all(&mut self) {
        let loads: Vec<_> = (0..self.size.events).map(|_| self.draw(self.size.loads)).collect();
        self.produce(&loads);
    }

    /// How long it took from the first delivery to the last one.
    pub(crate) fn took(&self) -> Duration {
        let arrivals: Vec<_> = self.fleet.iter().flat_map(Tms::arrivals).map(|arrival| arrival.at).collect();
        let (first, last) = (arrivals.iter().min(), arrivals.iter().max());
        first.zip(last).map_or(Duration::ZERO, |(first, last)| *last - *first)
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
