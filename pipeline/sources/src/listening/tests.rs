//! Strangers and members on real sockets, at a handler that asks for a header.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
    task::JoinHandle,
};

use super::*;

const LONG: Duration = Duration::from_secs(600);
const BOUNDS: Bounds = Bounds {
    connections_max: 4,
    admission: Admission::Token { strangers_max: 4, timeout: LONG },
    headers_max: 8 << 10,
    idle_timeout: LONG,
    lifetime_max: None,
    grace: Duration::from_secs(1),
};

/// Lets those in who send `x-token`, if it asks for it.
struct TestHandler {
    asks: bool,
}

impl Handler for TestHandler {
    async fn handle(&self, request: Request<Incoming>, peer: &Peer) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from_static(b"well\n")));
        if self.asks && !request.headers().contains_key("x-token") {
            peer.count_without_token();
            *response.status_mut() = http::StatusCode::UNAUTHORIZED;
        } else if peer.authenticated().await.is_err() {
            *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        }
        response
    }
}

struct TestServer {
    addr: std::net::SocketAddr,
    end: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl TestServer {
    async fn open(bounds: Bounds) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let handler = Arc::new(TestHandler { asks: matches!(bounds.admission, Admission::Token { .. }) });
        let serving = serve(listener, "test.listen", handler, bounds, async { drop(ended.await) });
        Self { addr, end, serving: tokio::spawn(serving) }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    async fn silent(&self, count: usize) -> Vec<TcpStream> {
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push(self.connect().await);
        }
        all
    }

    async fn close(self) {
        drop(self.end);
        self.serving.await.unwrap();
    }
}

/// Asks once and leaves the connection open; the head of the answer, or nothing if there is none.
async fn ask(stream: &mut TcpStream, header: &str) -> String {
    let request = format!("GET / HTTP/1.1\r\nhost: a\r\n{header}\r\n");
    if stream.write_all(request.as_bytes()).await.is_err() {
        return String::new();
    }
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nwell\n") {
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(answer).unwrap().to_ascii_lowercase()
}

const TOKEN: &str = "x-token: a\r\n";

async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0]).await, Ok(0) | Err(_))
}

#[tokio::test]
async fn however_many_strangers_say_nothing_whoever_has_the_token_gets_in_and_stays() {
    let server = TestServer::open(BOUNDS).await;
    let mut member = server.connect().await;
    assert!(ask(&mut member, TOKEN).await.starts_with("http/1.1 200"));
    let mut strangers = server.silent(12).await;
    let mut second = server.connect().await;
    let told = ask(&mut second, TOKEN).await;
    assert!(told.starts_with("http/1.1 200") && !told.contains("connection: close"), "{told}");
    assert!(is_closed(&mut strangers[0]).await, "the oldest did not give way");
    let more = server.silent(8).await;
    for stream in [&mut member, &mut second] {
        assert!(
            ask(stream, TOKEN).await.starts_with("http/1.1 200"),
            "a member lost its place to a stranger"
        );
    }
    drop((strangers, more));
    server.close().await;
}

#[tokio::test]
async fn a_request_without_the_token_is_a_connections_last_and_a_silent_one_has_its_time() {
    let timeout = Duration::from_millis(300);
    let admission = Admission::Token { strangers_max: 4, timeout };
    let server = TestServer::open(Bounds { admission, ..BOUNDS }).await;
    let mut member = server.connect().await;
    assert!(ask(&mut member, TOKEN).await.starts_with("http/1.1 200"));
    let mut without = server.connect().await;
    let told = ask(&mut without, "").await;
    assert!(told.starts_with("http/1.1 401") && told.contains("connection: close"), "{told}");
    assert!(is_closed(&mut without).await);
    for begun in ["", "GET / HTTP/1.1\r\nhost:"] {
        let mut silent = server.connect().await;
        silent.write_all(begun.as_bytes()).await.unwrap();
        assert!(is_closed(&mut silent).await, "{begun:?} was waited for");
    }
    assert!(ask(&mut member, TOKEN).await.starts_with("http/1.1 200"), "a member was closed like a stranger");
    server.close().await;
}

#[tokio::test]
async fn when_members_hold_all_places_the_next_one_waits_for_one_to_leave() {
    let server = TestServer::open(Bounds { connections_max: 2, ..BOUNDS }).await;
    let mut members = server.silent(2).await;
    for member in &mut members {
        assert!(ask(member, TOKEN).await.starts_with("http/1.1 200"));
    }
    let mut third = server.connect().await;
    let mut asked = std::pin::pin!(ask(&mut third, TOKEN));
    assert!(time::timeout(Duration::from_millis(300), &mut asked).await.is_err(), "three have two places");
    drop(members.pop());
    assert!(asked.await.starts_with("http/1.1 200"));
    server.close().await;
}

#[tokio::test]
async fn where_no_token_is_asked_for_whoever_is_idle_gives_way() {
    let server = TestServer::open(Bounds { admission: Admission::Anyone, ..BOUNDS }).await;
    let mut idle = server.silent(6).await;
    let mut asking = server.connect().await;
    let told = ask(&mut asking, "").await;
    assert!(told.starts_with("http/1.1 200") && !told.contains("connection: close"), "{told}");
    assert!(is_closed(&mut idle[0]).await);
    server.close().await;
}
