//! One request's way through the receiver: it is answered, or the connection closes. The recorder and the counts hear of
//! each request exactly once before anything is answered.

use std::{borrow::Cow, sync::Arc, time::Duration};

use crate::BodyDigest;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use parking_lot::Mutex;
use rand::rngs::Xoshiro256PlusPlus;
use state::Clock;
use tokio::{
    sync::watch,
    time::{self, Instant},
};

use super::{
    Availability, Behaviour, Control, Keys, Limits, LostAnswer, Post, Recorder, Refusal, Rule, RuleAnswer,
    Taken, answer_body::AnswerBody, behaviour::Plan, limit::Bucket, seen_ids::SeenIds, taken::ID_BYTES_MAX,
};

/// The name of the header that identifies an event across retries, by Standard Webhooks.
const WEBHOOK_ID: &str = "webhook-id";
/// The name of the header that says that a request may be a repeat.
const MAY_REPEAT: &str = "loadline-may-repeat";

/// Where requests are judged; one for a receiver, shared by its connections.
pub(crate) struct Handler {
    pub(crate) control: Control,
    pub(crate) keys: Keys,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    pub(crate) recorder: Arc<dyn Recorder>,
    pub(crate) seen: Mutex<SeenIds>,
    pub(crate) rng: Mutex<Xoshiro256PlusPlus>,
    /// What the behaviour's limit has left.
    pub(crate) bucket: Mutex<Bucket>,
    /// What decides instead of the behaviour, if something does.
    pub(crate) rule: Option<Arc<Rule>>,
    /// Whether a request may come without a `webhook-id`.
    pub(crate) ids_optional: bool,
    /// Turns true when the receiver stops.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the receiver closes the connection without an answer")]
pub(crate) struct HungUp;

pub(crate) type Answer = Result<Response<AnswerBody>, HungUp>;

impl Handler {
    /// Judges one request, and answers it in its time.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let behaviour = self.control.behaviour();
        let (head, body) = request.into_parts();
        match behaviour.availability {
            Availability::Up => {}
            Availability::Down => {
                self.note_refusal(&head, Refusal::Unanswered);
                return self.hang().await;
            }
            Availability::Refusing => return self.turn_away(&head, Refusal::HungUp, &behaviour),
        }
        let judged = match self.read(&head, body).await {
            Ok(body) => self.check(&head, &body).map(|()| body),
            Err(refusal) => Err(refusal),
        };
        match judged {
            Ok(body) if let Some(rule) = &self.rule => self.by_rule(&**rule, &head, &body).await,
            Ok(body) => self.carry_out(&head, &body, &behaviour).await,
            Err(refusal) => self.turn_away(&head, refusal, &behaviour),
        }
    }

    async fn carry_out(&self, head: &Parts, body: &Bytes, behaviour: &Behaviour) -> Answer {
        if let Some(limit) = behaviour.limit
            && !self.bucket.lock().pass(limit, Instant::now())
        {
            return self.turn_away(head, Refusal::Throttled, behaviour);
        }
        let certain = behaviour.certain_plan();
        let (wait, plan) = certain.unwrap_or_else(|| behaviour.plan(&mut *self.rng.lock()));
        match plan {
            Plan::Take => {
                let taken = self.take(head, body);
                self.wait(wait).await;
                self.recorder.answered(&taken, behaviour.status);
                Ok(plain(behaviour.status, ""))
            }
            Plan::TakeAndLose => {
                let taken = self.take(head, body);
                self.control.tally().lose_answer();
                let status = match behaviour.lost_answer {
                    LostAnswer::Hang => return self.hang().await,
                    LostAnswer::Fail => StatusCode::INTERNAL_SERVER_ERROR,
                    LostAnswer::Status(status) => status,
                };
                self.wait(wait).await;
                self.recorder.answered(&taken, status);
                Ok(plain(status, ""))
            }
            Plan::Throttle | Plan::Fail | Plan::Answer => {
                let refusal = match plan {
                    Plan::Throttle => Refusal::Throttled,
                    Plan::Fail => Refusal::Failed,
                    _ => Refusal::Answered(behaviour.status),
                };
                let answer = self.turn_away(head, refusal, behaviour);
                self.wait(wait).await;
                answer
            }
        }
    }

