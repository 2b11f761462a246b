//! The page for brokers' developers: each piece of code on it verifies a delivery that Loadline has made, and refuses one
//! that was changed. Python's needs no package, Rust's is a dependency of this test; what needs packages runs when
//! `LOADLINE_TEST_LIBRARIES` names a directory that has them.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use standardwebhooks::{Webhook, WebhookError};
use tests::{FixedReceiver, Fleet, Site, Wants, skipped};

use crate::text;

/// An event whose id and body a careless receiver gets wrong.
const EVENT: &str = r#"{"eventId":"evt 7.ü","loadId":"LD-1", "status":"matched","occurredAt":"2025-06-01T12:00:00Z","note":"Zürich → Łódź"}"#;

/// A delivery as a receiver has it.
struct Delivery {
    secret: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

// The page's words.
fn receive(secret: &str, body: &[u8], headers: &HeaderMap) -> Result<(), WebhookError> {
    Webhook::new(secret)?.verify(body, headers)
}

impl Delivery {
    /// One that Loadline has made.
    fn made() -> Self {
        let (fleet, peer) = (Fleet::start(1), FixedReceiver::start(200));
        let mut site = Site::new(&fleet, &[Wants::all()]);
        site.set_broker(0, "url", peer.url());
        fs::write(site.events(), format!("{EVENT}\n")).unwrap();
        let summary = site.run().wait().summary();
        assert_eq!(summary.delivered, 1, "{summary:?}");
        let post = peer.posts().remove(0);
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        let headers = post.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        Self { secret: fleet.tms(0).secret().to_owned(), headers, body: post.body.to_vec() }
    }

    /// The same with one byte changed.
    fn forged(&self) -> Self {
        let body = String::from_utf8(self.body.clone()).unwrap().replace("matched", "Matched").into_bytes();
        Self { secret: self.secret.clone(), headers: self.headers.clone(), body }
    }

    fn header(&self, wanted: &str) -> &str {
        self.headers.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value)
    }

    fn map(&self) -> HeaderMap {
        let pair = |(name, value): &(String, String)| {
            (HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap())
        };
        self.headers.iter().map(pair).collect()
    }

    /// Gives it to a program; what that printed.
    fn given_to(&self, mut program: Command) -> String {
        let headers: serde_json::Map<_, _> =
            self.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let given = json!({ "secret": self.secret, "headers": headers, "body": STANDARD.encode(&self.body) });
        let mut child =
            program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{program:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// The page's blocks in a language.
fn blocks(language: &str) -> Vec<String> {
    let (page, fence) = (text("receiving.md"), format!("```{language}\n"));
    let blocks = page.split(&fence).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Runs a program over a good delivery and a forged one.
fn judges(delivery: &Delivery, program: impl Fn() -> Command) {
    assert_eq!(delivery.given_to(program()), "evt 7.ü");
    assert_eq!(delivery.forged().given_to(program()), "refused");
}

const PYTHON: &str = "
import base64, json, sys
given = json.load(sys.stdin)
try:
    event = receive(given['secret'], base64.b64decode(given['body']), given['headers'])
    sys.stdout.buffer.write(event['eventId'].encode())
except Exception:
    print('refused')
";

const NODE: &str = r#"
import { readFileSync } from "node:fs";
const given = JSON.parse(readFileSync(0));
try {
  console.log(receive(given.secret, Buffer.from(given.body, "base64"), given.headers).eventId);
} catch {
  console.log("refused");
}
"#;

const GO: &str = r#"package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
)

func main() {
	var given struct {
		Secret  string
		Headers map[string]string
		Body    []byte
	}
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		panic(err)
	}
	headers := http.Header{}
	for name, value := range given.Headers {
		headers.Set(name, value)
	}
	if receive(given.Secret, given.Body, headers) != nil {
		fmt.Println("refused")
		return
	}
	var event struct{ EventId string }
	if err := json.Unmarshal(given.Body, &event); err != nil {
		panic(err)
	}
	fmt.Println(event.EventId)
}
"#;

fn python(directory: &Path, block: &str) -> Command {
    fs::write(directory.join("receive.py"), format!("{block}{PYTHON}")).unwrap();
    let mut program = Command::new("python3");
    program.current_dir(directory).arg("receive.py");
    program
}

#[test]
fn the_headers_are_those_of_the_page() {
    let (delivery, page) = (Delivery::made(), text("receiving.md"));
    assert_eq!(delivery.header("webhook-id"), "evt~207~2E~C3~BC");
    assert_eq!(delivery.body, EVENT.as_bytes());
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature", "content-type", "loadline-attempt"] {
        assert!(!delivery.header(name).is_empty() && page.contains(&format!("| `{name}` |")), "{name}");
    }
    let unknown = delivery.headers.iter().map(|(name, _)| name.as_str()).filter(|name| {
        name.starts_with("webhook-") || (name.starts_with("loadline-") && *name != "loadline-attempt")
    });
    assert_eq!(unknown.count(), 3);
}

#[test]
fn the_code_in_rust_verifies_a_delivery_and_refuses_a_forged_one() {
    let delivery = Delivery::made();
    let [block] = &blocks("rust")[..] else { panic!("one block") };
    let (_, function) = block.split_once("fn ").unwrap();
    assert!(include_str!("receiving.rs").contains(function), "this test does not have\n{function}");
    assert!(receive(&delivery.secret, &delivery.body, &delivery.map()).is_ok());
    let forged = delivery.forged();
    assert!(receive(&forged.secret, &forged.body, &forged.map()).is_err());
}

#[test]
fn the_code_without_a_library_verifies_a_delivery_and_refuses_a_forged_one() {
    if Command::new("python3").arg("--version").output().is_err() {
        return skipped("there is no python3 to run the code of docs/receiving.md with");
    }
    let (delivery, directory) = (Delivery::made(), tempfile::tempdir().unwrap());
    let blocks = blocks("python");
    judges(&delivery, || python(directory.path(), &blocks[1]));
}

#[test]
fn the_code_with_libraries_verifies_a_delivery_and_refuses_a_forged_one() {
    let Some(libraries) = env::var_os("LOADLINE_TEST_LIBRARIES").map(PathBuf::from) else {
        return skipped("it needs packages; LOADLINE_TEST_LIBRARIES says where they are (docs/testing.md)");
    };
    let delivery = Delivery::made();
    judges(&delivery, || python(&libraries, &blocks("python")[0]));
    fs::write(libraries.join("receive.mjs"), format!("{}{NODE}", blocks("js")[0])).unwrap();
    judges(&delivery, || {
        let mut program = Command::new("node");
        program.current_dir(&libraries).arg("receive.mjs");
        program
    });
    let command = libraries.join("receive");
    fs::create_dir_all(&command).unwrap();
    fs::write(command.join("main.go"), GO).unwrap();
    fs::write(command.join("receive.go"), format!("package main\n\n{}", blocks("go")[0])).unwrap();
    judges(&delivery, || {
        let mut program = Command::new("go");
        program.current_dir(&libraries).env("GOFLAGS", "-mod=mod").args(["run", "./receive"]);
        program
    });
}
