//! One post's way: a request enters, its records go into the intake log, the answer leaves. 202 only when they are
//! durable; any other answer means that none of them was kept.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use bytes::Bytes;
use http::{Method, Request, Response, header, request::Parts};
use http_body_util::Full;
use hyper::body::Incoming;
use state::{EmbeddedLog, IntakeRefusal};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{
    answer::{Refusal, accepted, refused},
    body::RecordLimits,
    door::Door,
    gather::{GatherFault, discard, encoding, gather},
    open::Opener,
    serve::PostLimits,
    token::Token,
};
use crate::{
    listening::{self, Guest},
    stop::{Level, Stop},
};

/// Where events are posted.
const PATH: &str = "/events";

/// Where posts are judged; one for a listener, shared by its connections.
pub(super) struct Desk {
    intake: EmbeddedLog,
    token: Option<Token>,
    door: Option<Door>,
    limits: PostLimits,
    stop: Stop,
    /// A place for each post that is being committed, held although its poster may have gone: no more of them can be
    /// in the ledger's inbox.
    commits: Arc<Semaphore>,
    opener: Opener,
    full: AtomicBool,
}

impl Desk {
    pub(super) fn new(intake: EmbeddedLog, token: Option<Token>, limits: PostLimits, stop: Stop) -> Self {
        let commits = Arc::new(Semaphore::new(limits.connections_max));
        let (opener, full) = (Opener::new(), AtomicBool::new(false));
        Self { intake, token, door: None, limits, stop, commits, opener, full }
    }

    /// Lets in only what passes `door`.
    pub(super) fn behind(mut self, door: Option<Door>) -> Self {
        self.door = door;
        self
    }

    async fn take(
        &self,
        head: &Parts,
        body: &mut Incoming,
        guest: &Guest,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        // Before anything else, so that who has no token neither learns nor holds anything.
        self.let_in(head)?;
        guest.enter().await?;
        self.admit(head)?;
        let encoding = encoding(&head.headers).ok_or(Refusal::Encoding)?;
        let PostLimits { body_max, records_max, record_max, body_timeout, .. } = self.limits;
        let until = Instant::now() + body_timeout;
        let late = |_| Refusal::from(GatherFault::TooSlow(body_timeout));
        let gathered = timeout_at(until, gather(body, body_max)).await.map_err(late)??;
        let limits = RecordLimits { records_max, record_max };
        let opened = self.opener.open(gathered, encoding, body_max, says_lines(head), limits, until);
        let records = timeout_at(until, opened).await.map_err(late)??;
        if let Some(door) = &self.door {
            door.admit(&records).await?;
        }
        self.is_open()?;
        self.commit(records).await
    }

    fn let_in(&self, head: &Parts) -> Result<(), Refusal> {
        match &self.token {
            Some(token) if !token.admits(&head.headers) => Err(Refusal::Unauthorised),
            // Any page a browser on this machine shows could post to loopback; browsers say where a post comes from.
            None if head.headers.contains_key(header::ORIGIN) => Err(Refusal::Browser),
            _ => Ok(()),
        }
    }

    /// What else can be told before the body is read.
    fn admit(&self, head: &Parts) -> Result<(), Refusal> {
        if head.uri.path() != PATH {
            return Err(Refusal::NotFound);
        }
        if head.method != Method::POST {
            return Err(Refusal::NotPost);
        }
        self.is_open()?;
        if self.intake.has_room() { Ok(()) } else { Err(self.busy()) }
    }

    fn is_open(&self) -> Result<(), Refusal> {
        if self.stop.level() == Level::Run { Ok(()) } else { Err(Refusal::Stopping) }
    }

    /// Commits in a task of its own: whoever has gone meanwhile, the post keeps its place until it is durable.
    async fn commit(&self, records: Vec<Bytes>) -> Result<Response<Full<Bytes>>, Refusal> {
        let place = self.commits.clone().acquire_owned().await.map_err(|_| Refusal::Stopping)?;
        let proof = self.intake.accept(records).map_err(|refusal| self.refuse(refusal))?;
        if self.full.swap(false, Relaxed) {
            tracing::info!("the backlog has room again: posts are accepted");
        }
        let committed = tokio::spawn(async move {
            let offsets = proof.await;
            drop(place);
            offsets
        });
        match committed.await {
            Ok(Ok(offsets)) => Ok(accepted(&offsets)),
            Ok(Err(fault)) => {
                tracing::warn!(%fault, "a post could not be made durable");
                Err(Refusal::Unknown)
            }
            Err(_) => Err(Refusal::Unknown),
        }
    }

    fn refuse(&self, refusal: IntakeRefusal) -> Refusal {
        match refusal {
            IntakeRefusal::Full { .. } => self.busy(),
            IntakeRefusal::NeverFits => Refusal::NeverFits,
            IntakeRefusal::State(fault) => {
                tracing::warn!(%fault, "a post could not be accepted");
                Refusal::Unknown
            }
        }
    }

    fn busy(&self) -> Refusal {
        if !self.full.swap(true, Relaxed) {
            let settled = self.intake.settled().offset;
            tracing::warn!(settled, "the backlog is full: posts are refused until something is settled");
        }
        Refusal::Busy
    }

    /// Returns once nothing is being committed; nothing will be any more.
    pub(super) async fn close(&self) {
        let all = u32::try_from(self.limits.connections_max).unwrap_or(u32::MAX);
        // Only closing makes it fail, which is what is asked for.
        let _all = self.commits.acquire_many(all).await;
        self.commits.close();
    }
}

impl listening::Desk for Desk {
    async fn answer(&self, request: Request<Incoming>, guest: &Guest) -> Response<Full<Bytes>> {
        let (head, mut body) = request.into_parts();
        match self.take(&head, &mut body, guest).await {
            Ok(response) => response,
            Err(refusal) => {
                tracing::debug!(%refusal, "a post was refused");
                if matches!(refusal, Refusal::Unauthorised) {
                    guest.is_refused();
                }
                // Who expects a 100 has not sent the body yet, and reading would ask for it.
                if !head.headers.contains_key(header::EXPECT) {
                    discard(&mut body).await;
                }
                refused(&refusal)
            }
        }
    }
}

/// Whether the content type says that every line is a record.
fn says_lines(head: &Parts) -> bool {
    const TYPES: [&str; 5] = [
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "application/json-lines",
    ];
    let named =
        head.headers.get(header::CONTENT_TYPE).and_then(|named| named.to_str().ok()).unwrap_or_default();
    let named = named.split(';').next().unwrap_or_default().trim();
    TYPES.iter().any(|lines| named.eq_ignore_ascii_case(lines))
}
