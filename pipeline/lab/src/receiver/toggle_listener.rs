//! The receiver's port: open, it accepts connections; closed, it refuses them and still keeps its number.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    time,
};

use super::{Availability, Behaviour};

/// How many connections may wait to be accepted; the system's own limit is often lower.
const BACKLOG: u32 = 1_024;
/// The pause after a failed accept, which is mostly a lack of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The pause before a port that is still taken is asked for again.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// How often it is asked for: 5 s in all, far longer than a process takes to start.
const RETRIES_MAX: u32 = 250;

/// A port, listening or not.
pub(crate) struct ToggleListener {
    addr: SocketAddr,
    listener: Option<TcpListener>,
    /// Bound and not listening while the port is closed: the system refuses connections and gives the port to nobody.
    keeper: Option<TcpSocket>,
}

/// The receiver cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr}: {source}; choose another address, or port 0 for any free one")]
pub struct BindError {
    /// The address.
    pub addr: SocketAddr,
    /// The system's words.
    pub source: io::Error,
}

impl ToggleListener {
    /// Listens at `addr`; port 0 lets the system choose.
    pub(crate) fn open(addr: SocketAddr) -> Result<Self, BindError> {
        let listen = || {
            let listener = bind(addr)?.listen(BACKLOG)?;
            Ok((listener.local_addr()?, listener))
        };
        let (addr, listener) = listen().map_err(|source| BindError { addr, source })?;
        Ok(Self { addr, listener: Some(listener), keeper: None })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The next connection, as long as the behaviour has the port open. Cancelling loses no connection.
    pub(crate) async fn next(
        &mut self,
        behaviour: &mut watch::Receiver<Arc<Behaviour>>,
    ) -> Result<TcpStream, BindError> {
        loop {
            let open = behaviour.borrow_and_update().availability != Availability::Refusing;
            self.set_open_in_time(open).await.map_err(|source| BindError { addr: self.addr, source })?;
            tokio::select! {
                // the control may be gone: then nothing changes any more
                changed = behaviour.changed() => if changed.is_err() { std::future::pending::<()>().await },
                stream = accept(self.listener.as_ref()) => return Ok(stream),
            }
        }
    }

    /// Opens or closes, and tries again for a while if the port is still taken: a child process that is just being started has
    /// a copy of the listener until its own program begins.
    async fn set_open_in_time(&mut self, open: bool) -> io::Result<()> {
        for _ in 1..RETRIES_MAX {
            match self.set_open(open) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => time::sleep(RETRY_PAUSE).await,
                done => return done,
            }
        }
        self.set_open(open)
    }

    fn set_open(&mut self, open: bool) -> io::Result<()> {
        if !open && self.keeper.is_none() {
            drop(self.listener.take());
            self.keeper = Some(bind(self.addr)?);
        } else if open && self.listener.is_none() {
            let keeper = self.keeper.take().map_or_else(|| bind(self.addr), Ok)?;
            self.listener = Some(keeper.listen(BACKLOG)?);
        }
        Ok(())
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "the receiver could not accept a connection");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // connections of a moment ago must not keep the port
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[tokio::test]
    async fn a_copy_of_the_listener_that_lives_a_moment_longer_does_not_cost_the_port() {
        let mut listener = ToggleListener::open(([127, 0, 0, 1], 0).into()).unwrap();
        let addr = listener.addr();
        let copy = listener.listener.as_ref().unwrap().as_fd().try_clone_to_owned().unwrap();
        let (steer, mut behaviour) = watch::channel(Arc::new(Behaviour {
            availability: Availability::Refusing,
            ..Behaviour::default()
        }));
        let listener = tokio::spawn(async move { listener.next(&mut behaviour).await.map(drop) });
        time::sleep(2 * RETRY_PAUSE).await;
        drop(copy);
        while TcpStream::connect(addr).await.is_ok() {
            time::sleep(RETRY_PAUSE).await;
        }
        steer.send_replace(Arc::default());
        while TcpStream::connect(addr).await.is_err() {
            assert!(!listener.is_finished(), "{:?}", listener.await);
            time::sleep(RETRY_PAUSE).await;
        }
        listener.await.unwrap().unwrap();
    }
}
