//! Shuts a connection down when this is dropped.
//!
//! Fluvio's client closes a connection by waking the task that reads from it. A task that is busy at that moment
//! misses the wake-up, waits for ever and keeps the connection; under load that happened to one in several. Retrying
//! an unreachable cluster would use up the file descriptors.

use std::{net::Shutdown, sync::Arc};

use fluvio_future::net::TcpStream;
use parking_lot::Mutex;

/// The latest connection of its owner.
#[derive(Debug, Default)]
pub(super) struct CloseOnDrop {
    made: ConnectionSlot,
}

/// Where a connector stores its latest connection.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionSlot(Arc<Mutex<Option<TcpStream>>>);

impl CloseOnDrop {
    /// For the connector.
    pub(super) fn made(&self) -> ConnectionSlot {
        self.made.clone()
    }
}

impl ConnectionSlot {
    pub(super) fn put(&self, tcp: &TcpStream) {
        *self.0.lock() = Some(tcp.clone());
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Some(tcp) = self.made.0.lock().take() {
            // It may be closed already. A task that still reads gets the end.
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
        let hang_up = CloseOnDrop::default();
        let connector = Connector::new(None).unwrap().storing_in(hang_up.made());
        let held = connector.new_domain("spu.fluvio.test".to_owned()).connect(&addr).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        drop(hang_up);
        let mut rest = [0];
        let ended = timeout(Duration::from_secs(20), peer.read(&mut rest)).await;
        assert_eq!(ended.expect("the peer sees the end").unwrap(), 0);
        drop(held);
    }
}
