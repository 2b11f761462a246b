//! Handles one post: puts its records into the intake log and answers. 202 means that all of them are durable; any
//! other answer means that none was kept.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use bytes::Bytes;
use http::{Method, Request, Response, header, request::Parts};
use http_body_util::Full;
use hyper::body::Incoming;
use stages::Decode;
use state::{EmbeddedLog, IntakeRefusal};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{
    answer::{Refusal, accepted, refused},
    body::RecordLimits,
    cloud_event,
    limits::PostLimits,
    read_body::{ReadBodyFault, discard, encoding, read_body},
    strict::StrictCheck,
    token::Token,
    unpack::Unpacker,
    unpack_fault::UnpackFault,
};
use crate::listening::{self, Peer};
use line::stop::{Level, Stop};

/// The path for posts.
const PATH: &str = "/events";

/// Handles posts; shared by a listener's connections.
pub(super) struct Handler {
    intake: EmbeddedLog,
    token: Option<Token>,
    strict: Option<StrictCheck>,
    /// By its schema a post's headers are an event's attributes, or not.
    schema: Option<Decode>,
    limits: PostLimits,
    stop: Stop,
    /// A permit for each post that is being committed, held even if the client has gone: bounds their number in the
    /// ledger's inbox.
    commits: Arc<Semaphore>,
    unpacker: Unpacker,
    full: AtomicBool,
}

impl Handler {
    pub(super) fn new(intake: EmbeddedLog, token: Option<Token>, limits: PostLimits, stop: Stop) -> Self {
        let commits = Arc::new(Semaphore::new(limits.connections_max));
        let (unpacker, full) = (Unpacker::new(), AtomicBool::new(false));
        Self { intake, token, strict: None, schema: None, limits, stop, commits, unpacker, full }
    }

    /// Accepts only what passes `strict`.
    pub(super) fn with_strict(mut self, strict: Option<StrictCheck>) -> Self {
        self.strict = strict;
        self
    }

    /// Reads posts by the schema of `decode`, also after that is replaced.
    pub(super) fn with_schema(mut self, decode: Option<Decode>) -> Self {
        self.schema = decode;
        self
    }

    async fn accept_post(
        &self,
        head: &Parts,
        body: &mut Incoming,
        peer: &Peer,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        // First, so that a client without a token neither learns nor holds anything.
        self.authorize(head)?;
        peer.authenticated().await?;
        self.check_head(head)?;
        let encoding = encoding(&head.headers).ok_or(Refusal::Encoding)?;
        let PostLimits { body_max, records_max, record_max, body_timeout, .. } = self.limits;
        let until = Instant::now() + body_timeout;
        let late = |_| Refusal::from(ReadBodyFault::TooSlow(body_timeout));
        let body_bytes = timeout_at(until, read_body(body, body_max)).await.map_err(late)??;
        let limits = RecordLimits { records_max, record_max };
        let unpacked = self.unpacker.unpack(body_bytes, encoding, body_max, says_lines(head), limits, until);
        let mut records = timeout_at(until, unpacked).await.map_err(late)??;
        if self.schema.as_ref().is_some_and(Decode::reads_cloud_events) {
            records =
                cloud_event::structured(&head.headers, records, record_max).map_err(UnpackFault::Body)?;
        }
        if let Some(strict) = &self.strict {
            strict.check(&records).await?;
        }
        self.is_open()?;
        // A batch may be empty.
        if records.is_empty() {
            return Ok(accepted(&(0..0)));
        }
        self.commit(records).await
    }

    fn authorize(&self, head: &Parts) -> Result<(), Refusal> {
        match &self.token {
            Some(token) if !token.admits(&head.headers) => Err(Refusal::Unauthorised),
            // Any page in a browser on this machine could post to loopback; browsers send the page's origin.
            None if head.headers.contains_key(header::ORIGIN) => Err(Refusal::Browser),
            _ => Ok(()),
        }
    }

    /// Further checks before the body is read.
    fn check_head(&self, head: &Parts) -> Result<(), Refusal> {
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

    /// Commits in a task of its own, so that the post keeps its permit until it is durable even if the client has
    /// gone.
    async fn commit(&self, records: Vec<Bytes>) -> Result<Response<Full<Bytes>>, Refusal> {
        let permit = self.commits.clone().acquire_owned().await.map_err(|_| Refusal::Stopping)?;
        let proof = self.intake.accept(records).map_err(|refusal| self.refuse(refusal))?;
        if self.full.swap(false, Relaxed) {
            tracing::info!("the backlog has room again: posts are accepted");
        }
        let committed = tokio::spawn(async move {
            let offsets = proof.await;
            drop(permit);
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

    /// Returns once nothing is being committed, and prevents further commits.
    pub(super) async fn close(&self) {
        let all = u32::try_from(self.limits.connections_max).unwrap_or(u32::MAX);
        // It fails only after closing, which is intended.
        let _all = self.commits.acquire_many(all).await;
        self.commits.close();
    }
}

impl listening::Handler for Handler {
    async fn handle(&self, request: Request<Incoming>, peer: &Peer) -> Response<Full<Bytes>> {
        let (head, mut body) = request.into_parts();
        match self.accept_post(&head, &mut body, peer).await {
            Ok(response) => response,
            Err(refusal) => {
                tracing::debug!(%refusal, "a post was refused");
                if matches!(refusal, Refusal::Unauthorised) {
                    peer.count_without_token();
                }
                // A client that expects a 100 has not sent the body yet, and reading would request it.
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
