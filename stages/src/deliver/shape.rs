//! The shape of a broker's requests where it is not the usual one: method, URL, and what is made of the event for the
//! body. The usual one costs nothing of this: see [`Shape::is_usual`].
//!
//! Whatever the shape, the event is known by its id, and a second one with the same id is compared by original bytes.

mod cloudevents;
mod facts;
mod template;
mod url_places;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use state::Event;
use url::Url;

use self::facts::{Facts, join, json_text, rfc3339};
pub use self::{
    cloudevents::{CloudEvents, Mode},
    facts::{Field as PlaceField, Text as PlaceText, Unfit},
    template::{JsonTemplate, TEMPLATE_MAX, TemplateError},
    url_places::{UrlPlaces, UrlPlacesError},
};

/// The longest body that is made of an event, in bytes: above the largest record, with room for what is put around it.
const SHAPED_MAX: usize = 20 << 20;

/// The shape of a broker's requests. The default is a POST of the original bytes to a fixed URL.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The method.
    pub method: Method,
    /// The URL if it has places to fill.
    pub url: Option<UrlPlaces>,
    /// What is made of the event.
    pub body: Body,
}

/// What is made of an event for the body.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Its original bytes.
    Original,
    /// The payload that Standard Webhooks proposes: `type`, `timestamp`, and the event as `data`.
    Standard {
        /// The `type`.
        kind: PlaceText,
    },
    /// A CloudEvent.
    CloudEvents(CloudEvents),
    /// What a template makes of it.
    Template(JsonTemplate),
}

/// What an event becomes.
#[derive(Debug)]
pub(super) struct Shaped {
    pub(super) url: Option<Url>,
    pub(super) body: Bytes,
    /// More headers, of a CloudEvent in binary mode.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Default for Shape {
    fn default() -> Self {
        Self { method: Method::POST, url: None, body: Body::Original }
    }
}

impl Shape {
    /// Whether a request needs nothing but the event's original bytes and its id.
    pub(super) fn is_usual(&self) -> bool {
        self.url.is_none() && self.body == Body::Original
    }

    /// The content type of its bodies.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        match &self.body {
            Body::CloudEvents(events) => events.content_type(),
            Body::Original | Body::Standard { .. } | Body::Template(_) => "application/json",
        }
    }

    /// What `event` becomes.
    ///
    /// # Errors
    /// It lacks something that the URL or the body needs, now and ever.
    pub(super) fn apply(&self, event: &Event) -> Result<Shaped, Unfit> {
        let facts = Facts::new(event);
        let url = self.url.as_ref().map(|places| places.fill(&facts)).transpose()?;
        let mut headers = Vec::new();
        let body = match &self.body {
            Body::Original => event.body.clone(),
            Body::Standard { kind } => standard(kind, &facts)?,
            Body::CloudEvents(events) => events.apply(&facts, &mut headers)?,
            Body::Template(template) => template.render(&facts)?,
        };
        Ok(Shaped { url, body, headers })
    }
}

fn standard(kind: &PlaceText, facts: &Facts<'_>) -> Result<Bytes, Unfit> {
    let (kind, at) = (json_text(&kind.fill(facts)?), json_text(&rfc3339(facts.event())));
    Ok(join(&[
        b"{\"type\":",
        kind.as_bytes(),
        b",\"timestamp\":",
        at.as_bytes(),
        b",\"data\":",
        facts.original(),
        b"}",
    ]))
}

#[cfg(test)]
mod tests;
