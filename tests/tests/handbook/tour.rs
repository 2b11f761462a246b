//! The tour: its commands in the project's directory as a user has it, with a built `loadline`, and beside them those the
//! page starts in terminals of their own.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::{fs::symlink, process::CommandExt},
    process::{Child, Command as Process, Stdio},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tests::{loadline, until};

use crate::{Place, page::Command, project};

/// The addresses the page names: of the receiver, and of the intake.
const ADDRESSES: [&str; 2] = ["127.0.0.1:9000", "127.0.0.1:8080"];

/// What stands for the project's directory, and what goes on in it.
#[derive(Debug)]
pub(crate) struct Tour {
    directory: TempDir,
    /// Free addresses in the place of the page's.
    addresses: Vec<String>,
    beside: Vec<Beside>,
}

/// A command in a terminal of its own.
#[derive(Debug)]
struct Beside {
    text: String,
    child: Child,
}

impl Tour {
    pub(crate) fn begin() -> Self {
        let directory = tempfile::Builder::new().prefix("loadline-").tempdir().unwrap();
        let release = directory.path().join("target/release");
        fs::create_dir_all(&release).unwrap();
        symlink(loadline(), release.join("loadline")).unwrap();
        symlink(project().join("examples").canonicalize().unwrap(), directory.path().join("examples"))
            .unwrap();
        // Held together, so that they are different ones.
        let free = ADDRESSES.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = free.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect();
        Self { directory, addresses, beside: Vec::new() }
    }

    fn shell(&self, text: &str) -> Process {
        let pairs = ADDRESSES.iter().zip(&self.addresses);
        let text = pairs.fold(text.to_owned(), |text, (shown, free)| text.replace(shown, free));
        let mut process = Process::new("sh");
        process.args(["-c", &text]).current_dir(self.directory.path()).stdin(Stdio::null());
        process
    }

    /// Starts a command in a terminal of its own, and waits until it listens.
    fn start(&mut self, text: &str) {
        let address = &self.addresses[usize::from(!text.contains(" receive "))];
        let mut process = self.shell(&format!("exec {text}"));
        // A group of its own is what Ctrl-C ends.
        process.stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child = process.spawn().unwrap();
        until(&format!("{text} listens"), || {
            assert!(child.try_wait().unwrap().is_none(), "{text} has ended");
            TcpStream::connect(address).is_ok()
        });
        self.beside.push(Beside { text: text.to_owned(), child });
    }

    /// Presses Ctrl-C in the terminal of the command with this word; what it had said.
    fn stop(&mut self, word: &str) -> String {
        let index = self.beside.iter().position(|beside| beside.text.split(' ').any(|has| has == word));
        let Beside { text, child } = self.beside.remove(index.unwrap_or_else(|| panic!("no {word} goes on")));
        interrupt(&child);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{text}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn ended(&self, command: &Command) -> (Option<i32>, String) {
        let output = self.shell(&command.text).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let code = std::os::unix::process::ExitStatusExt::signal(&output.status).map(|signal| 128 + signal);
        (output.status.code().or(code), String::from_utf8(said).unwrap())
    }
}

impl Place for Tour {
    fn run(&mut self, command: &Command) -> String {
        if command.stops {
            return self.stop(&command.text);
        }
        if command.beside {
            self.start(&command.text);
            return String::new();
        }
        let (mut code, mut said) = self.ended(command);
        if command.looks() {
            until(&format!("{} exits {}, and not {code:?}\n{said}", command.text, command.exits), || {
                let fits = code == Some(command.exits);
                if !fits {
                    (code, said) = self.ended(command);
                }
                fits
            });
        }
        assert_eq!(code, Some(command.exits), "{}: {said}", command.text);
        said
    }
}

impl Drop for Tour {
    fn drop(&mut self) {
        for beside in &mut self.beside {
            interrupt(&beside.child);
            let _gone = beside.child.wait().is_err();
        }
    }
}

fn interrupt(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // It may have ended by itself.
    let _gone = pid.is_none_or(|pid| kill_process_group(pid, Signal::INT).is_err());
}
