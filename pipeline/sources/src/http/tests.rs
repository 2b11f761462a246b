//! Producers on real sockets: what each is told, and what the source gives of what they posted.

use std::{io::Write, time::Duration};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures::{FutureExt, StreamExt};
use serde_json::Value;
use state::{
    Checkpoint, CommitOptions, Durability, IntakeOptions, IntakePlace, Ledger, LedgerThread, Record, Store,
    StoreOptions,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};

use super::*;
use line::stop::{Level, Stopper, stop};

const TOKEN: &str = "0123456789abcdef";
const LIMITS: PostLimits = PostLimits {
    body_max: 4096,
    records_max: 8,
    record_max: 1024,
    body_timeout: Duration::from_secs(30),
    idle_timeout: Duration::from_secs(30),
    connections_max: 16,
    strangers_max: 4,
    strangers_timeout: Duration::from_secs(30),
};
const BOUNDS: IntakeOptions = IntakeOptions { backlog_max: 1_000, backlog_bytes_max: 1 << 20, retention: 0 };

/// A listener at work over a store of its own.
struct TestServer {
    ledger: Ledger,
    thread: LedgerThread,
    intake: EmbeddedLog,
    addr: std::net::SocketAddr,
    stopper: Stopper,
    end: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    dir: TempDir,
}

impl TestServer {
    async fn open() -> Self {
        Self::with(None, LIMITS, BOUNDS).await
    }

    async fn with(token: Option<Token>, limits: PostLimits, bounds: IntakeOptions) -> Self {
        Self::at(tempfile::tempdir().unwrap(), token, limits, bounds).await
    }

    async fn at(dir: TempDir, token: Option<Token>, limits: PostLimits, bounds: IntakeOptions) -> Self {
        let options = StoreOptions {
            durability: Durability::Process,
            dedupe_window: 3_600_000,
            cache: 16 << 20,
            clock: Clock::System,
        };
        let commits = CommitOptions { commit_max: 64, linger: Duration::from_millis(1), inbox_max: 100 };
        let (ledger, thread) = Ledger::start(Store::open(dir.path(), options).unwrap(), commits).unwrap();
        let intake = EmbeddedLog::new(&ledger, bounds);
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (addr, (stopper, stop), (end, ended)) = (listener.addr(), stop(), oneshot::channel());
        let serving = listener.serve(intake.clone(), token, limits, stop, async { drop(ended.await) });
        Self { ledger, thread, intake, addr, stopper, end, serving: tokio::spawn(serving), dir }
    }

    /// Ends everything; gives the directory back.
    async fn close(self) -> TempDir {
        drop(self.end);
        self.serving.await.unwrap();
        drop((self.ledger, self.intake));
        self.thread.join().unwrap();
        self.dir
    }

    async fn settle(&self, next: &Cursor) {
        let record = Record::Checkpoint(EmbeddedLog::SOURCE.into(), Checkpoint::from(next));
        let _proof = self.ledger.record(record).await.unwrap();
    }

    /// Posts `body` with these header lines.
    async fn post(&self, headers: &str, body: &[u8]) -> Told {
        let length = format!("content-length: {}\r\n{headers}", body.len());
        self.request(&format!("POST /events HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{length}\r\n"), body)
            .await
    }

    async fn request(&self, head: &str, body: &[u8]) -> Told {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        told(&mut stream).await.unwrap()
    }

    fn source(&self) -> impl Stream<Item = Result<SourceRecord, ReadFault>> + Send + use<> {
        HttpSource::new(self.intake.clone(), Clock::System).into_stream().boxed()
    }
}

/// An answer.
#[derive(Debug)]
struct Told {
    status: u16,
    head: String,
    body: Value,
}

/// The answer on a connection that is closed behind it; none if there is none.
async fn told(stream: &mut TcpStream) -> Option<Told> {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Told { status, head: head.to_ascii_lowercase(), body: serde_json::from_str(body).ok()? })
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn what_is_posted_is_told_its_offsets_and_comes_from_the_source_in_their_order() {
    let server = TestServer::open().await;
    let mut source = server.source();
    assert!(source.next().now_or_never().is_none(), "nothing has been posted");
    let one = server.post("content-type: application/json\r\n", b" {\"a\" : 1} \n").await;
    assert_eq!((one.status, one.body), (202, serde_json::json!({ "accepted": 1, "first": 0, "last": 0 })));
    let many = server.post("", b"[{\"b\":1},\n{\"c\": 2}]").await;
    assert_eq!(many.body, serde_json::json!({ "accepted": 2, "first": 1, "last": 2 }));
    let lines = gzip(b"{\"d\":1}\nnot json\n");
    let lines = server.post("content-type: application/x-ndjson\r\ncontent-encoding: gzip\r\n", &lines).await;
    assert_eq!((lines.status, lines.body["last"].as_u64()), (202, Some(4)));

    let expected = ["{\"a\" : 1}", "{\"b\":1}", "{\"c\": 2}", "{\"d\":1}", "not json"];
    for (offset, body) in expected.into_iter().enumerate() {
        let record = source.next().await.unwrap().unwrap();
        assert_eq!((&record.raw.bytes[..], record.raw.full_len), (body.as_bytes(), body.len() as u64));
        assert_eq!(record.raw.position.to_string(), format!("intake@0:{offset}"));
        assert_eq!(record.next.offset, offset as u64 + 1);
    }
    assert!(source.next().now_or_never().is_none(), "it has ended");
    drop(source);
    server.close().await;
}

