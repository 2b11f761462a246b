//! The config: reads one TOML file into plain, validated data, or reports everything that is wrong with it at once.
//!
//! One file per section. A section is read key by key through `section::Section`, which knows each key's default and
//! bounds; relations between sections are checked in `relations`. Nothing reads the file again later, and no value
//! that passes can make the line fail. Secrets are fetched here and never shown.

use std::{
    collections::BTreeSet,
    env,
    fs::File,
    io::{self, Read},
    path::Path,
};

use toml::de::DeTable;

mod admin;
mod answers;
mod auth;
mod batch;
mod broker;
mod dead_topic;
mod delivery;
mod fetch_secret;
mod file_modes;
mod findings;
mod fluvio;
mod follow;
mod headers;
mod http;
mod kafka;
mod limits;
mod log;
mod notes;
mod other_sections;
mod own_tls;
mod part;
mod places;
mod problem;
mod proxy;
mod relations;
mod retained;
mod retry;
mod rules;
mod sample;
mod schema;
mod secret;
mod section;
mod shape;
mod signatures;
mod source;
mod state;
mod statuses;
mod subscription;
mod subscriptions;
mod suggest;
mod summary;
mod table_broker;
mod target;
mod telemetry;
mod tls;
mod topic;
mod topic_name;
mod units;
mod url;

pub use admin::{AdminConfig, AdminListen, SOCKET_PATH_MAX};
pub use broker::{BROKERS_MAX, BrokerConfig};
pub use dead_topic::{DeadCluster, DeadTopicConfig};
pub use delivery::DeliveryConfig;
pub use follow::FollowConfig;
pub use http::HttpConfig;
pub use limits::LimitsConfig;
pub use log::{LogConfig, LogFormat};
pub use notes::notes;
pub use own_tls::TlsFiles;
pub use problem::{ConfigErrors, Problem};
pub use retained::RetainedConfig;
pub use retry::{BreakerConfig, RetryConfig};
pub use rules::RulesConfig;
pub use schema::SchemaConfig;
pub use secret::{Secret, SecretFault, SecretRef};
pub use source::{SourceConfig, SourceKind};
pub use state::StateConfig;
pub use subscriptions::SubscriptionsConfig;
pub use summary::Summary;
pub use table_broker::{SETTINGS, from_row};
pub use target::Target;
pub use telemetry::TelemetryConfig;
pub use topic::is_endpoint;
pub use topic_name::{is_fluvio_topic, is_kafka_topic};

use findings::{Environment, Findings, KnownKey};
use other_sections::OtherSections;
use problem::Refusal;
use section::Section;

/// The longest config file, in bytes: ten thousand brokers fit.
const CONFIG_MAX: u64 = 16 << 20;

/// A config in which every value is inside its bounds and every relation holds.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where records come from.
    pub source: SourceConfig,
    /// How an event is found in a record.
    pub schema: SchemaConfig,
    /// The limits of an event's values.
    pub rules: RulesConfig,
    /// Where state is stored.
    pub state: StateConfig,
    /// Where a running process can be queried.
    pub admin: AdminConfig,
    /// Where spans of attempts go.
    pub telemetry: TelemetryConfig,
    /// Where dead letters are published, if they are.
    pub dead_topic: Option<DeadTopicConfig>,
    /// The bounds of memory, disk and shutdown.
    pub limits: LimitsConfig,
    /// How a delivery is posted.
    pub delivery: DeliveryConfig,
    /// How it is retried.
    pub retry: RetryConfig,
    /// When a broker's circuit breaker opens.
    pub breaker: BreakerConfig,
    /// The log's format and level.
    pub log: LogConfig,
    /// The database with more brokers and subscriptions, if there is one.
    pub subscriptions: Option<SubscriptionsConfig>,
    /// The brokers: at least one unless a database has more, ids unique, in the file's order.
    pub brokers: Vec<BrokerConfig>,
    /// Warnings, in the order of the file's sections.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Reads, completes and checks a config file, and fetches the secrets it refers to. Paths in it start at its
    /// directory.
    ///
    /// # Errors
    /// Everything that is wrong with it; if it cannot be read or is not TOML, that alone.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let base = path.parent().unwrap_or(Path::new(""));
        let reading = match read_file(path) {
            Ok(text) => Reading::of(&text, base, &|name| env::var(name)),
            Err(error) => Reading::unreadable(&error),
        };
        reading.into_result(path)
    }

    /// Reads a config from `text`; relative paths in it start at `base`, `env:` secrets come from `environment`.
    ///
    /// # Errors
    /// As [`Config::load`]; the path in the errors is `base`.
    pub fn parse(
        text: &str,
        base: &Path,
        environment: impl Fn(&str) -> Result<String, env::VarError>,
    ) -> Result<Self, ConfigErrors> {
        Reading::of(text, base, &environment).into_result(base)
    }
}

