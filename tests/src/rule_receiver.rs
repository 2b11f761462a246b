//! A receiver that answers by a rule of the scenario's own and keeps all posts in order. It does what a
//! [`Fleet`](crate::Fleet) does not: it answers by what is in a post, and shows all headers. It checks no signatures, and
//! takes what is no webhook as well.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use bytes::Bytes;
use lab::receiver::{self, Behaviour, Keys, Receiver, Recorder, RuleAnswer, Running, Taken};
use parking_lot::{Condvar, Mutex};
use reqwest::{StatusCode, header::HeaderMap};

use crate::runtime::{PATIENCE, runtime};

/// A receiver on a free port of this machine; it goes on until its last clone is dropped.
#[derive(Clone, Debug)]
pub struct RuleReceiver {
    running: Arc<Running>,
    log: Arc<PostLog>,
}

/// A receiver that answers every post with the status it is given.
#[derive(Debug)]
pub struct FixedReceiver {
    receiver: RuleReceiver,
    status: Arc<AtomicU16>,
}

/// One post.
#[derive(Clone, Debug)]
pub struct Post {
    /// The path it was posted to.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// What it was answered; none if it was left without an answer.
    pub status: Option<u16>,
}

#[derive(Debug, Default)]
struct PostLog {
    posts: Mutex<Vec<Post>>,
    taken: Mutex<Vec<String>>,
    more: Condvar,
}

impl Recorder for PostLog {
    fn taken(&self, taken: &Taken<'_>) {
        let body = text(taken.body);
        let mut all = self.taken.lock();
        if !all.contains(&body) {
            all.push(body);
        }
        self.more.notify_all();
    }

    fn posted(&self, post: receiver::Post<'_>, status: Option<StatusCode>) {
        let (path, headers) = (post.head.uri.path().to_owned(), post.head.headers.clone());
        let status = status.map(|status| status.as_u16());
        self.posts.lock().push(Post { path, headers, body: post.body.clone(), status });
    }
}

impl RuleReceiver {
    /// Starts one that answers by `rule`, a function of the body.
    ///
    /// # Panics
    /// If there is no free port.
    #[must_use]
    pub fn start(rule: impl Fn(&str) -> RuleAnswer + Send + Sync + 'static) -> Self {
        let log = Arc::new(PostLog::default());
        let _context = runtime().enter();
        let running = Receiver::bind(([127, 0, 0, 1], 0).into(), Behaviour::default(), Keys::unchecked())
            .expect("a free port")
            .with_ids_optional()
            .with_recorder(log.clone())
            .with_rule(Arc::new(move |post| rule(&text(post.body))))
            .spawn();
        Self { running: Arc::new(running), log }
    }

    /// Its address, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.running.addr())
    }

    /// All posts so far, in their order.
    #[must_use]
    pub fn posts(&self) -> Vec<Post> {
        self.log.posts.lock().clone()
    }

    /// Their bodies.
    #[must_use]
    pub fn bodies(&self) -> Vec<String> {
        self.log.posts.lock().iter().map(|post| text(&post.body)).collect()
    }

    /// The bodies of those that were taken, each once.
    #[must_use]
    pub fn taken(&self) -> Vec<String> {
        self.log.taken.lock().clone()
    }

    /// Waits until so many have been taken, repeats not counted; false if they are not for as long as anything may take.
    #[must_use]
    pub fn wait_for(&self, count: usize) -> bool {
        let mut taken = self.log.taken.lock();
        while taken.len() < count {
            if self.log.more.wait_for(&mut taken, PATIENCE).timed_out() {
                return false;
            }
        }
        true
    }
}

impl FixedReceiver {
    /// Starts one that answers `status`.
    #[must_use]
    pub fn start(status: u16) -> Self {
        let status = Arc::new(AtomicU16::new(status));
        let now = status.clone();
        let receiver = RuleReceiver::start(move |_| RuleAnswer::Status(now.load(Ordering::SeqCst)));
        Self { receiver, status }
    }

    /// Its address, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        self.receiver.url()
    }

    /// Answers with another status from now on.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// What has been posted so far.
    #[must_use]
    pub fn posts(&self) -> Vec<Post> {
        self.receiver.posts()
    }
}

impl Post {
    /// A header's value, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn text(body: &Bytes) -> String {
    String::from_utf8_lossy(body).into_owned()
}
