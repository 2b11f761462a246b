//! The parts that run in processes of their own: the receiver, and reqwest without Loadline. They are told what to do on
//! stdin and answer on stdout, one line each. The end of stdin ends either, so that none outlives who started it.

use std::{
    fs,
    io::{self, BufRead, Write},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use stages::{Signer, SigningKey, install_crypto};
use state::Clock;
use tokio::{runtime::Runtime, sync::Semaphore, task::JoinSet};

use super::{configs::SECRET, workload::Workload};
use crate::receiver::{ArrivalStats, Arrivals, lean};

/// Workers of a part's runtime: as many as people give a service on a small machine, whatever this one has.
const WORKERS: usize = 2;

/// Why a part failed.
#[derive(Debug, thiserror::Error)]
pub enum PartFault {
    /// Its streams, its files or its listener.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A request failed, or was not answered 2xx.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// The key it signs with.
    #[error(transparent)]
    Signing(#[from] stages::SigningError),
    /// A task ended by itself.
    #[error(transparent)]
    Task(#[from] tokio::task::JoinError),
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()
}

fn say(words: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{words}")?;
    out.flush()
}

fn json<T: serde::Serialize>(value: &T) -> io::Result<String> {
    serde_json::to_string(value).map_err(io::Error::other)
}

/// The receiver: says its port, and answers `reset`, `total` and `paths`.
///
/// # Errors
/// There is no port, or nobody hears it.
pub fn receive(delay: Duration, paths: usize) -> Result<(), PartFault> {
    let runtime = runtime()?;
    let arrivals = Arc::new(Arrivals::new(paths));
    let listener = runtime.block_on(lean::listen(0))?;
    say(&listener.local_addr()?.port().to_string())?;
    let serving = runtime.spawn(lean::serve_counted(listener, delay, Arc::clone(&arrivals)));
    for line in io::stdin().lock().lines() {
        match line?.as_str() {
            "reset" => {
                arrivals.reset();
                say("{}")?;
            }
            "paths" => say(&json(&arrivals.paths().collect::<Vec<ArrivalStats>>())?)?,
            _ => say(&json(&arrivals.total())?)?,
        }
        if serving.is_finished() {
            return Ok(runtime.block_on(serving)??);
        }
    }
    runtime.shutdown_background();
    Ok(())
}

/// What reqwest alone posts, and where to.
#[derive(Clone, Debug)]
pub struct Posts {
    /// The receiver's port.
    pub port: u16,
    /// The file of events.
    pub events: PathBuf,
    /// How many brokers it is for.
    pub brokers: usize,
    /// Requests at once.
    pub concurrency: usize,
    /// Whether they are signed.
    pub sign: bool,
}

/// reqwest alone, as people run it: one client and a task for each request, on a multi-thread runtime. Says `ready`, posts
/// once it is told to go, and says how many it has posted.
///
/// # Errors
/// A request failed, or was not answered 2xx.
pub fn post(posts: &Posts) -> Result<(), PartFault> {
    install_crypto();
    let runtime = runtime()?;
    let text = fs::read(&posts.events)?;
    let bodies: Vec<Bytes> = text.split(|byte| *byte == b'\n').map(Bytes::copy_from_slice).collect();
    drop(text);
    let signer = posts.sign.then(|| SigningKey::parse(SECRET).and_then(|key| Signer::new(vec![key])));
    let signer = signer.transpose()?.map(Arc::new);
    let client = reqwest::Client::builder().no_proxy().build()?;
    say("ready")?;
    let mut lines = io::stdin().lock().lines();
    if lines.next().transpose()?.is_none() {
        return Ok(());
    }
    let posted = runtime.block_on(post_all(posts, &bodies, &client, signer.as_ref()))?;
    say(&posted.to_string())?;
    // Stays to be looked at.
    while lines.next().transpose()?.is_some() {}
    Ok(())
}

async fn post_all(
    posts: &Posts,
    bodies: &[Bytes],
    client: &reqwest::Client,
    signer: Option<&Arc<Signer>>,
) -> Result<u64, PartFault> {
    let urls: Vec<String> =
        (0..posts.brokers).map(|broker| format!("http://127.0.0.1:{}/{broker}", posts.port)).collect();
    let permits = Arc::new(Semaphore::new(posts.concurrency));
    let (mut tasks, mut posted) = (JoinSet::new(), 0_u64);
    for (number, body) in (0..).zip(bodies).filter(|(_, body)| !body.is_empty()) {
        for broker in Workload::subscribers(number, posts.brokers) {
            // Nobody closes it.
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
            let Some(url) = urls.get(broker) else { break };
            let request = client.post(url).header("content-type", "application/json");
            let (signer, body) = (signer.cloned(), body.clone());
            tasks.spawn(async move {
                let request = match signer {
                    None => request,
                    Some(signer) => signed(request, &signer, posted, &body),
                };
                let answer = request.body(body).send().await?.error_for_status()?.bytes().await;
                drop(permit);
                answer
            });
            posted += 1;
            while let Some(done) = tasks.try_join_next() {
                done??;
            }
        }
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(posted)
}

/// The request with the three headers of Standard Webhooks.
fn signed(
    request: reqwest::RequestBuilder,
    signer: &Signer,
    number: u64,
    body: &[u8],
) -> reqwest::RequestBuilder {
    let (id, now) = (format!("msg_{number:029}"), Clock::System.now() / 1_000);
    let signature = signer.sign(&id, now, body);
    request
        .header("webhook-id", id)
        .header("webhook-timestamp", now.to_string())
        .header("webhook-signature", signature)
}
