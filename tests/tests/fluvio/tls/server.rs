//! A server that does a TLS handshake and then closes the connection.

use std::{
    io::{self, Read},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use rustls::{
    RootCertStore, ServerConfig, ServerConnection,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tests::{Authority, Signed};

/// Starts one whose certificate is `signed`; with `clients`, only for those whom that authority knows. It runs until the
/// tests end.
pub(super) fn start(signed: &Signed, clients: Option<&Authority>) -> String {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let certificate = CertificateDer::from_pem_slice(signed.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).unwrap();
    let config = Arc::new(builder.with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            let config = Arc::clone(&config);
            thread::spawn(move || greet(tcp, config));
        }
    });
    addr
}

fn greet(mut tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<()> {
    let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let shaken = connection.complete_io(&mut tcp);
    if shaken.is_ok() {
        connection.send_close_notify();
    }
    // The alert, if the handshake has failed.
    while connection.wants_write() {
        connection.write_tls(&mut tcp)?;
    }
    tcp.shutdown(std::net::Shutdown::Write)?;
    // What is left unread would make the system reset the connection, and the alert could be lost.
    let mut rest = [0; 1024];
    while tcp.read(&mut rest)? > 0 {}
    Ok(())
}
