//! One post's way: a request enters, its records go into the intake log, the answer leaves. 202 only when they are
//! durable; any other answer means that none of them was kept.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http::{Method, Request, Response, header, request::Parts};
use http_body_util::Full;
use hyper::body::Incoming;
use state::{EmbeddedLog, IntakeRefusal};
use tokio::sync::Semaphore;

use super::{
    answer::{Refusal, accepted, refused},
    body::{RecordLimits, records},
    door::Door,
    gather::{discard, encoding, gather},
    serve::PostLimits,
    token::Token,
};
use crate::stop::{Level, Stop};

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
    full: AtomicBool,
}

impl Desk {
    pub(super) fn new(intake: EmbeddedLog, token: Option<Token>, limits: PostLimits, stop: Stop) -> Self {
        let commits = Arc::new(Semaphore::new(limits.connections_max));
        Self { intake, token, door: None, limits, stop, commits, full: AtomicBool::new(false) }
    }

    /// Lets in only what passes `door`.
    pub(super) fn behind(mut self, door: Option<Door>) -> Self {
        self.door = door;
        self
    }

    /// Answers one request.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, mut body) = request.into_parts();
        Ok(match self.take(&head, &mut body).await {
            Ok(response) => response,
            Err(refusal) => {
                tracing::debug!(%refusal, "a post was refused");
                // Who expects a 100 has not sent the body yet, and reading would ask for it.
                if !head.headers.contains_key(header::EXPECT) {
                    discard(&mut body).await;
                }
                refused(&refusal)
            }
        })
    }

    async fn take(&self, head: &Parts, body: &mut Incoming) -> Result<Response<Full<Bytes>>, Refusal> {
        self.admit(head)?;
        let encoding = encoding(&head.headers).ok_or(Refusal::Encoding)?;
        let PostLimits { body_max, records_max, record_max, body_timeout, .. } = self.limits;
        let body = gather(body, encoding, body_max, body_timeout).await?;
        let records = records(&body, says_lines(head), RecordLimits { records_max, record_max })?;
        if let Some(door) = &self.door {
            door.admit(&records).await?;
        }
        self.is_open()?;
        self.commit(records).await
    }

    /// What can be told before the body is read.
    fn admit(&self, head: &Parts) -> Result<(), Refusal> {
        if head.uri.path() != PATH {
            return Err(Refusal::NotFound);
        }
        match &self.token {
            Some(token) if !token.admits(&head.headers) => return Err(Refusal::Unauthorised),
            // Any page a browser on this machine shows could post to loopback; browsers say where a post comes from.
            None if head.headers.contains_key(header::ORIGIN) => return Err(Refusal::Browser),
            _ => {}
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