    async fn by_rule(&self, rule: &Rule, head: &Parts, body: &Bytes) -> Answer {
        let answer = rule(Post { head, body });
        let status = match answer {
            RuleAnswer::Status(status) | RuleAnswer::After(status, _) | RuleAnswer::Says(status, _) => {
                Some(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
            }
            RuleAnswer::HangingBody | RuleAnswer::Nothing | RuleAnswer::Cut => None,
        };
        self.recorder.posted(Post { head, body }, status);
        match status {
            Some(status) if status.is_success() && !matches!(answer, RuleAnswer::Says(..)) => {
                let taken = self.take(head, body);
                self.recorder.answered(&taken, status);
            }
            Some(status) => self.note_refusal(head, Refusal::Answered(status)),
            None => self.note_refusal(head, Refusal::Unanswered),
        }
        let mut response = plain(status.unwrap_or_default(), "");
        match answer {
            RuleAnswer::Status(_) => {}
            RuleAnswer::After(_, seconds) => {
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            RuleAnswer::Says(_, text) => *response.body_mut() = AnswerBody::text(text),
            RuleAnswer::HangingBody => *response.body_mut() = AnswerBody::Hanging,
            RuleAnswer::Nothing => return self.hang().await,
            RuleAnswer::Cut => return Err(HungUp),
        }
        Ok(response)
    }

    async fn read(&self, head: &Parts, body: Incoming) -> Result<Bytes, Refusal> {
        if head.method != Method::POST {
            return Err(Refusal::NotPost);
        }
        if body.size_hint().lower() > self.limits.body_max as u64 {
            return Err(Refusal::TooLarge);
        }
        let whole = Limited::new(body, self.limits.body_max).collect();
        match time::timeout(self.limits.body_timeout, whole).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge),
            Ok(Err(_)) => Err(Refusal::Cut),
            Err(_) => Err(Refusal::TooSlow),
        }
    }

    fn check(&self, head: &Parts, body: &Bytes) -> Result<(), Refusal> {
        self.keys.verify(&head.headers, body)?;
        match webhook_id(head).len() {
            0 if !self.ids_optional => Err(Refusal::NoId),
            0..=ID_BYTES_MAX => Ok(()),
            _ => Err(Refusal::IdTooLong),
        }
    }

    fn take<'a>(&self, head: &'a Parts, body: &'a Bytes) -> Taken<'a> {
        let (path, webhook_id) = (head.uri.path(), webhook_id(head));
        let digest = BodyDigest::of(body);
        let times = {
            let mut seen = self.seen.lock();
            let times = seen.note(path, &remembered_as(webhook_id, digest), digest);
            self.control.tally().forgotten(seen.forgotten());
            times
        };
        self.control.tally().take(times);
        let may_repeat = head.headers.contains_key(MAY_REPEAT);
        let taken = Taken { at: self.clock.now(), path, webhook_id, body, digest, may_repeat, times };
        self.recorder.taken(&taken);
        taken
    }

    fn note_refusal(&self, head: &Parts, why: Refusal) {
        self.control.tally().turn_away(why);
        self.recorder.turned_away(self.clock.now(), head.uri.path(), why);
    }

    fn turn_away(&self, head: &Parts, why: Refusal, behaviour: &Behaviour) -> Answer {
        self.note_refusal(head, why);
        let mut answer = plain(why.status().ok_or(HungUp)?, why.as_str());
        if why == Refusal::Throttled {
            answer.headers_mut().insert(header::RETRY_AFTER, whole_seconds(behaviour.retry_after).into());
        }
        Ok(answer)
    }

    async fn wait(&self, wait: Duration) {
        if !wait.is_zero() {
            time::sleep(wait).await;
        }
    }

    /// Leaves the caller without an answer until it gives up, the receiver stops, or `hang_max` has passed.
    async fn hang(&self) -> Answer {
        let mut stopping = self.stopping.clone();
        // either way the caller gets nothing
        let _ended = time::timeout(self.limits.hang_max, stopping.wait_for(|stop| *stop)).await.is_ok();
        Err(HungUp)
    }
}

fn webhook_id(head: &Parts) -> &str {
    head.headers.get(WEBHOOK_ID).and_then(|id| id.to_str().ok()).unwrap_or_default()
}

/// What a request is known by when it comes again: its id, or else its bytes. A line break is in no header, so the two
/// are never taken for one another.
fn remembered_as(webhook_id: &str, digest: BodyDigest) -> Cow<'_, str> {
    if webhook_id.is_empty() { Cow::Owned(format!("\n{digest:?}")) } else { Cow::Borrowed(webhook_id) }
}

fn plain(status: StatusCode, text: &'static str) -> Response<AnswerBody> {
    let mut answer = Response::new(AnswerBody::text(text));
    *answer.status_mut() = status;
    answer
}

/// `Retry-After` counts whole seconds (RFC 9110, section 10.2.3); rounded up, so that nobody comes too early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