/// The result of reading a file.
struct Reading {
    config: Option<Config>,
    problems: Vec<Problem>,
    /// Every known key; the documentation is tested against it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the test of the documentation reads it"))]
    known: Vec<KnownKey>,
}

impl Reading {
    fn of(text: &str, base: &Path, environment: Environment<'_>) -> Self {
        let table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(error) => return Self::not_toml(text, &error),
        };
        let mut findings = Findings::new(text, base, environment);
        let mut root = Section::root(&mut findings, text, table.get_ref());
        let config = read_sections(&mut root);
        root.finish();
        let Findings { problems, warnings, known, .. } = findings;
        let config = config.filter(|_| problems.is_empty()).map(|config| Config { warnings, ..config });
        Self { config, problems, known }
    }

    /// Only the parser's message: its own rendering would repeat the line, which may contain a secret.
    fn not_toml(text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let problem = format!("is not TOML: line {line}, column {column}: {}", error.message());
        Self::failed(Some(line), Refusal::new(problem, "correct it; nothing else has been checked yet"))
    }

    /// A file that cannot be read.
    fn failed(line: Option<usize>, Refusal { problem, remedy }: Refusal) -> Self {
        let key = "(file)".to_owned();
        let problem = Problem { key, broker: None, line, value: None, problem, remedy };
        Self { config: None, problems: vec![problem], known: Vec::new() }
    }

    fn into_result(self, path: &Path) -> Result<Config, ConfigErrors> {
        self.config.ok_or_else(|| ConfigErrors { path: path.to_owned(), problems: self.problems })
    }
}

fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(CONFIG_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > CONFIG_MAX {
        let limit = units::show_size(CONFIG_MAX);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {limit}")));
    }
    Ok(text)
}

/// None only if a problem has been reported.
fn read_sections(root: &mut Section<'_, '_>) -> Option<Config> {
    let mut source = root.section("source", SourceConfig::read);
    let schema = root.section("schema", SchemaConfig::read);
    if let Some(source) = &mut source {
        relations::schema(root.findings, source, &schema);
    }
    let rules = root.section("rules", RulesConfig::read);
    let state = root.section("state", StateConfig::read);
    let admin = root.section("admin", |section| AdminConfig::read(section, &state.dir));
    let telemetry = root.section("telemetry", TelemetryConfig::read);
    let dead_topic = root.section("dead_topic", |section| DeadTopicConfig::read(section, source.as_ref()));
    let limits = root.section("limits", LimitsConfig::read);
    let delivery = root.section("delivery", DeliveryConfig::read);
    let retry = root.section("retry", RetryConfig::read);
    let breaker = root.section("breaker", BreakerConfig::read);
    let log = root.section("log", LogConfig::read);
    let subscriptions = root.section("subscriptions", SubscriptionsConfig::read);
    relations::check(
        root.findings,
        &relations::Sections {
            source: source.as_ref(),
            state: &state,
            dead_topic: dead_topic.as_ref(),
            limits: &limits,
            delivery: &delivery,
            retry: &retry,
            breaker: &breaker,
            subscriptions: subscriptions.as_ref(),
        },
    );
    let others = OtherSections { delivery: &delivery, limits: &limits, schema: &schema };
    let brokers = read_brokers(root, &others, subscriptions.is_some());
    relations::group(
        root.findings,
        (source.as_ref(), &state),
        &delivery,
        brokers.as_deref().unwrap_or_default(),
    );
    let brokers = brokers?;
    Some(Config {
        source: source?,
        schema,
        rules,
        state,
        admin,
        telemetry,
        dead_topic,
        limits,
        delivery,
        retry,
        breaker,
        log,
        subscriptions,
        brokers,
        warnings: Vec::new(),
    })
}

/// `others` is whether there may be more of them elsewhere.
fn read_brokers(
    root: &mut Section<'_, '_>,
    around: &OtherSections<'_>,
    others: bool,
) -> Option<Vec<BrokerConfig>> {
    let mut ids = BTreeSet::new();
    let brokers = root.sections("brokers", |section| BrokerConfig::read(section, around, &mut ids));
    let refusal = match brokers.len() {
        0 if others => return Some(Vec::new()),
        0 => Refusal::new("names no broker: there is nobody to deliver to", "add a [[brokers]] table"),
        1..=BROKERS_MAX => return brokers.into_iter().collect(),
        many => Refusal::new(
            format!("names {many} brokers"),
            format!("give at most {BROKERS_MAX} to one process"),
        ),
    };
    root.report_key("brokers", refusal);
    None
}

#[cfg(test)]
mod tests;
