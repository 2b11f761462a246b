//! Receivers on real sockets of this machine: one that speaks HTTP with hyper, one that writes what a test tells it to.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) version: Version,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A receiver that remembers its requests.
#[derive(Clone)]
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
}

impl Receiver {
    /// Answers every request with what `answer` gives, over plain TCP on `127.0.0.1`.
    pub(super) async fn start(answer: impl Fn() -> Response<&'static str> + Send + Sync + 'static) -> Self {
        Self::bound("127.0.0.1:0", None, answer).await
    }

    /// The same on a given address.
    pub(super) async fn start_on(
        address: &str,
        answer: impl Fn() -> Response<&'static str> + Send + Sync + 'static,
    ) -> Self {
        Self::bound(address, None, answer).await
    }

    /// Answers 200 over TLS, and speaks HTTP/2 where ALPN settles on it.
    pub(super) async fn start_tls(authority: &Authority, alpn: &[&str]) -> Self {
        let tls = TlsAcceptor::from(Arc::new(authority.server_config(alpn)));
        Self::bound("127.0.0.1:0", Some(tls), || Response::new("")).await
    }

    async fn bound(
        address: &str,
        tls: Option<TlsAcceptor>,
        answer: impl Fn() -> Response<&'static str> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            connections: Arc::default(),
        };
        let (seen, answer) = (receiver.seen.clone(), Arc::new(answer));
        let connections = receiver.connections.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::Relaxed);
                let (seen, answer, tls) = (seen.clone(), answer.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, false, seen, answer).await,
                        Some(tls) => {
                            // A client that does not trust us ends the handshake.
                            let Ok(stream) = tls.accept(stream).await else { return };
                            let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                            serve(stream, is_h2, seen, answer).await;
                        }
                    }
                });
            }
        });
        receiver
    }

    /// What has arrived so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// How many connections were opened so far.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    is_h2: bool,
    seen: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<impl Fn() -> Response<&'static str> + Send + Sync + 'static>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let (seen, answer) = (seen.clone(), answer.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let (version, target) = (head.version, head.uri.to_string());
            seen.lock().push(Seen { version, target, headers: head.headers, body });
            Ok::<_, hyper::Error>(answer().map(|text| Full::new(Bytes::from_static(text.as_bytes()))))
        }
    });
    let io = TokioIo::new(stream);
    // How a connection ends is the client's to judge.
    if is_h2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(io, service)
            .await
            .ok();
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await.ok();
    }
}

/// A receiver that hands each connection to `handle` and remembers nothing.
pub(super) async fn raw<F: Future<Output = ()> + Send>(
    handle: impl Fn(TcpStream) -> F + Send + Sync + Copy + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move { handle(stream).await });
        }
    });
    address
}

/// Reads one request whose body ends with `}`.
pub(super) async fn read_request(stream: &mut TcpStream) {
    while stream.read_u8().await.unwrap() != b'}' {}
}

/// A certificate authority made for one test, and what it certifies `tms.example` with.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    fn server_config(&self, alpn: &[&str]) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["tms.example".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}
