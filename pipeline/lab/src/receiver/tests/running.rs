//! Starting, stopping, and `loadline receive` as a whole.

use std::{io::Write, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::super::{Options, RunError, Style, run};
use super::*;

#[tokio::test]
async fn stopping_lets_a_request_under_way_end() {
    let latency = Duration::from_millis(50);
    let (receiver, journal) = start_with(Behaviour { latency, ..Behaviour::default() }, Limits::default());
    let mut client = Client::connect(receiver.addr()).await;
    let asked = tokio::spawn(async move { client.status(event("1")).await });
    while journal.entries().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(receiver.stop().await.unwrap().taken, 1);
    assert_eq!(asked.await.unwrap(), 200);
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_silent_idle_or_hanging_connection() {
    let hour = Duration::from_secs(3_600);
    let limits = Limits { grace: hour, idle_max: hour, ..Limits::default() };
    let (receiver, _) = start_with(Behaviour::default(), limits);
    let silent = TcpStream::connect(receiver.addr()).await.unwrap();
    let mut idle = Client::connect(receiver.addr()).await;
    assert_eq!(idle.status(event("1")).await, 200);
    let down = Behaviour { availability: crate::receiver::Availability::Down, ..Behaviour::default() };
    receiver.control().set(down).unwrap();
    let mut hanging = Client::connect(receiver.addr()).await;
    let asked = tokio::spawn(async move { hanging.send(event("2")).await.is_err() });
    while receiver.control().counts().unanswered == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(hour / 60, receiver.stop()).await.expect("it waits for the silent one").unwrap();
    assert!(asked.await.unwrap());
    drop(silent);
}

#[tokio::test]
async fn a_taken_port_is_named_with_a_way_out() {
    let (receiver, _) = start(Behaviour::default());
    let error = Receiver::bind(receiver.addr(), Behaviour::default(), Keys::unchecked()).err().unwrap();
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot listen on {}: ", receiver.addr())), "{text}");
    assert!(text.ends_with("choose another address, or port 0 for any free one"), "{text}");
}

/// What `loadline receive` has printed, readable while it runs.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Screen {
    async fn line(&self, nth: usize) -> String {
        loop {
            let text = String::from_utf8(self.0.lock().clone()).unwrap();
            match text.lines().nth(nth) {
                Some(line) if text.lines().count() > nth + 1 || text.ends_with('\n') => {
                    return line.to_owned();
                }
                _ => tokio::task::yield_now().await,
            }
        }
    }
}

fn options(secrets: &[&str]) -> Options {
    Options {
        listen: localhost(),
        secrets: secrets.iter().map(|&secret| secret.to_owned()).collect(),
        behaviour: Behaviour::default(),
        limits: Limits::default(),
        seed: 0,
        run_for: None,
        style: Style::Plain,
    }
}

#[tokio::test]
async fn a_whole_run_prints_a_line_an_event_and_a_summary() {
    let (screen, (stop, stopped)) = (Screen::default(), oneshot::channel::<()>());
    let running = tokio::spawn(run(options(&[SECRET]), screen.clone(), async move {
        stopped.await.unwrap();
    }));
    let first = screen.line(0).await;
    let addr = first.strip_prefix("listening on http://").unwrap().parse().unwrap();
    let mut client = Client::connect(addr).await;
    for id in ["1", "1"] {
        assert_eq!(client.status(event(id)).await, 200);
    }
    assert_eq!(client.status(signed(OTHER_SECRET, "2", BODY, 0)).await, 401);
    stop.send(()).unwrap();

    assert_eq!(running.await.unwrap().unwrap().taken, 2);
    assert!(screen.line(1).await.ends_with("Z  CHI-1         picked-up       e1"));
    assert!(screen.line(2).await.ends_with("Z  CHI-1         picked-up       e1  repeat"));
    assert!(screen.line(3).await.ends_with("Z  401: wrong signature"));
    assert_eq!(screen.line(4).await, "received 1, repeats 1, conflicts 0, refused signatures 1");
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_by_itself_after_its_time() {
    let screen = Screen::default();
    let options = Options { run_for: Some(Duration::from_secs(600)), ..options(&[]) };
    run(options, screen.clone(), std::future::pending()).await.unwrap();
    assert!(screen.line(0).await.ends_with(", signatures are not checked"));
    assert_eq!(screen.line(1).await, "received 0, repeats 0, conflicts 0, refused signatures 0");
}

#[tokio::test]
async fn a_bad_secret_stops_a_run_before_it_listens() {
    let screen = Screen::default();
    let error = run(options(&["hunter2"]), screen.clone(), std::future::pending()).await.unwrap_err();
    assert!(matches!(error, RunError::Key(_)));
    assert!(!error.to_string().contains("hunter2"));
    assert!(screen.0.lock().is_empty());
}
