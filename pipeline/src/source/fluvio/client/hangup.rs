//! Ends a connection for certain: a connection enters when it is made, and is shut down when this is dropped.
//!
//! The client closes a connection by waking the task that reads from it. A task that is busy at that moment misses it,
//! waits for ever and keeps the connection; on a machine under load that was one in several. Whoever asks a cluster again
//! and again that is away would run out of descriptors.

use std::{net::Shutdown, sync::Arc};

use fluvio_future::net::TcpStream;
use parking_lot::Mutex;

/// The latest connection that was made for its owner.
#[derive(Debug, Default)]
pub(super) struct HangUp {
    made: Made,
}

/// Where a connector leaves the connection it has made.
#[derive(Clone, Debug, Default)]
pub(super) struct Made(Arc<Mutex<Option<TcpStream>>>);

impl HangUp {
    /// For the connector.
    pub(super) fn made(&self) -> Made {
        self.made.clone()
    }
}

impl Made {
    pub(super) fn put(&self, tcp: &TcpStream) {
        *self.0.lock() = Some(tcp.clone());
    }
}

impl Drop for HangUp {
    fn drop(&mut self) {
        if let Some(tcp) = self.made.0.lock().take() {
            // It may be closed already. A task that still reads finds the end.
            let _closed = tcp.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fluvio_future::net::TcpDomainConnector;
    use tokio::{io::AsyncReadExt, net::TcpListener, time::timeout};

    use super::{super::connector::Connector, *};

    #[tokio::test]
    async fn a_connection_that_somebody_still_holds_ends_with_its_owner() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let hang_up = HangUp::default();
        let connector = Connector::new(None).unwrap().leaving(hang_up.made());
        let held = connector.new_domain("spu.fluvio.test".to_owned()).connect(&addr).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        drop(hang_up);
        let mut rest = [0];
        let ended = timeout(Duration::from_secs(20), peer.read(&mut rest)).await;
        assert_eq!(ended.expect("the peer sees the end").unwrap(), 0);
        drop(held);
    }
}
