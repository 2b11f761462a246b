//! A real PostgreSQL for scenarios: a server of the scenario's own, in a directory and on a socket of its own, that can be
//! killed and started again. It ends with the test process, however that ends.
//!
//! It needs the server's programs (Debian's package `postgresql`). Where they are missing, [`Postgres::start`] says that the
//! test is skipped, unless `LOADLINE_TEST_POSTGRES` is `required`. The server refuses to run as root: then it runs as the user
//! `postgres`, or `nobody`.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tokio_postgres::{Client, Config, NoTls};

use crate::{
    Signed,
    kafka::Guard,
    runtime::{PATIENCE, now, pause, runtime},
    skipped,
};

/// The oldest server that Loadline takes.
const VERSION_MIN: u32 = 13;
/// Quick and small; what a killed process has written survives without a sync.
const SETTINGS: &str = "fsync = off\nfull_page_writes = off\nmax_connections = 40\nshared_buffers = 128MB\n\
    log_line_prefix = '%a|'\nlog_statement = 'all'\nautovacuum_naptime = 10s\n";
/// How much of its log is shown in a panic, in bytes from its end.
const SHOWN: usize = 3_000;
/// Who owns the databases.
const USER: &str = "loadline";

/// A server, running or not.
#[derive(Debug)]
pub struct Postgres {
    directory: PathBuf,
    programs: PathBuf,
    /// Whom it runs as, if this process is root.
    owner: Option<(u32, u32)>,
    port: u16,
    running: Option<Child>,
    guard: Guard,
}

