//! The receiver's port: connections leave it while it is open; closed, it refuses them and still keeps its number.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    time,
};

use super::{Availability, Behaviour, serve::BindError};

/// How many connections may wait to be accepted; the system's own limit is often lower.
const BACKLOG: u32 = 1_024;
/// The pause after a failed accept, which is mostly a lack of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The pause before a port that is still taken is asked for again.
const SWING_PAUSE: Duration = Duration::from_millis(20);
/// How often it is asked for: 5 s in all, far longer than a process takes to start.
const SWINGS_MAX: u32 = 250;

/// A port, listening or not.
pub(crate) struct Door {
    addr: SocketAddr,
    listener: Option<TcpListener>,
    /// Bound and not listening while the door is closed: the system refuses connections and gives the port to nobody.
    keeper: Option<TcpSocket>,
}

impl Door {
    /// Opens the door at `addr`; port 0 lets the system choose.
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

    /// The next connection, as long as the behaviour has the door open. Cancelling loses no connection.
    pub(crate) async fn next(
        &mut self,
        behaviour: &mut watch::Receiver<Arc<Behaviour>>,
    ) -> Result<TcpStream, BindError> {
        loop {
            let refusing = behaviour.borrow_and_update().availability == Availability::Refusing;
            self.swing_in_time(refusing).await.map_err(|source| BindError { addr: self.addr, source })?;
            tokio::select! {
                // the control may be gone: then nothing changes any more
                changed = behaviour.changed() => if changed.is_err() { std::future::pending::<()>().await },
                stream = accept(self.listener.as_ref()) => return Ok(stream),
            }
        }
    }

    /// Swings, and tries again for a while if the port is still taken: a child process that is just being started has
    /// a copy of the listener until its own program begins.
    async fn swing_in_time(&mut self, close: bool) -> io::Result<()> {
        for _ in 1..SWINGS_MAX {
            match self.swing(close) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => time::sleep(SWING_PAUSE).await,
                swung => return swung,
            }
        }
        self.swing(close)
    }

    fn swing(&mut self, close: bool) -> io::Result<()> {
        if close && self.keeper.is_none() {
            drop(self.listener.take());
            self.keeper = Some(bind(self.addr)?);
        } else if !close && self.listener.is_none() {
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
        let mut door = Door::open(([127, 0, 0, 1], 0).into()).unwrap();
        let addr = door.addr();
        let copy = door.listener.as_ref().unwrap().as_fd().try_clone_to_owned().unwrap();
        let (steer, mut behaviour) = watch::channel(Arc::new(Behaviour {
            availability: Availability::Refusing,
            ..Behaviour::default()
        }));
        let door = tokio::spawn(async move { door.next(&mut behaviour).await.map(drop) });
        time::sleep(2 * SWING_PAUSE).await;
        drop(copy);
        while TcpStream::connect(addr).await.is_ok() {
            time::sleep(SWING_PAUSE).await;
        }
        steer.send_replace(Arc::default());
        while TcpStream::connect(addr).await.is_err() {
            assert!(!door.is_finished(), "{:?}", door.await);
            time::sleep(SWING_PAUSE).await;
        }
        door.await.unwrap().unwrap();
    }
}
