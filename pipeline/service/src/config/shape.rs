//! The shape of a broker's requests: `method`, `content_type` and `body`. (The places in `url` are read with it.)

use std::{fs::File, io::Read};

use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};
use stages::{Body, CloudEvents, JsonTemplate, Mode, PlaceField, PlaceText, Special, TEMPLATE_MAX};

use super::{
    problem::Refusal,
    sample::{blind_event, event_of},
    schema::SchemaConfig,
    section::{Item, Section},
    suggest::suggest,
};

/// The longest `type` and `source`, in bytes.
const TEXT_MAX: usize = 512;
/// The largest sample, in bytes.
const SAMPLE_MAX: usize = 1 << 20;
const KINDS: [&str; 4] = ["original", "standard", "cloudevents", "cloudevents-binary"];

pub(super) fn method(s: &mut Section<'_, '_>) -> Method {
    let put = s.choice("method", ("POST", 0), &[("PUT", 1), ("PATCH", 2)]);
    [Method::POST, Method::PUT, Method::PATCH][put].clone()
}

/// Adds the `content-type` that the config gives to `headers`.
pub(super) fn content_type(s: &mut Section<'_, '_>, headers: &mut HeaderMap) {
    s.know("content_type", Some("that of `body`".to_owned()), None);
    let Some(item) = s.item("content_type") else { return };
    let Some(text) = s.text(&item, TEXT_MAX) else { return };
    let value = HeaderValue::from_str(text).ok().filter(|_| text.contains('/') && !text.contains('{'));
    match value {
        None => s.report(&item, Refusal::new("is not a media type", "write it as \"application/json\"")),
        Some(_) if headers.contains_key(CONTENT_TYPE) => {
            s.report(&item, Refusal::new("stands beside headers.content-type", "keep one of the two"));
        }
        Some(value) => {
            headers.insert(CONTENT_TYPE, value);
        }
    }
}

/// Adds the content type of the body to `headers`, unless it is the usual one, or the config has another.
pub(super) fn default_content_type(special: &Special, headers: &mut HeaderMap) {
    // CloudEvents HTTP binding 1.0.2, section 3.3.
    let default = match special.shape.content_type() {
        "application/cloudevents+json" if special.batch.is_some() => "application/cloudevents-batch+json",
        other => other,
    };
    if default != "application/json" {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(default));
    }
}

/// What is made of an event for the body; [`Body::Original`] if that is wrong, which has been reported.
pub(super) fn body(s: &mut Section<'_, '_>, schema: &SchemaConfig) -> Body {
    s.know("body", Some("original".to_owned()), None);
    let Some(item) = s.item("body") else { return Body::Original };
    let found = match item.value.as_str() {
        Some(kind) => of_kind(s, &item, kind, &Options::default()),
        None if item.value.is_table() => table(s, &item, schema),
        None => {
            let remedy = format!("give \"{}\", or {{ template = \"…\" }}", KINDS.join("\", \""));
            s.report_hidden(&item, Refusal::new("does not say what the body is", remedy));
            None
        }
    };
    found.unwrap_or(Body::Original)
}

/// The entries of `body` as a table.
#[derive(Default)]
struct Options<'d> {
    kind: Option<Item<'d>>,
    event_type: Option<Item<'d>>,
    source: Option<Item<'d>>,
    template: Option<Item<'d>>,
    template_file: Option<Item<'d>>,
    sample: Option<Item<'d>>,
}

fn table<'d>(s: &mut Section<'_, 'd>, item: &Item<'d>, schema: &SchemaConfig) -> Option<Body> {
    let (mut options, mut unknown) = (Options::default(), false);
    for (name, entry) in s.entries(item)? {
        let place = match name {
            "kind" => &mut options.kind,
            "type" => &mut options.event_type,
            "source" => &mut options.source,
            "template" => &mut options.template,
            "template_file" => &mut options.template_file,
            "sample" => &mut options.sample,
            _ => {
                let remedy =
                    "leave it out; the keys here are kind, type, source, template, template_file, sample";
                s.report_hidden(&entry, Refusal::new("is not a key of a body", remedy));
                unknown = true;
                continue;
            }
        };
        *place = Some(entry);
    }
    if unknown {
        return None;
    }
    match (options.kind.take(), options.template.is_some(), options.template_file.is_some()) {
        (Some(kind), false, false) if options.sample.is_none() => {
            let name = kind.value.as_str().unwrap_or_default();
            of_kind(s, &kind, name, &options)
        }
        (None, true, false) | (None, false, true)
            if options.event_type.is_none() && options.source.is_none() =>
        {
            template(s, &options, schema)
        }
        _ => {
            let remedy = "give kind, with type and source; or template or template_file, with sample";
            s.report_hidden(item, Refusal::new("does not say what the body is", remedy));
            None
        }
    }
}

