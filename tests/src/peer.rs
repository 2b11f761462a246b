//! An HTTP server that takes every post and looks into none: requests enter, their heads and bodies leave as they came.
//! For what a [`Fleet`](crate::Fleet) does not look at: further headers, and posts that are not a webhook's.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    thread,
};

use parking_lot::Mutex;

/// A server on a free port of this machine; it goes on until the test's process ends.
#[derive(Debug)]
pub struct Peer {
    url: String,
    status: Arc<AtomicU16>,
    posts: Arc<Mutex<Vec<Post>>>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Post {
    /// The request line and the headers.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
    /// What it was answered.
    pub status: u16,
}

impl Peer {
    /// Starts one that answers `status`.
    #[must_use]
    pub fn start(status: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let peer = Self { url, status: Arc::new(AtomicU16::new(status)), posts: Arc::default() };
        let (status, posts) = (peer.status.clone(), peer.posts.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (status, posts) = (status.clone(), posts.clone());
                // A client that goes away in the middle has not posted.
                thread::spawn(move || serve(stream, &status, &posts).unwrap_or_default());
            }
        });
        peer
    }

    /// Its address, without a path.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers with another status from now on.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// What has been posted so far.
    #[must_use]
    pub fn posts(&self) -> Vec<Post> {
        self.posts.lock().clone()
    }
}

impl Post {
    /// A header's value, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(':'));
        headers.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

fn serve(stream: TcpStream, status: &AtomicU16, posts: &Mutex<Vec<Post>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let mut post = Post { head, body: Vec::new(), status: status.load(Ordering::SeqCst) };
        let length = post.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        post.body = vec![0; length];
        reader.read_exact(&mut post.body)?;
        let answer = format!("HTTP/1.1 {} answer\r\ncontent-length: 0\r\n\r\n", post.status);
        posts.lock().push(post);
        writer.write_all(answer.as_bytes())?;
    }
}
