//! A receiver that takes some posts and refuses others, each by a rule of its own: posts enter, what was taken leaves in
//! its order. For what a [`Fleet`](crate::Fleet) cannot be told: to answer by what is in a post.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use parking_lot::{Condvar, Mutex};

use crate::runtime::PATIENCE;

/// What comes of a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This status.
    Status(u16),
    /// This status, and a `Retry-After` of so many seconds.
    After(u16, u64),
    /// 200 and a body that never ends.
    HangingBody,
    /// Nothing, ever.
    Nothing,
    /// The connection is closed.
    Cut,
}

/// The answer to a post with this body.
type Rule = dyn Fn(&str) -> Answer + Send + Sync;

/// A receiver on a free port of this machine; it goes on until the test's process ends.
#[derive(Clone)]
pub struct Picky {
    url: String,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    taken: Mutex<Vec<String>>,
    posts: Mutex<Vec<String>>,
    more: Condvar,
}

impl Picky {
    /// Starts one that answers by `rule`.
    ///
    /// # Panics
    /// If there is no free port.
    #[must_use]
    pub fn start(rule: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let picky = Self { url, seen: Arc::default() };
        let (seen, rule): (_, Arc<Rule>) = (picky.seen.clone(), Arc::new(rule));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, rule) = (seen.clone(), rule.clone());
                // A client that goes away in the middle has not posted.
                thread::spawn(move || serve(stream, &seen, &*rule).unwrap_or_default());
            }
        });
        picky
    }

    /// Its address, without a path.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The bodies of all posts so far, in their order.
    #[must_use]
    pub fn posts(&self) -> Vec<String> {
        self.seen.posts.lock().clone()
    }

    /// The bodies of those that were taken, each once.
    #[must_use]
    pub fn taken(&self) -> Vec<String> {
        self.seen.taken.lock().clone()
    }

    /// Waits until so many have been taken, repeats not counted; false if they are not for as long as anything may take.
    #[must_use]
    pub fn wait_for(&self, count: usize) -> bool {
        let mut taken = self.seen.taken.lock();
        while taken.len() < count {
            if self.seen.more.wait_for(&mut taken, PATIENCE).timed_out() {
                return false;
            }
        }
        true
    }
}

fn serve(stream: TcpStream, seen: &Seen, rule: &Rule) -> std::io::Result<()> {
    let (mut reader, mut writer) = (BufReader::new(stream.try_clone()?), stream);
    loop {
        let (mut length, mut line) = (0, String::new());
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body = String::from_utf8_lossy(&body).into_owned();
        seen.posts.lock().push(body.clone());
        let head = |status: u16| format!("HTTP/1.1 {status} answer\r\n");
        match rule(&body) {
            Answer::Status(status) => {
                if (200..300).contains(&status) {
                    let mut taken = seen.taken.lock();
                    if !taken.contains(&body) {
                        taken.push(body);
                    }
                    seen.more.notify_all();
                }
                write!(writer, "{}content-length: 0\r\n\r\n", head(status))?;
            }
            Answer::After(status, seconds) => {
                write!(writer, "{}retry-after: {seconds}\r\ncontent-length: 0\r\n\r\n", head(status))?;
            }
            Answer::HangingBody => {
                write!(writer, "{}content-length: 9\r\n\r\n", head(200))?;
                return until_given_up(&mut reader);
            }
            Answer::Nothing => return until_given_up(&mut reader),
            Answer::Cut => return writer.shutdown(Shutdown::Both),
        }
    }
}

/// Returns once the sender has closed the connection.
fn until_given_up(reader: &mut impl Read) -> std::io::Result<()> {
    reader.read(&mut [0]).map(drop)
}
