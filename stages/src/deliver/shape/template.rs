//! A body that a template makes of an event: text with expressions, compiled once, that must come out as JSON.
//!
//! `{{ loadId }}` in quotes is the text with what JSON escapes escaped; a number, an object or a list stands as JSON. So no
//! value of an event can end a string that it stands in. What comes out is checked before it is sent.

use std::{
    fmt,
    io::{self, Write},
    sync::Arc,
};

use bytes::Bytes;
use minijinja::{
    Environment, Error, ErrorKind, Output, UndefinedBehavior, Value,
    value::{Serde, ValueKind},
};
use serde::de::IgnoredAny;
use serde_json::json;
use state::Event;

use super::{
    SHAPED_MAX,
    facts::{Facts, Unfit, rfc3339},
};

/// The longest template, in bytes.
pub const TEMPLATE_MAX: usize = 64 << 10;

/// What one rendering may spend: about as many instructions, or 64 bytes each.
const FUEL: u64 = 500_000;

/// The template's name in its environment.
const NAME: &str = "body";

/// Why a template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is too long.
    #[error("has {len} bytes, at most {TEMPLATE_MAX} are allowed")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// It does not compile.
    #[error("is no template: {0}")]
    Syntax(String),
    /// It makes nothing usable of the sample.
    #[error("does not work for {of}: {why}")]
    Sample {
        /// Which event it was tried on.
        of: &'static str,
        /// What came of it.
        why: Unfit,
    },
}

/// A compiled template. A clone shares it.
#[derive(Clone)]
pub struct JsonTemplate {
    source: Arc<str>,
    environment: Arc<Environment<'static>>,
}

impl JsonTemplate {
    /// Compiles `source`.
    ///
    /// # Errors
    /// It is too long, or no template.
    pub fn new(source: &str) -> Result<Self, TemplateError> {
        let environment = environment(source, UndefinedBehavior::SemiStrict)?;
        Ok(Self { source: source.into(), environment: Arc::new(environment) })
    }

    /// Tries it on an event whose body is `sample`.
    ///
    /// # Errors
    /// It fails, or makes something that is not JSON.
    pub fn try_on(&self, sample: &Event) -> Result<Bytes, TemplateError> {
        let tried = self.render(&Facts::new(sample));
        tried.map_err(|why| TemplateError::Sample { of: "the sample", why })
    }

    /// Tries it on an event of which nothing but the fields is known: whatever it asks of the body is `null`.
    ///
    /// # Errors
    /// It fails even so, or makes something that is not JSON.
    pub fn try_blindly(&self, event: &Event) -> Result<Bytes, TemplateError> {
        let lenient = environment(&self.source, UndefinedBehavior::Chainable)?;
        let tried = render(&lenient, &Facts::new(event));
        tried.map_err(|why| TemplateError::Sample { of: "an event of which only the fields are known", why })
    }

    pub(super) fn render(&self, facts: &Facts<'_>) -> Result<Bytes, Unfit> {
        render(&self.environment, facts)
    }
}

/// Two are equal if their sources are.
impl PartialEq for JsonTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for JsonTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonTemplate").field("len", &self.source.len()).finish_non_exhaustive()
    }
}

fn environment(source: &str, undefined: UndefinedBehavior) -> Result<Environment<'static>, TemplateError> {
    if source.len() > TEMPLATE_MAX {
        return Err(TemplateError::TooLong { len: source.len() });
    }
    let mut environment = Environment::new();
    environment.set_undefined_behavior(undefined);
    environment.set_fuel(Some(FUEL));
    // What is not there ends the rendering, unless it is let through: then an `if` without `else` has nothing to say.
    let absent = if undefined == UndefinedBehavior::Chainable { "null" } else { "" };
    environment.set_formatter(move |out, _, value| write_value(out, value, absent));
    environment.add_function("pointer", pointer);
    let compiled = environment.add_template_owned(NAME, source.to_owned());
    compiled.map_err(|error| TemplateError::Syntax(words(&error)))?;
    Ok(environment)
}

fn render(environment: &Environment<'_>, facts: &Facts<'_>) -> Result<Bytes, Unfit> {
    let event = facts.event();
    let context = json!({
        "eventId": *event.event_id,
        "loadId": *event.load_id,
        "status": *event.status,
        "occurredAt": rfc3339(event),
        "sequence": event.sequence,
        "body": facts.body(),
    });
    let mut out = Bounded(Vec::with_capacity(event.body.len()));
    let rendered = environment.get_template(NAME);
    let rendered = rendered
        .and_then(|template| template.render_captured_to(Value::from(Serde(&context)), &mut out).map(drop));
    rendered.map_err(|error| {
        // What cannot be read is left out of the body.
        let unreadable = serde_json::from_slice::<serde_json::Value>(&event.body).err();
        let why = unreadable.map(|error| format!("; a value in the body cannot be read: {error}"));
        Unfit::Template { detail: words(&error) + &why.unwrap_or_default() }
    })?;
    // The reader's own message names places, never values.
    serde_json::from_slice::<IgnoredAny>(&out.0)
        .map_err(|error| Unfit::NotJson { detail: error.to_string() })?;
    Ok(out.0.into())
}

/// What is wrong, and in which line; the library's details can hold values.
fn words(error: &Error) -> String {
    let line = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
    match error.kind() {
        ErrorKind::SyntaxError => format!("{error}"),
        ErrorKind::UndefinedError => format!("something it asks for is not there{line}"),
        kind => format!("{kind}{line}"),
    }
}

/// Writes a value so that it is JSON, or a part of a JSON string.
fn write_value(out: &mut Output<'_>, value: &Value, absent: &str) -> Result<(), Error> {
    let failed = |error: fmt::Error| Error::from(error);
    if value.is_safe() {
        return out.write_str(value.as_str().unwrap_or_default()).map_err(failed);
    }
    match value.kind() {
        ValueKind::Undefined => out.write_str(absent).map_err(failed),
        _ => {
            let json = serde_json::to_string(value).map_err(|_| {
                Error::new(ErrorKind::BadSerialization, "a value that is no json cannot be written")
            })?;
            let inside = match value.as_str() {
                Some(_) => json.get(1..json.len() - 1).unwrap_or_default(),
                None => &json,
            };
            out.write_str(inside).map_err(failed)
        }
    }
}

/// What a JSON pointer leads to: `{{ pointer(body, "/stops/0/city") }}`. A text on the way that holds JSON is looked into.
fn pointer(of: Value, path: &str) -> Value {
    let step = |of: Value, token: &str| {
        let of = match of.as_str() {
            Some(text) => Value::from(Serde(&serde_json::from_str::<serde_json::Value>(text).ok()?)),
            None => of,
        };
        match of.kind() {
            ValueKind::Seq => of.get_item_by_index(token.parse().ok()?).ok(),
            ValueKind::Map => of.get_attr(&token.replace("~1", "/").replace("~0", "~")).ok(),
            _ => None,
        }
    };
    path.split('/').skip(1).try_fold(of, step).unwrap_or(Value::UNDEFINED)
}

/// Takes no more than [`SHAPED_MAX`].
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > SHAPED_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
