//! `loadline surge`: sends the same traffic through the legacy model and through Loadline, and judges both by what
//! the brokers received.

use std::{
    fs::{self, File},
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::directory::Directory;
use crate::cli::{Engine, Exit, OnlySystem, SurgeArgs};
use crate::commands::{Answer, runtime, signals};
use lab::{
    report::{Report, write_html, write_table},
    surge::{
        fault::SurgeFault,
        figures,
        group_run::run_as_group,
        live::{Live, Plain, Quiet, plain_on_stderr},
        run::run,
        runner::Watcher,
        system::Which,
        target::{Intake, Target, for_brokers_of, run_against, subscriptions},
    },
    traffic::{
        Traffic, generate,
        profile::{BUILTIN, BrokerProfile, Profile, ProfileFault},
    },
};
use line::stop::{Stop, stop};
use service::{
    config::{Config, LogFormat},
    logging,
};

pub(super) fn surge(args: &SurgeArgs, answer: Answer) -> anyhow::Result<Exit> {
    if args.list {
        return list();
    }
    let profile = match Profile::load(args.profile()) {
        Ok(profile) => profile,
        Err(fault) => return refuse(&fault),
    };
    if args.show {
        return show(args.profile());
    }
    logging::init_as(LogFormat::Text, "warn", answer.quiet)?;
    let profile = match adjusted(profile, args) {
        Ok(profile) => profile,
        Err(fault) => return refuse(&fault),
    };
    let config = match args.config.as_deref().map(Config::load) {
        None => None,
        Some(Ok(config)) => Some(config),
        Some(Err(errors)) => {
            writeln!(io::stderr().lock(), "{errors}")?;
            return Ok(Exit::Usage);
        }
    };
    let outputs = Outputs::open(args)?;
    let mut directory = Directory::make("surge", args.keep.as_deref(), "--keep")?;
    let report: anyhow::Result<Report> = runtime()?.block_on(async {
        let (stopper, stop) = stop();
        signals::follow(stopper)?;
        match (&args.target, &config) {
            (Some(target), Some(config)) => against(target, config, (args, &profile), stop, answer).await,
            _ => compare(args, &profile, &directory.path, stop, answer).await,
        }
    });
    // A system's failure is in its log, which the fault may name.
    directory.keep |=
        matches!(&report, Err(error) if matches!(error.downcast_ref(), Some(SurgeFault::System(_))));
    tell(&report?, args, outputs, answer)
}

/// Runs the profile on each of the two systems, one after the other.
async fn compare(
    args: &SurgeArgs,
    profile: &Profile,
    dir: &Path,
    stop: Stop,
    answer: Answer,
) -> anyhow::Result<Report> {
    let subscriptions: Vec<_> = profile.brokers.iter().map(BrokerProfile::subscription).collect();
    let traffic = generate(profile, &subscriptions);
    let mut report = blank(args, profile, &traffic);
    let loadline = std::env::current_exe().context("the path of this program")?;
    for which in systems(args.only) {
        let cluster = args.bootstrap.as_deref().filter(|_| args.engine == Engine::Kafka);
        let traffic = of(which, cluster.is_some(), traffic.clone());
        let dir = dir.join(which.as_str());
        fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        let mut watcher = Shown::new(answer, profile);
        let (place, stop) = ((&*loadline, &*dir), asked(stop.clone()));
        let ran = match cluster {
            None => run(which, profile, &traffic, place, watcher.as_dyn(), stop).await,
            Some(cluster) => {
                run_as_group((which, cluster), profile, &traffic, place, watcher.as_dyn(), stop).await
            }
        };
        watcher.close();
        let ran = ran?;
        let interrupted = ran.interrupted;
        report.systems.push(figures::system_report(profile, ran));
        if interrupted {
            break;
        }
    }
    Ok(report)
}

/// Runs the profile on a pipeline that is already running.
async fn against(
    target: &str,
    config: &Config,
    (args, profile): (&SurgeArgs, &Profile),
    stop: Stop,
    answer: Answer,
) -> anyhow::Result<Report> {
    let target = Target::parse(target)?;
    let token = args.token.as_ref().and_then(|token| token.reference().ok());
    let profile = &for_brokers_of(profile, config)?;
    let traffic = generate(profile, &subscriptions(config));
    let mut report = blank(args, profile, &traffic);
    let mut watcher = Shown::new(answer, profile);
    let part = (profile, config);
    let intake = Intake { target: &target, token, timeout: args.timeout };
    let ran = run_against(intake, part, &traffic, watcher.as_dyn(), asked(stop)).await;
    watcher.close();
    report.systems.push(figures::system_report(profile, ran?));
    Ok(report)
}

async fn asked(mut stop: Stop) {
    stop.asked().await;
}

/// Shows the run's progress.
enum Shown {
    Nothing(Quiet),
    Lines(Plain<io::Stderr>),
    View(Box<Live>),
}

impl Shown {
    fn new(answer: Answer, profile: &Profile) -> Self {
        if answer.quiet {
            Self::Nothing(Quiet)
        } else if io::stderr().is_terminal() {
            Self::View(Box::new(Live::new(profile)))
        } else {
            Self::Lines(plain_on_stderr())
        }
    }

    fn as_dyn(&mut self) -> &mut dyn Watcher {
        match self {
            Self::Nothing(quiet) => quiet,
            Self::Lines(lines) => lines,
            Self::View(view) => &mut **view,
        }
    }

    fn close(&self) {
        if let Self::View(view) = self {
            view.close();
        }
    }
}

/// An empty report.
fn blank(args: &SurgeArgs, profile: &Profile, traffic: &Traffic) -> Report {
    Report {
        profile: args.profile().to_owned(),
        about: profile.about.clone(),
        seed: profile.seed,
        version: env!("CARGO_PKG_VERSION"),
        issued: figures::issued(traffic),
        phases: figures::phases(profile),
        incidents: figures::incidents(profile),
        brokers: figures::brokers(profile),
        systems: Vec::new(),
    }
}

fn systems(only: Option<OnlySystem>) -> Vec<Which> {
    match only {
        None => vec![Which::Legacy, Which::Loadline],
        Some(OnlySystem::Legacy) => vec![Which::Legacy],
        Some(OnlySystem::Loadline) => vec![Which::Loadline],
    }
}

/// The traffic for `which`: a group's own rebalance makes it read again, so its log does not.
fn of(which: Which, is_group: bool, traffic: Traffic) -> Traffic {
    if which == Which::Legacy || is_group { traffic.without_replays() } else { traffic }
}

/// The profile with the arguments' changes, validated like a file.
fn adjusted(mut profile: Profile, args: &SurgeArgs) -> Result<Profile, ProfileFault> {
    profile.seed = args.seed.unwrap_or(profile.seed);
    profile.load.base = args.rate.unwrap_or(profile.load.base);
    if let Some(length) = args.run_for {
        profile = profile.lasting(length);
    }
    profile.checked(args.profile())
}

fn list() -> anyhow::Result<Exit> {
    let mut out = io::stdout().lock();
    for builtin in BUILTIN {
        let profile = Profile::load(builtin.name)?;
        writeln!(out, "{:<20} {}", builtin.name, profile.about)?;
    }
    Ok(Exit::Done)
}

fn show(name: &str) -> anyhow::Result<Exit> {
    let builtin = BUILTIN.iter().find(|builtin| builtin.name == name);
    let text = match builtin {
        Some(builtin) => builtin.toml.to_owned(),
        None => fs::read_to_string(name).with_context(|| name.to_owned())?,
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Exit::Done)
}

fn refuse(fault: &ProfileFault) -> anyhow::Result<Exit> {
    writeln!(io::stderr().lock(), "loadline: {fault}")?;
    Ok(Exit::Usage)
}

/// The output files. Opened before anything runs, so that an unwritable one is found at once.
struct Outputs<'a> {
    json: Option<(&'a Path, File)>,
    page: Option<(&'a Path, File)>,
}

impl<'a> Outputs<'a> {
    fn open(args: &'a SurgeArgs) -> anyhow::Result<Self> {
        let open = |path: &'a PathBuf| {
            // Existing content stays until there is something to replace it.
            let file = File::options().write(true).create(true).truncate(false).open(path);
            let file =
                file.with_context(|| format!("{} cannot be written: nothing was run", path.display()))?;
            anyhow::Ok((path.as_path(), file))
        };
        let (json, page) = (args.json.as_ref().map(open), args.report.as_ref().map(open));
        Ok(Self { json: json.transpose()?, page: page.transpose()? })
    }

    fn write(self, report: &Report) -> anyhow::Result<()> {
        let write = |(path, file): (&Path, File), to: &dyn Fn(&mut BufWriter<File>) -> io::Result<()>| {
            let mut out = BufWriter::new(file);
            let empty = match out.get_ref().set_len(0) {
                // A pipe cannot be truncated.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
                emptied => emptied,
            };
            empty
                .and_then(|()| to(&mut out))
                .and_then(|()| out.flush())
                .with_context(|| path.display().to_string())
        };
        if let Some(json) = self.json {
            write(json, &|out| Ok(serde_json::to_writer(out, report)?))?;
        }
        match self.page {
            Some(page) => write(page, &|out| write_html(out, report)),
            None => Ok(()),
        }
    }
}

/// Prints and writes the outcome.
fn tell(report: &Report, args: &SurgeArgs, outputs: Outputs<'_>, answer: Answer) -> anyhow::Result<Exit> {
    // An unwritable file must not prevent the table, nor a closed reader the files.
    let written = outputs.write(report);
    if !answer.quiet {
        write_table(&mut io::stdout().lock(), report)?;
    }
    written?;
    // The legacy model is expected to fail.
    let loadline = report.systems.iter().filter(|system| system.name == Which::Loadline.as_str());
    let failed = |system: &lab::report::SystemReport| {
        system.violation_count > 0 || (args.strict && !system.missed_goals.is_empty())
    };
    Ok(if loadline.clone().any(failed) { Exit::Failed } else { Exit::Done })
}