fn of_kind<'d>(s: &mut Section<'_, 'd>, item: &Item<'d>, kind: &str, options: &Options<'d>) -> Option<Body> {
    let event_type = match &options.event_type {
        None => PlaceText::parse("{status}").ok(),
        Some(item) => event_type(s, item),
    };
    let source = options.source.as_ref();
    let cloudevents = |s: &mut Section<'_, 'd>, mode| {
        let source = match source {
            None => "loadline",
            Some(item) => s.text(item, TEXT_MAX)?,
        };
        Some(Body::CloudEvents(CloudEvents { mode, source: source.into(), kind: event_type.clone()? }))
    };
    match kind {
        "original" if options.event_type.is_none() && source.is_none() => Some(Body::Original),
        "standard" if source.is_none() => Some(Body::Standard { kind: event_type? }),
        "cloudevents" => cloudevents(s, Mode::Structured),
        "cloudevents-binary" => cloudevents(s, Mode::Binary),
        "original" | "standard" => {
            s.report(item, Refusal::new("has no such part", "leave out source, and for original type"));
            None
        }
        other => {
            let remedy = match suggest(other, &KINDS) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("give \"{}\"", KINDS.join("\" or \"")),
            };
            s.report(item, Refusal::new("is not a known body", remedy));
            None
        }
    }
}

fn event_type<'d>(s: &mut Section<'_, 'd>, item: &Item<'d>) -> Option<PlaceText> {
    let text = s.text(item, TEXT_MAX)?;
    match PlaceText::parse(text) {
        Ok(text) => Some(text),
        Err(error) => {
            s.report(item, Refusal::new(error.to_string(), format!("the places are {}", PlaceField::NAMES)));
            None
        }
    }
}

/// Compiles the template and tries it.
fn template<'d>(s: &mut Section<'_, 'd>, options: &Options<'d>, schema: &SchemaConfig) -> Option<Body> {
    let item = options.template.as_ref().or(options.template_file.as_ref())?;
    let source = match &options.template {
        Some(item) => s.text(item, TEMPLATE_MAX)?.to_owned(),
        None => file(s, item, TEMPLATE_MAX)?,
    };
    let tried = JsonTemplate::new(&source).and_then(|template| {
        let sample = options.sample.as_ref().map(|sample| {
            let text = file(s, sample, SAMPLE_MAX).ok_or(())?;
            event_of(&text, schema).map_err(|why| {
                let remedy = "give a file with one event in it";
                s.report(sample, Refusal::new(format!("is no event: {why}"), remedy));
            })
        });
        match sample {
            None => template.try_blindly(&blind_event(schema))?,
            Some(Ok(sample)) => template.try_on(&sample)?,
            Some(Err(())) => Default::default(),
        };
        Ok(template)
    });
    match tried {
        Ok(template) => Some(Body::Template(template)),
        Err(error) => {
            let remedy = match options.sample {
                Some(_) => "correct it: texts stand in quotes, what may be missing in {% if … %}",
                None => "correct it, or name an event to try it on: sample = \"event.json\"",
            };
            s.report_hidden(item, Refusal::new(error.to_string(), remedy));
            None
        }
    }
}

/// The text of a file that an entry names.
fn file<'d>(s: &mut Section<'_, 'd>, item: &Item<'d>, max: usize) -> Option<String> {
    let path = s.path_of(item)?;
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(max as u64 + 1).read_to_string(&mut text));
    let problem = match read {
        Ok(read) if read <= max => return Some(text),
        Ok(_) => format!("names a file of more than {max} bytes"),
        Err(error) => format!("names a file that cannot be read as text: {}", error.kind()),
    };
    let remedy = "give the path of a text file; a relative one starts where the config file is";
    s.report(item, Refusal::new(problem, remedy));
    None
}
