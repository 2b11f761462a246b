//! Turns the client's errors into [`ClusterFault`]s. The client wraps causes in messages that repeat or hide them, so
//! the message of the system or the TLS library inside is used.

use std::{error::Error, io};

use futures_rustls::rustls;
use stages::error_chain::sources;

use super::super::{partition::ClusterFault, tls::TlsFault};

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    /// Not at all.
    Plain,
    /// With TLS, without a client certificate.
    Anonymous,
    /// With TLS and a client certificate.
    Known,
}

impl Protection {
    /// What to check when a connection is closed before the first answer.
    fn hint(self) -> &'static str {
        match self {
            Self::Plain => "if this is a port with TLS, set source.tls",
            Self::Anonymous => {
                "if it asks for a certificate, set source.tls_cert_file and source.tls_key_file"
            }
            Self::Known => "it may not take the certificate in source.tls_cert_file",
        }
    }
}

/// The fault of a connection that worked.
pub(super) fn lost(who: String, error: &(dyn Error + 'static)) -> ClusterFault {
    let Some(cause) = cause(error) else {
        return ClusterFault::Unreachable { who, detail: error.to_string() };
    };
    match tls(cause) {
        Some(fault) => ClusterFault::Tls { who, fault },
        None => ClusterFault::Unreachable { who, detail: cause.to_string() },
    }
}

/// The fault of a connection that was closed before its first answer: usually the wrong protocol, or a missing
/// certificate.
pub(super) fn unopened(who: String, error: &(dyn Error + 'static), protection: Protection) -> ClusterFault {
    let is_refusal = |cause: &io::Error| {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, InvalidData, Other, UnexpectedEof};
        // The last two mean an answer of another protocol.
        matches!(cause.kind(), UnexpectedEof | ConnectionReset | BrokenPipe | InvalidData | Other)
    };
    match cause(error) {
        Some(cause) if tls(cause).is_none() && is_refusal(cause) => {
            ClusterFault::Unanswered { who, detail: cause.to_string(), hint: protection.hint() }
        }
        _ => lost(who, error),
    }
}

/// What the system said.
fn cause<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e io::Error> {
    sources(error).find_map(|source| source.downcast_ref())
}

fn tls(cause: &io::Error) -> Option<TlsFault> {
    let inner = cause.get_ref()?;
    let ours = inner.downcast_ref::<TlsFault>().cloned();
    ours.or_else(|| inner.downcast_ref::<rustls::Error>().map(TlsFault::from))
}

#[cfg(test)]
mod tests {
    use fluvio_socket::SocketError;

    use super::*;

    fn wrapped(source: io::Error) -> SocketError {
        SocketError::Io { source, msg: "next response".to_owned() }
    }

    #[test]
    fn what_the_system_says_is_said_once_and_a_refusal_to_connect_has_no_hint() {
        let refused = || wrapped(io::ErrorKind::ConnectionRefused.into());
        for fault in
            [lost("x".to_owned(), &refused()), unopened("x".to_owned(), &refused(), Protection::Plain)]
        {
            assert_eq!(fault.to_string(), "x cannot be reached: connection refused");
        }
        let stale = lost("x".to_owned(), &SocketError::SocketStale);
        assert_eq!(stale.to_string(), "x cannot be reached: Socket is stale");
    }

    #[test]
    fn a_connection_that_is_closed_before_its_first_answer_has_a_hint_and_a_later_one_has_none() {
        let closed = || wrapped(io::ErrorKind::ConnectionReset.into());
        for (protection, hint) in [
            (Protection::Plain, "source.tls"),
            (Protection::Anonymous, "set source.tls_cert_file"),
            (Protection::Known, "not take the certificate"),
        ] {
            let fault = unopened("x".to_owned(), &closed(), protection);
            assert!(fault.to_string().contains(hint), "{fault}");
        }
        assert!(matches!(lost("x".to_owned(), &closed()), ClusterFault::Unreachable { .. }));
    }

    #[test]
    fn an_error_of_the_tls_library_is_found_however_it_is_wrapped() {
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        let error = wrapped(io::Error::new(io::ErrorKind::InvalidData, alert));
        let fault = unopened("x".to_owned(), &error, Protection::Anonymous);
        assert_eq!(fault, ClusterFault::Tls { who: "x".to_owned(), fault: TlsFault::Anonymous });
        assert_eq!(lost("x".to_owned(), &error), fault);
    }
}
