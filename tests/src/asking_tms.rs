//! A TMS that asks for more than a signed POST: it keeps each request whole, answers as it is told, and may want TLS with a
//! client's certificate.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::{authority::Authority, runtime::runtime};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The number of its connection, from 1.
    pub connection: usize,
    /// The client's certificate, in DER, if one was shown.
    pub client: Option<Vec<u8>>,
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Reply {
    /// A status and nothing else.
    #[must_use]
    pub fn of(status: u16) -> Self {
        Self { status, body: String::new() }
    }
}

/// A TMS that keeps what it is asked.
pub struct AskingTms {
    address: SocketAddr,
    /// For connections that come; none for plain TCP.
    tls: Arc<Mutex<Option<TlsAcceptor>>>,
    connections: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Request>>>,
}

/// A connection, by its number, and who is at its other end.
#[derive(Clone)]
struct Peer {
    connection: usize,
    client: Option<Vec<u8>>,
}

type Rule = dyn Fn(&Request) -> Reply + Send + Sync;

impl AskingTms {
    /// One that answers by `rule`, over plain TCP on this machine.
    pub fn start(rule: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::bound(None, Arc::new(rule))
    }

    /// The same over TLS, with a certificate of `authority`; it takes only clients with one of that authority if
    /// `asks_client`.
    pub fn start_tls(
        authority: &Authority,
        asks_client: bool,
        rule: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let clients = if asks_client { vec![authority] } else { Vec::new() };
        Self::bound(Some(server_config(authority, &clients)), Arc::new(rule))
    }

    /// From the next connection on its certificate is one of `authority`; if there are `clients`, it takes only those with
    /// a certificate of one of these authorities.
    pub fn present(&self, authority: &Authority, clients: &[&Authority]) {
        *self.tls.lock() = Some(TlsAcceptor::from(Arc::new(server_config(authority, clients))));
    }

    fn bound(tls: Option<ServerConfig>, rule: Arc<Rule>) -> Self {
        let listener = runtime().block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let tls = Arc::new(Mutex::new(tls.map(|config| TlsAcceptor::from(Arc::new(config)))));
        let tms = Self { address, tls, connections: Arc::default(), seen: Arc::default() };
        let (tls, connections, keeps) = (tms.tls.clone(), tms.connections.clone(), tms.seen.clone());
        runtime().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, rule, keeps) = (tls.lock().clone(), rule.clone(), keeps.clone());
                let connection = connections.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, Peer { connection, client: None }, rule, keeps).await,
                        Some(tls) => {
                            // A client without the certificate is not served.
                            let Ok(stream) = tls.accept(stream).await else { return };
                            let shown = stream.get_ref().1.peer_certificates();
                            let client = shown.and_then(|chain| chain.first()).map(|der| der.to_vec());
                            serve(stream, Peer { connection, client }, rule, keeps).await;
                        }
                    }
                });
            }
        });
        tms
    }

    /// How many connections there were so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many of the requests so far are of this kind.
    #[must_use]
    pub fn count(&self, which: impl Fn(&Request) -> bool) -> usize {
        self.seen.lock().iter().filter(|request| which(request)).count()
    }

    /// Its origin, such as `http://127.0.0.1:4321`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.tls.lock().is_some() { "https" } else { "http" }, self.address)
    }

    /// What it was asked so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().clone()
    }

    /// The only request so far.
    ///
    /// # Panics
    /// If there are none or several.
    #[must_use]
    pub fn only(&self) -> Request {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    rule: Arc<Rule>,
    keeps: Arc<Mutex<Vec<Request>>>,
) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (rule, keeps, peer) = (rule.clone(), keeps.clone(), peer.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let target = head.uri.path_and_query().map_or_else(String::new, ToString::to_string);
            let Peer { connection, client } = peer;
            let request =
                Request { method: head.method, target, headers: head.headers, body, connection, client };
            let Reply { status, body } = rule(&request);
            keeps.lock().push(request);
            let answer = Response::builder().status(status).body(Full::new(Bytes::from(body)));
            Ok::<_, hyper::Error>(answer.expect("a status"))
        }
    });
    // How a connection ends is the client's to judge.
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
}

fn server_config(authority: &Authority, clients: &[&Authority]) -> ServerConfig {
    let signed = authority.server(&["127.0.0.1", "localhost"]);
    let certificate = CertificateDer::from_pem_slice(signed.certificate.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).expect("a key");
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let config = config.expect("protocols");
    let config = if clients.is_empty() {
        config.with_no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        for authority in clients {
            let root = CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("a certificate");
            roots.add(root).expect("an authority");
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        config.with_client_cert_verifier(verifier.expect("a verifier"))
    };
    config.with_single_cert(vec![certificate], key).expect("a pair")
}
