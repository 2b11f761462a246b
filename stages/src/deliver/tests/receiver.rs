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
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa,
    KeyPair,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
    server::TlsStream,
};

use crate::{HttpOptions, testing::http_options};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(in crate::deliver) struct Seen {
    pub(in crate::deliver) version: Version,
    pub(in crate::deliver) target: String,
    pub(in crate::deliver) headers: HeaderMap,
    pub(in crate::deliver) body: Bytes,
}

/// A receiver that remembers its requests.
#[derive(Clone)]
pub(in crate::deliver) struct Receiver {
    pub(in crate::deliver) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
}

impl Receiver {
    /// Answers every request with what `answer` gives, over plain TCP on `127.0.0.1`.
    pub(in crate::deliver) async fn start(
        answer: impl Fn() -> Response<&'static str> + Send + Sync + 'static,
    ) -> Self {
        Self::bound("127.0.0.1:0", None, answer).await
    }

    /// The same on a given address.
    pub(in crate::deliver) async fn start_on(
        address: &str,
        answer: impl Fn() -> Response<&'static str> + Send + Sync + 'static,
    ) -> Self {
        Self::bound(address, None, answer).await
    }

    /// Answers 200 over TLS, and speaks HTTP/2 where ALPN settles on it.
    pub(in crate::deliver) async fn start_tls(authority: &Authority, alpn: &[&str]) -> Self {
        let tls = TlsAcceptor::from(Arc::new(authority.server_config(alpn)));
        Self::bound("127.0.0.1:0", Some(tls), || Response::new("")).await
    }

    /// Answers 200 over TLS with a certificate for `tms.example` that it has signed itself, in PEM.
    pub(super) async fn start_self_signed(is_ca: bool) -> (Self, Vec<u8>) {
        let mut params = named("tms");
        params.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let tls = TlsAcceptor::from(Arc::new(server_config(&certificate, &key, &["http/1.1"])));
        let receiver = Self::bound("127.0.0.1:0", Some(tls), || Response::new("")).await;
        (receiver, certificate.pem().into_bytes())
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
    pub(in crate::deliver) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// How many connections were opened so far.
    pub(in crate::deliver) fn connections(&self) -> usize {
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
pub(in crate::deliver) async fn raw<F: Future<Output = ()> + Send>(
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

/// The same over TLS, where ALPN settles on HTTP/2.
pub(in crate::deliver) async fn raw_http2<F: Future<Output = ()> + Send>(
    authority: &Authority,
    handle: impl Fn(TlsStream<TcpStream>) -> F + Send + Sync + Copy + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = TlsAcceptor::from(Arc::new(authority.server_config(&["h2"])));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let tls = tls.clone();
            tokio::spawn(async move { handle(tls.accept(stream).await.unwrap()).await });
        }
    });
    address
}

/// Reads one request whose body ends with `}`.
pub(in crate::deliver) async fn read_request(stream: &mut TcpStream) {
    while stream.read_u8().await.unwrap() != b'}' {}
}

/// Options that trust this authority.
pub(in crate::deliver) fn trusting(authority: &Authority) -> HttpOptions {
    HttpOptions { extra_ca_pem: vec![authority.pem()], ..http_options() }
}

/// A certificate authority made for one test, and what it certifies `tms.example` with.
pub(in crate::deliver) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(in crate::deliver) fn new() -> Self {
        let mut params = named("authority");
        params.subject_alt_names = Vec::new();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(in crate::deliver) fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    fn server_config(&self, alpn: &[&str]) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let certificate = named("tms").signed_by(&key, &self.0).unwrap();
        server_config(&certificate, &key, alpn)
    }
}

/// What a certificate of this name for `tms.example` says.
fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["tms.example".to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn server_config(certificate: &Certificate, key: &KeyPair, alpn: &[&str]) -> ServerConfig {
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
