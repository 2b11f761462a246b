//! The config: one TOML file enters; plain, validated data leaves, or everything that is wrong with the file at once.
//!
//! One file per section. A section is read key by key through `section::Section`, which knows each key's default and
//! bounds; relations between sections are checked here, in one place. Nothing reads the file again later: what this
//! lets through has no value the line could trip over. Secrets are fetched here and show nothing of themselves.

use std::{
    collections::BTreeSet,
    env,
    fs::File,
    io::{self, Read},
    path::Path,
};

use toml::de::DeTable;

mod admin;
mod broker;
mod cluster;
mod dead_topic;
mod delivery;
mod findings;
mod fluvio;
mod headers;
mod http;
mod keeping;
mod limits;
mod log;
mod modes;
mod near;
mod notes;
mod part;
mod place;
mod problem;
mod relations;
mod retry;
mod rules;
mod schema;
mod secret;
mod section;
mod source;
mod state;
mod statuses;
mod summary;
mod telemetry;
mod units;
mod url;

pub use admin::{AdminConfig, AdminListen, SOCKET_PATH_MAX};
pub use broker::BrokerConfig;
pub use cluster::{is_endpoint, is_topic};
pub use dead_topic::DeadTopicConfig;
pub use delivery::DeliveryConfig;
pub use http::HttpConfig;
pub use keeping::Keeping;
pub use limits::LimitsConfig;
pub use log::{LogConfig, LogFormat};
pub use notes::notes;
pub use place::Place;
pub use problem::{ConfigErrors, Problem};
pub use retry::{BreakerConfig, RetryConfig};
pub use rules::RulesConfig;
pub use schema::SchemaConfig;
pub use secret::{Secret, SecretFault, SecretRef};
pub use source::{SourceConfig, SourceKind};
pub use state::StateConfig;
pub use summary::Summary;
pub use telemetry::TelemetryConfig;

use broker::{Around, BROKERS_MAX};
use findings::{Environment, Findings, KnownKey};
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
    /// What is asked of an event.
    pub rules: RulesConfig,
    /// Where Loadline remembers.
    pub state: StateConfig,
    /// Where a running process can be asked.
    pub admin: AdminConfig,
    /// Where spans of attempts go.
    pub telemetry: TelemetryConfig,
    /// Where dead letters are published, if they are.
    pub dead_topic: Option<DeadTopicConfig>,
    /// How much of everything there may be at once.
    pub limits: LimitsConfig,
    /// How a delivery is posted.
    pub delivery: DeliveryConfig,
    /// How it is tried again.
    pub retry: RetryConfig,
    /// When a broker that fails is left alone.
    pub breaker: BreakerConfig,
    /// What the log looks like.
    pub log: LogConfig,
    /// Who gets events: at least one, ids unique, in the file's order.
    pub brokers: Vec<BrokerConfig>,
    /// What is no problem and should be known, in the order of the file's sections.
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

/// What came of reading a file once.
struct Reading {
    config: Option<Config>,
    problems: Vec<Problem>,
    /// Every key the reader asked for: the documentation is tested against it.
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

    /// Only what the parser says: its own rendering would repeat the line, and there could be a secret in it.
    fn not_toml(text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let problem = format!("is not TOML: line {line}, column {column}: {}", error.message());
        Self::failed(Some(line), Refusal::new(problem, "correct it; nothing else has been checked yet"))
    }

    /// A file that cannot be looked into.
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
    let source = root.section("source", SourceConfig::read);
    let schema = root.section("schema", SchemaConfig::read);
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
        },
    );
    let brokers = read_brokers(root, &Around { delivery: &delivery, limits: &limits, schema: &schema })?;
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
        brokers,
        warnings: Vec::new(),
    })
}

fn read_brokers(root: &mut Section<'_, '_>, around: &Around<'_>) -> Option<Vec<BrokerConfig>> {
    let mut ids = BTreeSet::new();
    let brokers = root.sections("brokers", |section| BrokerConfig::read(section, around, &mut ids));
    let refusal = match brokers.len() {
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
