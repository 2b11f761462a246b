//! Deliveries per second, end to end, beside bare reqwest posting the same bodies to the same receiver: rounds are
//! interleaved, the receiver is a process of its own, and only ratios of one run mean anything.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use benches::{corpus, receiver};
use bytes::Bytes;
use clap::Parser;
use pipeline::{config::Config, engine, stop::stop};
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures deliveries per second, end to end.
#[derive(Debug, Parser)]
struct Args {
    /// Events in the file.
    #[arg(long, default_value_t = 40_000)]
    events: u64,
    /// Brokers; each gets a fifth of the events.
    #[arg(long, default_value_t = 12)]
    brokers: usize,
    /// Interleaved rounds.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Requests at once, for bare reqwest, and per broker for Loadline.
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// How long the receiver takes for each answer, in milliseconds.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Further lines for the config's `[state]`.
    #[arg(long, default_value = "")]
    state: String,
    /// Be the receiver.
    #[arg(long, hide = true)]
    receive: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if args.receive {
        return receive(&args);
    }
    let (mut child, port) = start_receiver(&args)?;
    let measured = measure(&args, port);
    child.kill()?;
    child.wait()?;
    measured
}

fn receive(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = receiver::listen(0).await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?.port())?;
        receiver::serve(listener, Duration::from_millis(args.delay_ms)).await?;
        Ok(())
    })
}

fn start_receiver(args: &Args) -> anyhow::Result<(Child, u16)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--receive", "--delay-ms", &args.delay_ms.to_string()]).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("the receiver's port")?).read_line(&mut line)?;
    Ok((child, line.trim().parse()?))
}

fn measure(args: &Args, port: u16) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut events = String::new();
    for number in 0..args.events {
        writeln!(events, "{}", corpus::event(number))?;
    }
    fs::write(dir.path().join("events.ndjson"), &events)?;
    let bodies: Vec<Bytes> = events.lines().map(|line| Bytes::copy_from_slice(line.as_bytes())).collect();
    let out = &mut std::io::stdout();
    writeln!(
        out,
        "{:>5} {:>12} {:>12} {:>12} {:>7} {:>7}",
        "round", "bare/s", "process/s", "power/s", "proc/b", "pow/pr"
    )?;
    for round in 0..args.rounds {
        let bare = bare(args, port, &bodies)?;
        let process = loadline(args, port, dir.path(), &format!("{round}p"), "process")?;
        let power = loadline(args, port, dir.path(), &format!("{round}w"), "power")?;
        let (of_bare, of_process) = (process / bare, power / process);
        writeln!(
            out,
            "{round:>5} {bare:>12.0} {process:>12.0} {power:>12.0} {of_bare:>7.2} {of_process:>7.2}"
        )?;
    }
    Ok(())
}

/// One reqwest client on a multi-thread runtime, as people run it.
fn bare(args: &Args, port: u16, bodies: &[Bytes]) -> anyhow::Result<f64> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let url = format!("http://127.0.0.1:{port}/");
    let _installed = rustls::crypto::ring::default_provider().install_default();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let permits = Arc::new(Semaphore::new(args.concurrency));
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        let posts = bodies.len() * args.brokers.div_ceil(5);
        for body in bodies.iter().cycle().take(posts) {
            let permit = permits.clone().acquire_owned().await?;
            let request = client.post(&url).header("content-type", "application/json").body(body.clone());
            tasks.spawn(async move {
                let answer = request.send().await?.bytes().await;
                drop(permit);
                answer
            });
            while let Some(done) = tasks.try_join_next() {
                done??;
            }
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        anyhow::Ok(posts as f64 / started.elapsed().as_secs_f64())
    })
}

fn loadline(args: &Args, port: u16, dir: &Path, name: &str, durability: &str) -> anyhow::Result<f64> {
    fs::write(dir.join("secret"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
    let per_broker = (4 * args.concurrency / args.brokers).max(1);
    let mut config = format!(
        "[source]\nkind = \"file\"\npath = \"events.ndjson\"\n[state]\ndir = \"state-{name}\"\ndurability = \"{durability}\"\n{}\n\
         [delivery]\nallow_http = true\nallow_networks = [\"127.0.0.0/8\"]\nconcurrency = {per_broker}\n[rules]\nahead_max = \"365d\"\n",
        args.state
    );
    // One status of five each, so that every broker, and every shard, has the same share.
    for broker in 0..args.brokers {
        let wants = ["posted", "matched", "accepted", "in-transit", "delivered"][broker % 5];
        writeln!(
            config,
            "[[brokers]]\nid = \"b{broker}\"\nurl = \"http://127.0.0.1:{port}/{broker}\"\nsecrets = [\"file:secret\"]\n\
             rate = 1000000\nburst = 1000000\nstatuses = [\"{wants}\"]\n"
        )?;
    }
    let path = dir.join(format!("{name}.toml"));
    fs::write(&path, config)?;
    let config = Config::load(&path).map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let started = Instant::now();
    let (_stopper, stop) = stop();
    let summary = runtime.block_on(engine::run(&config, stop, |_| {}))?;
    let seconds = started.elapsed().as_secs_f64();
    anyhow::ensure!(
        summary.dead_letters == 0 && summary.spilled == 0,
        "not everything was delivered: {summary:?}"
    );
    Ok(summary.delivered as f64 / seconds)
}
