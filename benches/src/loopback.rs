//! Receivers on loopback: one in a thread of its own that speaks all of HTTP, and one that only knows where a request
//! ends, as near to no receiver as a client can be given.

use std::{net::SocketAddr, sync::mpsc::sync_channel, thread, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};

use crate::{lean, must};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A runtime as a shard has it: one thread, the caller's.
#[must_use]
pub fn runtime() -> Runtime {
    must(Builder::new_current_thread().enable_all().build())
}

/// Starts the hyper receiver in a thread of its own, where it answers for as long as the process lives.
#[must_use]
pub fn receiver_in_a_thread() -> SocketAddr {
    let (sender, address) = sync_channel(1);
    let serve = move || {
        runtime().block_on(async {
            let listener = must(lean::listen(0).await);
            must(sender.send(must(listener.local_addr())));
            must(lean::serve(listener, Duration::ZERO).await);
        });
    };
    // Nobody joins it: it ends with the process.
    let _runs = must(thread::Builder::new().name("receiver".to_owned()).spawn(serve));
    must(address.recv())
}

/// Starts the stub on `runtime`, where it answers while something else is awaited there.
#[must_use]
pub fn stub_on(runtime: &Runtime) -> SocketAddr {
    let listener = must(runtime.block_on(lean::listen(0)));
    let address = must(listener.local_addr());
    runtime.spawn(accept(listener));
    address
}

async fn accept(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        // A connection that breaks ends itself and nothing else.
        tokio::spawn(async move { answer(stream).await.is_ok() });
    }
}

/// Answers every request of a connection once its last byte is there.
async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(8_192);
    loop {
        while let Some(length) = request(&buffer) {
            buffer.drain(..length);
            stream.write_all(ANSWER).await?;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// The length of the request that the bytes begin with, if all of it is there.
fn request(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let mut lines = bytes[..head].split(|byte| *byte == b'\n');
    let length = lines.find_map(|line| {
        let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = head + length.unwrap_or(0);
    (bytes.len() >= whole).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_where_its_length_says() {
        let one = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(request(&one[..one.len() - 1]), None, "its body is not all there");
        assert_eq!(request(&one[..20]), None, "its head is not all there");
        let two = [&one[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
        assert_eq!(
            (request(&two), request(&two[one.len()..])),
            (Some(one.len()), Some(two.len() - one.len()))
        );
    }
}
