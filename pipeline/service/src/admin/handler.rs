//! Handles one request: checks the client, finds the path, answers in JSON or text.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::Full;
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde_json::json;

use super::{
    dead::{DeadRefusal, DeadRequest},
    metrics,
    observe::Observer,
};
use crate::{
    broker_command::{self, BrokerCommand},
    dead::Planner,
    group::GroupFault,
    reload::{Refused, Reload, ReloadTrigger},
    view::View,
};
use line::{
    Roster, is_served,
    stop::{Level, Stop},
};
use sources::{
    Token,
    listening::{self, ConnectionsFull, Peer},
};

/// The content type of Prometheus's text format 0.0.4.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";
/// Dead letters counted in one step; the ledger thread may have to wait for one step, about a millisecond.
const COUNT_STEP: usize = 256;

/// Handles all requests of an endpoint.
#[derive(Debug)]
pub(super) struct Handler {
    observer: Mutex<Observer>,
    brokers: Roster,
    planner: Planner,
    reload: Reload,
    token: Option<Token>,
    /// Whether it listens at an address, which a browser can reach.
    by_address: bool,
    stop: Stop,
    /// Held by one command at a time, so that what was recorded last is in force.
    command_lock: Arc<tokio::sync::Mutex<()>>,
}

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("there is nothing here; ask for /status, /metrics, /healthz or /readyz")]
    NotFound,
    #[error("this path is asked with {0}")]
    Method(&'static str),
    #[error("a token is needed, the one this process was started with: send it as `Authorization: Bearer …`")]
    Unauthorised,
    #[error("a page in a browser may not ask here; configure admin.token and ask from a server")]
    Browser,
    #[error("broker {0} is not in this run's config")]
    NoBroker(String),
    #[error(
        "this process knows of no others: its state does not follow its partitions (state.follow); ask each process"
    )]
    NoGroup,
    #[error("the run is only starting; ask again in a moment")]
    Early,
    #[error(transparent)]
    ConnectionsFull(#[from] ConnectionsFull),
    #[error(transparent)]
    Reload(#[from] Refused),
    #[error(transparent)]
    State(#[from] state::StateFault),
    #[error(transparent)]
    Group(#[from] GroupFault),
    #[error(transparent)]
    Dead(#[from] DeadRefusal),
}

impl Handler {
    pub(super) fn new(
        observer: Observer,
        brokers: Roster,
        planner: Planner,
        reload: Reload,
        token: Option<Token>,
        by_address: bool,
        stop: Stop,
    ) -> Self {
        let command_lock = Arc::default();
        Self {
            observer: Mutex::new(observer),
            brokers,
            planner,
            reload,
            token,
            by_address,
            stop,
            command_lock,
        }
    }

    pub(super) fn watch(&self, view: View) {
        self.observer.lock().watch(view);
    }

    pub(super) fn sample(&self) {
        self.observer.lock().sample();
    }

    /// Continues counting the dead letters; true once all are counted, or counting failed.
    pub(super) fn count_dead_letters(&self) -> bool {
        let ledger = self.observer.lock().ledger().clone();
        ledger.store().dead_letters().count_on(COUNT_STEP).unwrap_or_else(|fault| {
            tracing::warn!(%fault, "the dead letters cannot be counted");
            true
        })
    }

    /// Whether a token is required.
    pub(super) fn asks_for_token(&self) -> bool {
        self.token.is_some()
    }

    async fn route(&self, head: &Parts, peer: &Peer) -> Result<Response<Full<Bytes>>, Refusal> {
        let path = head.uri.path();
        // Probes need no token: they only say yes or no, and a supervisor has none.
        if let "/healthz" | "/readyz" = path {
            only(head, &Method::GET, "GET")?;
            return Ok(self.probe(path == "/readyz"));
        }
        self.admit(&head.headers)?;
        peer.authenticated().await?;
        match path {
            "/status" => {
                only(head, &Method::GET, "GET")?;
                let status = self.observer.lock().observe(self.stopping()).ok_or(Refusal::Early)?;
                Ok(response(StatusCode::OK, JSON, format!("{}\n", json!(&*status))))
            }
            "/group" => {
                only(head, &Method::GET, "GET")?;
                let (begun, members) = {
                    let observer = self.observer.lock();
                    (observer.watched().is_some(), observer.members())
                };
                match members {
                    Some(members) => {
                        Ok(response(StatusCode::OK, JSON, format!("{}\n", json!(members.picture()))))
                    }
                    None if begun => Err(Refusal::NoGroup),
                    None => Err(Refusal::Early),
                }
            }
            "/metrics" => {
                only(head, &Method::GET, "GET")?;
                let status = self.observer.lock().observe(self.stopping()).ok_or(Refusal::Early)?;
                let timings = self.observer.lock().timings().ok_or(Refusal::Early)?;
                Ok(response(StatusCode::OK, METRICS, metrics::text(&status, &self.brokers.shown(), timings)))
            }
            "/reload" => {
                only(head, &Method::POST, "POST")?;
                let outcome = self.reload.ask(ReloadTrigger::Admin).await?;
                Ok(response(StatusCode::OK, JSON, format!("{}\n", json!(outcome))))
            }
            _ if let Some(request) = DeadRequest::at(path) => self.dead(head, request).await,
            _ => {
                let (name, command) = broker_command_of(path).ok_or(Refusal::NotFound)?;
                only(head, &Method::POST, "POST")?;
                self.command(name, command).await
            }
        }
    }

    /// Admits clients with the token; if none is configured, all on this machine except pages in a browser. Browsers
    /// send the page's origin with a POST (`Origin`) and mostly with a GET (`Sec-Fetch-Site`); a page whose name
    /// resolves to this address has its own name in `Host`.
    fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match &self.token {
            Some(token) if token.admits(headers) => Ok(()),
            Some(_) => Err(Refusal::Unauthorised),
            None if headers.contains_key(header::ORIGIN) => Err(Refusal::Browser),
            None if !self.by_address => Ok(()),
            None if is_foreign(headers) => Err(Refusal::Browser),
            None => Ok(()),
        }
    }

    fn probe(&self, ready: bool) -> Response<Full<Bytes>> {
        let found = if ready {
            self.observer.lock().not_ready(self.stopping())
        } else {
            self.observer.lock().not_alive()
        };
        match found {
            None => response(StatusCode::OK, "text/plain", "ok\n"),
            Some(why) => response(StatusCode::SERVICE_UNAVAILABLE, "text/plain", format!("{why}\n")),
        }
    }

    async fn command(&self, name: &str, command: BrokerCommand) -> Result<Response<Full<Bytes>>, Refusal> {
        let broker = self
            .brokers
            .find(name)
            .filter(|broker| is_served(broker))
            .ok_or_else(|| Refusal::NoBroker(name.to_owned()))?;
        let (ledger, begun, members) = {
            let observer = self.observer.lock();
            (observer.ledger().clone(), observer.watched().is_some(), observer.members())
        };
        if !begun {
            // The recorded state is still being read.
            return Err(Refusal::Early);
        }
        let command_lock = self.command_lock.clone();
        // A task of its own, so that a recorded command is applied even if the client has gone.
        let done = tokio::spawn(async move {
            let _alone = command_lock.lock().await;
            match members {
                Some(members) => members.command(broker, command).await.map_err(Refusal::from),
                None => Ok(broker_command::on_running(&ledger, &broker, command).await?),
            }
        });
        let state = done.await.map_err(state::StateFault::interrupted)??;
        Ok(response(
            StatusCode::OK,
            JSON,
            format!("{}\n", json!({ "broker": name, "state": state.as_str() })),
        ))
    }

    async fn dead(&self, head: &Parts, request: DeadRequest) -> Result<Response<Full<Bytes>>, Refusal> {
        let (method, name) = if request.changes() { (Method::POST, "POST") } else { (Method::GET, "GET") };
        only(head, &method, name)?;
        let (ledger, watch) = {
            let observer = self.observer.lock();
            (observer.ledger().clone(), observer.watched())
        };
        let _alone = if request.changes() { Some(self.command_lock.lock().await) } else { None };
        let told = request.answer(head, &ledger, watch, &self.planner).await?;
        Ok(response(StatusCode::OK, JSON, format!("{told}\n")))
    }

    fn stopping(&self) -> bool {
        self.stop.level() > Level::Run
    }
}

impl listening::Handler for Handler {
    async fn handle(&self, request: Request<Incoming>, peer: &Peer) -> Response<Full<Bytes>> {
        // No request needs a body, so none is read; hyper then closes the connection.
        let (head, _body) = request.into_parts();
        match self.route(&head, peer).await {
            Ok(response) => response,
            Err(refusal) => {
                if matches!(refusal, Refusal::Unauthorised) {
                    peer.count_without_token();
                }
                refused(&refusal)
            }
        }
    }
}

/// `/brokers/NAME/COMMAND`. Names need no URL encoding.
fn broker_command_of(path: &str) -> Option<(&str, BrokerCommand)> {
    let (name, command) = path.strip_prefix("/brokers/")?.split_once('/')?;
    Some((name, BrokerCommand::of(command)?))
}

fn only(head: &Parts, method: &Method, name: &'static str) -> Result<(), Refusal> {
    if head.method == *method { Ok(()) } else { Err(Refusal::Method(name)) }
}

fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |value: Option<&HeaderValue>| value.map(|value| value.to_str().unwrap_or("?").to_owned());
    let site = text(headers.get("sec-fetch-site"));
    if site.is_some_and(|site| site != "none" && site != "same-origin") {
        return true;
    }
    let Some(host) = text(headers.get(header::HOST)) else { return false };
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => &host,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    !host.eq_ignore_ascii_case("localhost") && address.is_err()
}

fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    let (status, extra) = match refusal {
        Refusal::NotFound | Refusal::NoBroker(_) | Refusal::NoGroup => (StatusCode::NOT_FOUND, None),
        // It was done here, and somebody else has not answered: asking again is for whoever reads this.
        Refusal::Group(GroupFault::HereOnly { .. }) => (StatusCode::BAD_GATEWAY, None),
        Refusal::Method(allowed) => (StatusCode::METHOD_NOT_ALLOWED, Some((header::ALLOW, *allowed))),
        Refusal::Unauthorised => (StatusCode::UNAUTHORIZED, Some((header::WWW_AUTHENTICATE, "Bearer"))),
        Refusal::Browser => (StatusCode::FORBIDDEN, None),
        Refusal::Dead(DeadRefusal::Select(_) | DeadRefusal::Everything) => (StatusCode::BAD_REQUEST, None),
        Refusal::Reload(Refused::Stopping)
        | Refusal::Early
        | Refusal::State(_)
        | Refusal::Group(_)
        | Refusal::Dead(_)
        | Refusal::ConnectionsFull(_) => (StatusCode::SERVICE_UNAVAILABLE, None),
        Refusal::Reload(_) => (StatusCode::UNPROCESSABLE_ENTITY, None),
    };
    let told = match refusal {
        Refusal::Reload(refused) if !refused.problems().is_empty() => {
            json!({ "error": refused.to_string(), "problems": refused.problems() })
        }
        _ => json!({ "error": refusal.to_string() }),
    };
    let told = format!("{told}\n");
    let mut response = response(status, JSON, told);
    if let Some((name, value)) = extra {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn response(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_from_a_tool() {
        let foreign = |lines: &[(&'static str, &'static str)]| {
            let lines = lines.iter().map(|(name, value)| {
                (header::HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            is_foreign(&lines.collect())
        };
        for host in ["127.0.0.1:9464", "localhost:9464", "[::1]:9464", "LOCALHOST", "10.0.0.7"] {
            assert!(!foreign(&[("host", host)]), "{host}");
        }
        assert!(foreign(&[("host", "rebound.example:9464")]));
        assert!(foreign(&[("host", "127.0.0.1:9464"), ("sec-fetch-site", "cross-site")]));
        assert!(!foreign(&[("host", "127.0.0.1:9464"), ("sec-fetch-site", "none")]));
        assert!(!foreign(&[]));
    }

    #[test]
    fn a_command_names_a_broker_and_what_to_do_with_it() {
        assert_eq!(broker_command_of("/brokers/acme/pause"), Some(("acme", BrokerCommand::Pause)));
        for wrong in ["/brokers/acme", "/brokers/acme/", "/brokers/acme/explode", "/broker/acme/pause"] {
            assert_eq!(broker_command_of(wrong), None, "{wrong}");
        }
    }
}
