//! A directory of a scenario's own in which Loadline is run, with its config, a file of events and a state directory, and the
//! commands over it. It is gone when it is dropped.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use lab::{BrokerTable, RunDir};
use tempfile::TempDir;
use tokio::process::Command;
use toml::{Table, Value};

use crate::{
    Fleet, KafkaTopic, Listener, ShipmentEvent, Wants, binary, lines,
    process::{Ended, Loadline},
    summary::DeadLetter,
};

/// A directory with a config.
#[derive(Debug)]
pub struct Site {
    directory: TempDir,
    run_dir: RunDir,
    environment: Vec<(String, String)>,
}

impl Site {
    /// A site that reads its own file of events; see [`without_source`](Self::without_source) for the rest.
    #[must_use]
    pub fn new(fleet: &Fleet, wants: &[Wants]) -> Self {
        let mut site = Self::without_source(fleet, wants);
        site.set("source.path", "events.ndjson");
        site
    }

    /// A site whose brokers are `fleet`'s receivers, each with what it wants, with rates nobody reaches. Brokers are called
    /// `broker-0`, `broker-1` and so on. Every other secret comes from the environment, the rest from files.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn without_source(fleet: &Fleet, wants: &[Wants]) -> Self {
        assert_eq!(fleet.len(), wants.len(), "one for each receiver");
        let directory = tempfile::Builder::new().prefix("loadline-").tempdir().expect("a directory");
        let run_dir = RunDir::new(directory.path()).expect("a directory");
        let mut site = Self { directory, run_dir, environment: Vec::new() };
        for (index, wants) in wants.iter().enumerate() {
            site.add_broker(fleet, index, wants);
        }
        // Generated events carry fixed dates.
        site.set("rules.age_max", "36500d");
        // A machine that stands still for some seconds loses no answers: a scenario that wants them lost says so.
        site.set("delivery.timeout", "2m");
        site
    }

    /// A site whose run takes posts, at a free port that its log names.
    #[must_use]
    pub fn with_posts(fleet: &Fleet, wants: &[Wants]) -> Self {
        let mut site = Self::without_source(fleet, wants);
        site.set("source.kind", "http");
        site.set("source.listen", "127.0.0.1:0");
        site
    }

    /// A site whose run reads a topic of the cluster at `endpoint`. Its events, put into the file, can be produced with
    /// [`produce`](Self::produce).
    #[must_use]
    pub fn with_topic(fleet: &Fleet, wants: &[Wants], endpoint: &str, topic: &str) -> Self {
        let mut site = Self::without_source(fleet, wants);
        site.set("source.kind", "fluvio");
        site.set("source.endpoint", endpoint);
        site.set("source.topic", topic);
        site
    }

    /// A site whose run reads a topic of Kafka as a member of `group`, from the listener without encryption.
    #[must_use]
    pub fn with_kafka(fleet: &Fleet, wants: &[Wants], topic: &KafkaTopic<'_>, group: &str) -> Self {
        let mut site = Self::without_source(fleet, wants);
        site.set("source.kind", "kafka");
        site.set("source.topic", topic.name());
        site.set("source.group", group);
        site.bootstrap(&topic.cluster().bootstrap(Listener::Plain));
        site
    }

    /// Has its run begin at these Kafka brokers, given with commas between them.
    pub fn bootstrap(&mut self, brokers: &str) {
        self.set("source.bootstrap", brokers.split(',').collect::<Vec<_>>());
    }

    /// Puts the events of the file onto the topic.
    #[must_use]
    pub fn produce(&self, timeout: &str) -> Ended {
        self.produce_in(timeout, "64KiB")
    }

    /// The same, in batches of this size.
    #[must_use]
    pub fn produce_in(&self, timeout: &str, batch: &str) -> Ended {
        self.loadline(&[
            "produce",
            "--json",
            "events.ndjson",
            "--timeout",
            timeout,
            "--batch",
            batch,
            "--config",
        ])
    }

    fn add_broker(&mut self, fleet: &Fleet, index: usize, wants: &Wants) {
        let tms = fleet.tms(index);
        let secret = if index.is_multiple_of(2) {
            let name = format!("SECRET_OF_BROKER_{index}");
            self.environment(&name, tms.secret());
            format!("env:{name}")
        } else {
            self.run_dir.keep_secret(&format!("secret-of-broker-{index}"), tms.secret()).expect("a file")
        };
        let broker = BrokerTable::new(&format!("broker-{index}"), tms.url(), secret)
            .with("rate", 1_000_000)
            .subscribed(&wants.subscription());
        self.run_dir.add_broker(broker);
    }

    /// Sets a key of the config, such as `limits.grace`.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.run_dir.set(key, value);
    }

    /// Has its processes look for brokers and subscriptions in the database at `connection`, too, without TLS.
    pub fn subscribe_by(&mut self, connection: &str) {
        self.environment("DATABASE", connection);
        self.set("subscriptions.source", "postgres");
        self.set("subscriptions.connection", "env:DATABASE");
        self.set("subscriptions.tls", false);
        self.set("subscriptions.backoff_max", "500ms");
    }

    /// Sets a variable of the environment of its processes.
    pub fn environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Sets a key of a broker.
    pub fn set_broker(&mut self, index: usize, key: &str, value: impl Into<Value>) {
        self.run_dir.brokers()[index].insert(key.to_owned(), value.into());
    }

    /// Takes a broker out of the config; those behind it move up.
    pub fn take_broker(&mut self, index: usize) -> Table {
        self.run_dir.brokers().remove(index)
    }

    /// Puts a broker that was taken out behind the others.
    pub fn put_broker(&mut self, broker: Table) {
        self.run_dir.brokers().push(broker);
    }

    /// Writes the config as it is now, for a process that is to read it again.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn save(&self) {
        self.run_dir.save().expect("a config file");
    }

    /// A path inside the site.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.run_dir.path(name)
    }

    /// The config file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.run_dir.config()
    }

    /// The store's log, inside the state directory.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path("state").join("sled").join("db")
    }

    /// Where the events are.
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.path("events.ndjson")
    }

    /// Puts `events` into the file, and nothing else.
    pub fn write(&self, events: &[ShipmentEvent]) {
        self.write_bytes(&lines(events));
    }

    /// Puts these bytes into the file, and nothing else.
    pub fn write_bytes(&self, bytes: &[u8]) {
        fs::write(self.events(), bytes).expect("a file");
    }

    /// Adds `events` to the file, as a producer does.
    pub fn append(&self, events: &[ShipmentEvent]) {
        self.append_bytes(&lines(events));
    }

    /// Adds these bytes to the file.
    pub fn append_bytes(&self, bytes: &[u8]) {
        let mut file = File::options().append(true).create(true).open(self.events()).expect("a file");
        file.write_all(bytes).expect("a file");
    }

    /// Has brokers tried again soon, and for as long as the scenario takes.
    pub fn impatient(&mut self) {
        self.set("breaker.open_min", "100ms");
        self.set("breaker.open_max", "500ms");
        self.set("retry.base", "20ms");
        self.set("retry.cap", "500ms");
        self.set("retry.in_place_max", "100ms");
        self.set("retry.attempts_max", 1_000);
    }

    /// Starts `loadline run`.
    #[must_use]
    pub fn run(&self) -> Loadline {
        let config = self.config();
        Loadline::start(self.command(&["--json", "run"], &[&config]))
    }

    /// Starts `loadline run` with what is in `path` on its standard input.
    #[must_use]
    pub fn run_with_input(&self, path: &Path) -> Loadline {
        let config = self.config();
        let mut command = self.command(&["--json", "run"], &[&config]);
        command.stdin(File::open(path).expect("the input"));
        Loadline::start(command)
    }

    /// Starts `loadline run` from a shell, after `before` has been done there.
    #[must_use]
    pub fn run_after(&self, before: &str) -> Loadline {
        self.save();
        let mut command = Command::new("sh");
        command.args(["-c", &format!(r#"{before}; exec "$0" --json run "$1""#)]);
        command.arg(binary::loadline()).arg(self.config());
        self.surround(&mut command);
        Loadline::start(command)
    }

    /// Runs `loadline` with these arguments and the config's path, to its end.
    #[must_use]
    pub fn loadline(&self, arguments: &[&str]) -> Ended {
        self.loadline_with(arguments, &[])
    }

    /// Runs `loadline` with these arguments, the config's path and what comes behind it, to its end.
    #[must_use]
    pub fn loadline_with(&self, arguments: &[&str], behind: &[&str]) -> Ended {
        let config = self.config();
        let mut paths = vec![config.as_path()];
        paths.extend(behind.iter().map(Path::new));
        Loadline::start(self.command(arguments, &paths)).wait()
    }

    /// Runs a line of shell in the site's directory, with `loadline` where a shell finds it and the config as it is there:
    /// what an earlier line has edited stays.
    #[must_use]
    pub fn shell(&self, line: &str) -> Ended {
        if !self.config().exists() {
            self.save();
        }
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        self.surround(&mut command);
        let beside = binary::loadline().parent().expect("a directory").to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(beside).chain(std::env::split_paths(&path)));
        command.env("PATH", path.expect("a path"));
        Loadline::start(command).wait()
    }

    /// The dead letters, as `loadline dead list` gives them.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        let listed = self.loadline(&["--json", "dead", "list"]).expect(0);
        let letter = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {listed:?}"));
        listed.stdout.lines().map(letter).collect()
    }

    fn command(&self, arguments: &[&str], paths: &[&Path]) -> Command {
        self.save();
        let mut command = Command::new(binary::loadline());
        command.args(arguments).args(paths);
        self.surround(&mut command);
        command
    }

    fn surround(&self, command: &mut Command) {
        command.current_dir(self.directory.path()).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
    }
}
