//! The receiver over real sockets: what a caller sees, and what is recorded of it.

mod behaviours;
mod requests;
mod running;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use standardwebhooks::Webhook;
use state::Clock;
use tokio::net::TcpStream;

use super::{Behaviour, Journal, Keys, Limits, Receiver, Running};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const OTHER_SECRET: &str = "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXI=";
const BODY: &str = r#"{"eventId":"e1","loadId":"CHI-1","status":"picked-up"}"#;

/// A receiver at a free port, and its journal.
fn start(behaviour: Behaviour) -> (Running, Arc<Journal>) {
    start_with(behaviour, Limits { grace: Duration::from_millis(200), ..Limits::default() })
}

fn start_with(behaviour: Behaviour, limits: Limits) -> (Running, Arc<Journal>) {
    let journal = Arc::new(Journal::new(1_000).with_bodies());
    let keys = Keys::new([OTHER_SECRET, SECRET]).unwrap();
    let receiver = Receiver::bind(localhost(), behaviour, keys).unwrap();
    (receiver.with_limits(limits).with_recorder(Arc::<Journal>::clone(&journal)).spawn(), journal)
}

fn localhost() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A signed request, as Loadline would send it `age` seconds ago.
fn signed(secret: &str, id: &str, body: &str, age: i64) -> Request<Full<Bytes>> {
    let at = i64::try_from(Clock::System.now() / 1_000).unwrap() - age;
    let signature = Webhook::new(secret).unwrap().sign(id, at, body.as_bytes()).unwrap();
    Request::post("/hook")
        .header("host", "tms.example.com")
        .header("webhook-id", id)
        .header("webhook-timestamp", at)
        .header("webhook-signature", signature)
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap()
}

fn event(id: &str) -> Request<Full<Bytes>> {
    signed(SECRET, id, BODY, 0)
}

/// A connection with keep-alive.
struct Client(http1::SendRequest<Full<Bytes>>);

impl Client {
    async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        let (client, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(client)
    }

    async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, HeaderMap, Bytes), hyper::Error> {
        self.0.ready().await?;
        let answer = self.0.send_request(request).await?;
        let (head, body) = answer.into_parts();
        Ok((head.status, head.headers, body.collect().await?.to_bytes()))
    }

    async fn status(&mut self, request: Request<Full<Bytes>>) -> u16 {
        self.send(request).await.unwrap().0.as_u16()
    }
}