#[tokio::test]
async fn the_source_resumes_behind_what_is_settled_also_in_another_run() {
    let server = TestServer::open().await;
    for body in ["1", "2", "3"] {
        assert_eq!(server.post("", body.as_bytes()).await.status, 202);
    }
    let second = server.source().skip(1).next().await.unwrap().unwrap();
    server.settle(&second.next).await;
    assert_eq!(server.source().next().await.unwrap().unwrap().raw.position.offset, 2);
    let server = TestServer::at(server.close().await, None, LIMITS, BOUNDS).await;
    let third = server.source().next().await.unwrap().unwrap();
    assert_eq!((third.raw.position.offset, &third.raw.bytes[..]), (2, &b"3"[..]));
    assert_eq!(server.post("", b"4").await.body["first"], 3);
    assert_eq!(IntakePlace::try_from(&Checkpoint::from(&third.next)).unwrap().bytes, 3 * 65);
    server.close().await;
}

#[tokio::test]
async fn a_request_that_is_not_a_good_post_is_told_why_and_nothing_of_it_is_kept() {
    let server = TestServer::open().await;
    let bomb = gzip(&vec![b' '; 1 << 20]);
    assert!(bomb.len() < LIMITS.body_max);
    let (long, large) = (format!("[1, \"{}\"]", "x".repeat(1024)), vec![b' '; 4097]);
    let cut = &gzip(b"{\"a\": 1}")[..20];
    let zipped = "content-encoding: gzip\r\n";
    let table: [(&str, &[u8], u16, &str); 11] = [
        ("", b"", 400, "no record"),
        ("", b"{\"a\": 1,\n}", 400, "line 2 column 1"),
        ("", b"1\n2\n3\n4\n5\n6\n7\n8\n9", 413, "more than 8 records"),
        ("", long.as_bytes(), 413, "record 2"),
        ("", &large, 413, "more than 4096 bytes"),
        (zipped, &bomb, 413, "more than 4096 bytes"),
        (zipped, b"{\"a\": 1}", 400, "not gzip"),
        (zipped, cut, 400, "not gzip"),
        ("content-encoding: br\r\n", b"{}", 415, "Content-Encoding"),
        ("content-encoding: gzip\r\ncontent-encoding: gzip\r\n", b"{}", 415, "Content-Encoding"),
        ("origin: https://a.example\r\n", b"{}", 403, "browser"),
    ];
    for (headers, body, status, why) in table {
        let told = server.post(headers, body).await;
        let error = told.body["error"].as_str().unwrap();
        assert!(told.status == status && error.contains(why), "{headers}{status} {why}: {told:?}");
    }
    let elsewhere = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n\r\n";
    assert_eq!(server.request(elsewhere, b"{}").await.status, 404);
    let told = server.request("GET /events HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", b"").await;
    assert!(told.status == 405 && told.head.contains("allow: post"), "{told:?}");
    let chunked =
        "POST /events HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunks = [b"1001\r\n", &[b' '; 4097][..], b"\r\n0\r\n\r\n"].concat();
    assert_eq!(server.request(chunked, &chunks).await.status, 413);
    assert_eq!(server.post("", b"{}").await.body["first"], 0, "something was kept");
    server.close().await;
}

#[tokio::test]
async fn without_the_token_nobody_posts() {
    let server = TestServer::with(Some(Token::new(TOKEN)), LIMITS, BOUNDS).await;
    for headers in ["", "authorization: Bearer 0123456789abcdee\r\n"] {
        let told = server.post(headers, b"{}").await;
        assert!(told.status == 401 && told.head.contains("www-authenticate: bearer"), "{told:?}");
    }
    let told = server.post(&format!("authorization: Bearer {TOKEN}\r\norigin: a\r\n"), b"{}").await;
    assert_eq!((told.status, told.body["first"].as_u64()), (202, Some(0)));
    server.close().await;
}

#[test]
fn where_there_are_few_descriptors_strangers_get_the_smaller_part_of_them() {
    let limits = PostLimits { connections_max: 256, strangers_max: 64, ..LIMITS };
    let within = |all: usize, token: bool| {
        let limits = limits.within(all, token);
        (limits.connections_max, limits.strangers_max)
    };
    assert_eq!(within(320, true), (256, 64));
    assert_eq!(within(100, true), (75, 25));
    assert_eq!(within(4, true), (3, 1));
    assert_eq!(within(100, false).0, 100);
}