impl Postgres {
    /// A running server with an empty database; none, said aloud, if there can be none here.
    ///
    /// # Panics
    /// If it does not start, or instead of none if `LOADLINE_TEST_POSTGRES` is `required`.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// The same, told these settings, such as `log_statement = 'none'`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with(settings: &str) -> Option<Self> {
        static PROGRAMS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        match PROGRAMS.get_or_init(programs) {
            Ok(programs) => Some(Self::make(programs, settings)),
            Err(why) => {
                let required = env::var("LOADLINE_TEST_POSTGRES").is_ok_and(|value| value == "required");
                assert!(!required, "LOADLINE_TEST_POSTGRES is \"required\", but {why}");
                skipped(&format!("it needs a PostgreSQL, but {why} (docs/testing.md)"));
                None
            }
        }
    }

    fn make(programs: &Path, settings: &str) -> Self {
        let directory =
            tempfile::Builder::new().prefix("loadline-pg-").tempdir().expect("a directory").keep();
        let guard = Guard::new(&directory);
        let owner = geteuid().is_root().then(|| owner().expect("a user postgres or nobody"));
        if let Some((user, group)) = owner {
            chown(&directory, Some(user), Some(group)).expect("a directory of its own");
        }
        // Given back at once: nobody else asks for it meanwhile, as a rule.
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let programs = programs.to_owned();
        let mut server = Self { directory, programs, owner, port, running: None, guard };
        let data = server.directory.join("data");
        let mut init = server.program("initdb");
        init.args(["-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "-D"]).arg(&data);
        assert!(init.status().expect("initdb runs").success(), "no database: {}", server.said());
        fs::write(data.join("postgresql.auto.conf"), format!("{SETTINGS}{settings}\n")).expect("a file");
        server.start_again();
        server
    }

    /// Starts it, unless it runs, and waits until it answers.
    ///
    /// # Panics
    /// If it does not.
    pub fn start_again(&mut self) {
        let end = now() + PATIENCE;
        loop {
            // One that was started before all processes of a killed one are gone ends at once.
            if !self.running.as_mut().is_some_and(|server| matches!(server.try_wait(), Ok(None))) {
                let mut server = self.program("postgres");
                server.arg("-D").arg(self.directory.join("data"));
                server.arg("-k").arg(&self.directory);
                server.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
                self.running = Some(server.spawn().expect("postgres runs"));
            }
            if self.connect().is_some() {
                return;
            }
            assert!(now() < end, "it does not answer: {}", self.said());
            pause(std::time::Duration::from_millis(20));
        }
    }

    /// Ends it without notice, and waits until it is gone; what was committed stays.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    fn end(&mut self, signal: Signal) {
        if let Some(mut server) = self.running.take() {
            kill_process(Pid::from_child(&server), signal).expect("it is ours");
            server.wait().expect("it is ours");
        }
    }

    /// Stops it where it is: its main process answers nobody new.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let server = self.running.as_ref().expect("it runs");
        kill_process(Pid::from_child(server), signal).expect("it is ours");
    }

    /// The connection string, over its socket.
    #[must_use]
    pub fn connection(&self) -> String {
        format!("host={} port={} user={USER} dbname=postgres", self.directory.display(), self.port)
    }

    /// The same for a user of this name.
    #[must_use]
    pub fn connection_of(&self, user: &str) -> String {
        self.connection().replace(&format!("user={USER}"), &format!("user={user}"))
    }

    /// The connection string over TCP, to this name for the machine.
    #[must_use]
    pub fn connection_over_tcp(&self, host: &str) -> String {
        format!("postgres://{USER}:not-asked-for@{host}:{}/postgres", self.port)
    }

    /// Has it show this certificate on TCP from its next start on, and take no connection there without TLS.
    ///
    /// # Panics
    /// If the files cannot be written.
    pub fn encrypt(&self, signed: &Signed) {
        use std::os::unix::fs::PermissionsExt;
        let data = self.directory.join("data");
        for (name, pem) in [("server.crt", &signed.certificate), ("server.key", &signed.key)] {
            let path = data.join(name);
            fs::write(&path, pem).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a file");
            if let Some((user, group)) = self.owner {
                chown(&path, Some(user), Some(group)).expect("a file of its own");
            }
        }
        let rules = "local all all trust\nhostssl all all 127.0.0.1/32 trust\n";
        fs::write(data.join("pg_hba.conf"), rules).expect("a file");
        let settings = data.join("postgresql.auto.conf");
        let text = fs::read_to_string(&settings).expect("a file");
        fs::write(settings, format!("{text}ssl = on\n")).expect("a file");
    }

    /// A client of its own.
    ///
    /// # Panics
    /// If the server does not run.
    #[must_use]
    pub fn client(&self) -> Client {
        self.connect().unwrap_or_else(|| panic!("it does not answer: {}", self.said()))
    }

    fn connect(&self) -> Option<Client> {
        let mut config: Config = self.connection().parse().expect("a connection string");
        config.application_name("a test");
        runtime().block_on(async {
            let (client, connection) = config.connect(NoTls).await.ok()?;
            tokio::spawn(connection);
            Some(client)
        })
    }

    /// Carries out these statements, each in a transaction of its own.
    ///
    /// # Panics
    /// If one fails.
    pub fn execute(&self, statements: &str) {
        let client = self.client();
        runtime().block_on(client.batch_execute(statements)).unwrap_or_else(|error| {
            panic!("{error}: {:?}: {statements}", error.as_db_error());
        });
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// The end of its log.
    fn said(&self) -> String {
        let log = self.log();
        let from = log.ceil_char_boundary(log.len().saturating_sub(SHOWN));
        log[from..].to_owned()
    }

    fn log_file(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn program(&self, name: &str) -> Command {
        let log = File::options().create(true).append(true).open(self.log_file()).expect("a log file");
        let path = self.programs.join(name);
        let mut command = match self.owner {
            None => Command::new(path),
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                let (user, group) = (format!("--reuid={user}"), format!("--regid={group}"));
                command.args([&user, &group, "--clear-groups"]).arg(path);
                command
            }
        };
        command.current_dir(&self.directory).env("HOME", &self.directory).env("LC_ALL", "C");
        command.process_group(self.guard.group()).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a log file")).stderr(log);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // At once, and its shared memory with it; the guard does the rest.
        self.end(Signal::QUIT);
    }
}

/// Where the programs of a server that is new enough are.
fn programs() -> Result<PathBuf, String> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for version in fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        let number = version.file_name().to_str().and_then(|name| name.parse().ok());
        let programs = version.path().join("bin");
        if let Some(number) = number.filter(|_| programs.join("initdb").is_file()) {
            found.push((number, programs));
        }
    }
    if let Some((version, programs)) = found.into_iter().max() {
        return if version < VERSION_MIN {
            Err(format!("{} is too old", programs.display()))
        } else {
            Ok(programs)
        };
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).find(|directory| directory.join(OsStr::new("initdb")).is_file());
    on_path.ok_or_else(|| "there is no initdb in /usr/lib/postgresql or on the PATH".to_owned())
}

/// The user and the group of somebody who is not root.
fn owner() -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    ["postgres", "nobody"].into_iter().find_map(|name| {
        let user = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = user.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}
