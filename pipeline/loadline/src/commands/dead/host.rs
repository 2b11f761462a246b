//! Where a command finds dead letters: in the running process, page by page, or in the state directory, which it then
//! holds itself.

use std::io::{self, Write};

use anyhow::Context;
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use state::Store;
use url::form_urlencoded;

use super::super::{
    Answer,
    ask::{Answered, process_or_directory},
};
use service::{
    admin::client::ask,
    config::{AdminConfig, Target},
    dead::{DeadLetterJson, Groups, LetterId, PageBounds, Selection, page},
};

/// Where the dead letters are.
pub(super) enum Host {
    Process(AdminConfig),
    Directory(Box<Store>),
}

/// A page as the process returns it.
#[derive(Deserialize)]
struct Letters {
    letters: Vec<DeadLetterJson>,
    next: Option<String>,
}

/// Counts of a page as the process returns them.
#[derive(Deserialize)]
struct Summary {
    groups: Groups,
    next: Option<String>,
}

impl Host {
    /// Finds where they are now. A replay needs a run that has begun.
    pub(super) async fn find(target: &Target, replays: bool) -> anyhow::Result<Self> {
        let probe = if replays { "/status" } else { "/dead?max=0" };
        // For changes, too: where nothing has run there are no letters.
        Ok(match process_or_directory(target, Method::GET, probe).await? {
            Answered::Process(_) => Self::Process(target.admin.clone()),
            Answered::Directory(store) => Self::Directory(store),
        })
    }

    /// Its name in JSON.
    pub(super) fn by(&self) -> &'static str {
        match self {
            Self::Process(_) => "process",
            Self::Directory(_) => "directory",
        }
    }

    /// Its name in text.
    pub(super) fn place(&self) -> &'static str {
        match self {
            Self::Process(_) => "in the running process",
            Self::Directory(_) => "in the state directory: no process runs",
        }
    }

    /// Prints `what` and the place to stderr, beside an answer that has no room for it.
    pub(super) fn say(&self, what: &str, answer: Answer) -> io::Result<()> {
        if answer.quiet {
            return Ok(());
        }
        writeln!(io::stderr().lock(), "{what} ({})", self.place())
    }

    /// The next letters behind `after`, at most `max`, and where to continue.
    pub(super) async fn letters(
        &self,
        selection: &Selection,
        after: Option<&LetterId>,
        max: usize,
    ) -> anyhow::Result<(Vec<DeadLetterJson>, Option<LetterId>)> {
        match self {
            Self::Process(admin) => {
                let more = [("after", after.map(ToString::to_string)), ("max", Some(max.to_string()))];
                let told = ask(admin, Method::GET, &path("/dead", selection, &more)).await?;
                let Letters { letters, next } = understood(told)?;
                Ok((letters, next.map(|next| next.parse()).transpose()?))
            }
            Self::Directory(store) => {
                let bounds = PageBounds::default();
                let bounds = PageBounds { letters_max: bounds.letters_max.min(max), ..bounds };
                let page = page(store, selection, after, bounds)?;
                let letters = page.letters.into_iter().map(|letter| DeadLetterJson::of(letter, store));
                Ok((letters.collect::<Result<_, _>>()?, page.next))
            }
        }
    }

    /// All letters, counted.
    pub(super) async fn groups(&self, selection: &Selection) -> anyhow::Result<Groups> {
        let (mut groups, mut after): (Groups, Option<LetterId>) = Default::default();
        loop {
            after = match self {
                Self::Process(admin) => {
                    let more = [("after", after.map(|after| after.to_string()))];
                    let told = ask(admin, Method::GET, &path("/dead/summary", selection, &more)).await?;
                    let told: Summary = understood(told)?;
                    groups.merge(told.groups);
                    told.next.map(|next| next.parse()).transpose()?
                }
                Self::Directory(store) => {
                    let page = page(store, selection, after.as_ref(), PageBounds::default())?;
                    page.letters.iter().for_each(|letter| groups.add(letter));
                    page.next
                }
            };
            if after.is_none() {
                return Ok(groups);
            }
        }
    }
}

/// Parses an answer of the process.
pub(super) fn understood<T: serde::de::DeserializeOwned>(told: Value) -> anyhow::Result<T> {
    serde_json::from_value(told).context("the process has answered in words of another version")
}

/// A path with the selection and further parameters.
pub(super) fn path(path: &str, selection: &Selection, more: &[(&str, Option<String>)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    selection.write(&mut query);
    for (key, value) in more {
        if let Some(value) = value {
            query.append_pair(key, value);
        }
    }
    format!("{path}?{}", query.finish())
}