#[tokio::test]
async fn who_has_no_token_learns_nothing_and_is_asked_for_it_before_the_body_is_read() {
    let server = TestServer::with(Some(Token::new(TOKEN)), LIMITS, BOUNDS).await;
    for request in ["GET / HTTP/1.1", "GET /events HTTP/1.1", "PUT /other HTTP/1.1"] {
        let told = server.request(&format!("{request}\r\nhost: a\r\n\r\n"), b"").await;
        assert!(told.status == 401 && told.head.contains("connection: close"), "{request}: {told:?}");
    }
    // More than a body may have, and none of it comes: the token is asked for all the same.
    let head = "POST /events HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 99999\r\n\r\n";
    assert_eq!(server.request(head, b"").await.status, 401);
    server.close().await;
}

#[tokio::test]
async fn a_producer_that_is_cut_off_slow_or_silent_leaves_nothing_and_holds_no_connection() {
    let limits = PostLimits {
        body_timeout: Duration::from_millis(50),
        idle_timeout: Duration::from_millis(200),
        connections_max: 1,
        ..LIMITS
    };
    let server = TestServer::with(None, limits, BOUNDS).await;
    let head = b"POST /events HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 20\r\n\r\n{\"a\": 1}\n{\"b\"";
    let mut cut = TcpStream::connect(server.addr).await.unwrap();
    cut.write_all(head).await.unwrap();
    drop(cut);
    let mut slow = TcpStream::connect(server.addr).await.unwrap();
    slow.write_all(head).await.unwrap();
    assert_eq!(told(&mut slow).await.unwrap().status, 408);
    for silent in [&b""[..], b"POST /events HTTP/1.1\r\nhost:"] {
        let mut silent_stream = TcpStream::connect(server.addr).await.unwrap();
        silent_stream.write_all(silent).await.unwrap();
        // One connection is all there is: this one has to be given up first.
        assert_eq!(server.post("", b"{}").await.status, 202);
    }
    assert_eq!(server.intake.read(0, u64::MAX).unwrap().len(), 2, "of the others something was kept");
    server.close().await;
}

#[tokio::test]
async fn a_full_backlog_is_told_when_to_come_again_and_takes_again_when_something_is_settled() {
    let bounds = IntakeOptions { backlog_max: 8, ..BOUNDS };
    let server = TestServer::with(None, LIMITS, bounds).await;
    assert_eq!(server.post("", b"[1,2,3,4,5]").await.status, 202);
    for _ in 0..2 {
        let told = server.post("", b"[6,7,8,9]").await;
        assert!(told.status == 503 && told.head.contains("retry-after: 1\r\n"), "{told:?}");
    }
    assert_eq!(server.post("", b"[6,7,8]").await.body["last"], 7);
    assert_eq!(server.post("", b"9").await.status, 503);
    let first = server.source().next().await.unwrap().unwrap();
    server.settle(&first.next).await;
    assert_eq!(server.post("", b"9").await.body["last"], 8);
    let dir = server.close().await;

    let never = IntakeOptions { backlog_bytes_max: 70, ..BOUNDS };
    let server = TestServer::at(tempfile::tempdir().unwrap(), None, LIMITS, never).await;
    assert_eq!(server.post("", b"[1,2]").await.status, 413, "an empty backlog would not have room");
    server.close().await;
    drop(dir);
}

#[tokio::test]
async fn a_line_that_stops_is_told_and_one_that_has_ended_leaves_no_commit_behind() {
    let server = TestServer::open().await;
    assert_eq!(server.post("", b"1").await.status, 202);
    server.stopper.ask(Level::Drain);
    let told = server.post("", b"2").await;
    assert!(told.status == 503 && told.head.contains("retry-after: 1"), "{told:?}");
    let mut idle = TcpStream::connect(server.addr).await.unwrap();
    let addr = server.addr;
    let dir = server.close().await;
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0, "an idle connection is closed");
    assert!(TcpStream::connect(addr).await.is_err(), "nobody listens any more");
    let server = TestServer::at(dir, None, LIMITS, BOUNDS).await;
    assert_eq!(server.intake.read(0, u64::MAX).unwrap().len(), 1);
    server.close().await;
}

#[tokio::test]
async fn a_post_whose_poster_goes_away_is_there_as_a_whole_or_not_at_all() {
    let server = TestServer::open().await;
    let body = "[1,2,3,4,5,6,7]";
    for round in 0..30 {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let head =
            format!("POST /events HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_micros(round * 100)).await;
    }
    let last = server.post("", b"8").await.body["first"].as_u64().unwrap();
    let dir = server.close().await;
    let server = TestServer::at(dir, None, LIMITS, BOUNDS).await;
    let records = server.intake.read(0, u64::MAX).unwrap();
    let posted: Vec<Bytes> =
        records.into_iter().map(|record| record.body).filter(|body| body != "8").collect();
    assert!(last.is_multiple_of(7) && posted.chunks(7).all(|post| post.concat() == b"1234567"), "{posted:?}");
    server.close().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_a_fault_with_a_way_out() {
    let taken = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let fault = Listener::bind(taken.addr()).await.unwrap_err().to_string();
    assert!(fault.contains(&taken.addr().to_string()) && fault.contains("source.listen"), "{fault}");
}
