//! Access tokens by OAuth 2.0 client credentials (RFC 6749, section 4.4): fetched when one is needed, kept until shortly
//! before it expires, and fetched anew once after a 401.
//!
//! One request for a token is under way at a time. While it fails, the broker's own deliveries fail with it, at most one
//! request is made per [`FAILED_PAUSE`], and no other broker notices.

mod answer;

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderValue, Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use parking_lot::Mutex;
use reqwest::Request;
use tokio::time::{Instant, timeout};
use url::{Url, form_urlencoded};

pub use self::answer::NoToken;
use self::answer::{Granted, granted};
use super::{
    clients::{ClientSet, HttpClients},
    egress::Egress,
    reach::Reach,
    url_rules::{UrlError, url_errors},
};

/// How long a token that replaced a refused one is used although it is refused, too: the receiver has another reason then,
/// and a breaker's probes would ask for one each.
const REFUSED_KEPT: Duration = Duration::from_secs(60);

/// How long nothing is asked after a failure.
const FAILED_PAUSE: Duration = Duration::from_secs(1);

/// Where a broker's access tokens come from.
#[derive(Clone, PartialEq, Eq)]
pub struct OAuth2 {
    /// The token endpoint.
    pub token_url: Url,
    /// The client's id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// How both are shown.
    pub client_auth: ClientAuth,
    /// The scope asked for.
    pub scope: Option<String>,
    /// Other parameters of the request, such as `audience`.
    pub parameters: Vec<(String, String)>,
}

/// How a client shows its id and secret (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// In `authorization`.
    Basic,
    /// In the body.
    Body,
}

impl fmt::Debug for OAuth2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth2")
            .field("token_url", &self.token_url.origin().ascii_serialization())
            .field("client_auth", &self.client_auth)
            .finish_non_exhaustive()
    }
}

/// The access tokens of one broker.
pub(crate) struct Tokens {
    oauth2: OAuth2,
    reach: Reach,
    clients: OnceLock<ClientSet>,
    current: ArcSwapOption<Token>,
    /// Held by whoever asks for a token.
    asking: tokio::sync::Mutex<()>,
    failed: Mutex<Option<(Instant, NoToken)>>,
    /// Whether the last token was refused.
    last_refused: AtomicBool,
}

/// A token that was granted.
pub(crate) struct Token {
    value: HeaderValue,
    granted_at: Instant,
    renew_at: Instant,
    expires_at: Instant,
    /// Whether it replaces one that was refused.
    after_refusal: bool,
    /// Whether a request with it was answered with something but a 401.
    accepted: AtomicBool,
}

/// What a 401 means where tokens are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The token is used up: try at once with another.
    TryAnother,
    /// It replaced one that was refused, and none has been accepted since.
    Final,
}

impl Token {
    /// The value of `authorization`.
    pub(crate) fn value(&self) -> HeaderValue {
        self.value.clone()
    }

    /// A request with it was answered, and not with 401.
    pub(crate) fn accept(&self) {
        self.accepted.store(true, Ordering::Relaxed);
    }
}

impl Tokens {
    /// Tokens from `oauth2`, fetched in the same way as the broker is reached, to where `egress` allows.
    ///
    /// # Errors
    /// The token endpoint is not allowed.
    pub(crate) fn new(oauth2: OAuth2, reach: &Reach, egress: &Egress) -> Result<Self, UrlError> {
        if let Some(error) = url_errors(&oauth2.token_url, egress).into_iter().next() {
            return Err(error);
        }
        let reach = Reach { networks: egress.networks_for(&oauth2.token_url).into(), ..reach.clone() };
        Ok(Self {
            oauth2,
            reach,
            clients: OnceLock::new(),
            current: ArcSwapOption::empty(),
            asking: tokio::sync::Mutex::default(),
            failed: Mutex::default(),
            last_refused: AtomicBool::new(false),
        })
    }

    /// A token that has not expired; a new one if there is none. `limit` bounds the request for it.
    pub(crate) async fn token(
        &self,
        clients: &HttpClients,
        shard: usize,
        limit: Duration,
    ) -> Result<Arc<Token>, NoToken> {
        let now = Instant::now();
        let usable = self.current.load_full().filter(|token| now < token.expires_at);
        if let Some(token) = usable {
            if now < token.renew_at {
                return Ok(token);
            }
            // Early: whoever comes first renews it, the others go on with it.
            let Ok(_asking) = self.asking.try_lock() else { return Ok(token) };
            return Ok(self.ask_unless_failed(clients, shard, limit).await.unwrap_or(token));
        }
        let _asking = self.asking.lock().await;
        // Meanwhile another may have asked.
        let now = Instant::now();
        match self.current.load_full().filter(|token| now < token.expires_at) {
            Some(token) => Ok(token),
            None => self.ask_unless_failed(clients, shard, limit).await,
        }
    }

    /// A request with `token` was answered with 401: it is not used again, unless it is new and replaced one that was
    /// refused, too. A receiver that refuses every token costs the token endpoint one request in [`REFUSED_KEPT`].
    pub(crate) fn refused(&self, token: &Arc<Token>) -> Refusal {
        let is_current = self.current.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, token));
        let is_spent = token.accepted.load(Ordering::Relaxed) || !token.after_refusal;
        let is_new = token.granted_at.elapsed() < REFUSED_KEPT;
        // Of several attempts with one token the first to be refused drops it; by the next, another may be there.
        if is_current && (is_spent || !is_new) {
            self.last_refused.store(true, Ordering::Relaxed);
            self.current.store(None);
        }
        if is_spent { Refusal::TryAnother } else { Refusal::Final }
    }

    /// Asks for a token, unless that has failed just now.
    async fn ask_unless_failed(
        &self,
        clients: &HttpClients,
        shard: usize,
        limit: Duration,
    ) -> Result<Arc<Token>, NoToken> {
        let recent = self.failed.lock().clone().filter(|(at, _)| at.elapsed() < FAILED_PAUSE);
        if let Some((_, fault)) = recent {
            return Err(fault);
        }
        let asked = timeout(limit, self.ask(clients, shard)).await;
        match asked.unwrap_or_else(|_| Err(NoToken::new("no answer in time"))) {
            Ok(Granted { value, lifetime }) => {
                let now = Instant::now();
                let token = Arc::new(Token {
                    value,
                    granted_at: now,
                    renew_at: now + early(lifetime),
                    expires_at: now + lifetime,
                    after_refusal: self.last_refused.swap(false, Ordering::Relaxed),
                    accepted: AtomicBool::new(false),
                });
                self.current.store(Some(token.clone()));
                *self.failed.lock() = None;
                Ok(token)
            }
            Err(fault) => {
                *self.failed.lock() = Some((Instant::now(), fault.clone()));
                Err(fault)
            }
        }
    }

    async fn ask(&self, clients: &HttpClients, shard: usize) -> Result<Granted, NoToken> {
        let set = match self.clients.get() {
            Some(set) => set,
            None => {
                let set = clients.reaching(&self.reach).map_err(|error| NoToken::of(&error))?;
                self.clients.get_or_init(|| set)
            }
        };
        let answer = set.of(shard).execute(self.request()).await;
        granted(answer.map_err(|error| NoToken::of(&error.without_url()))?).await
    }

    fn request(&self) -> Request {
        let OAuth2 { token_url, client_id, client_secret, client_auth, scope, parameters } = &self.oauth2;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(scope) = scope {
            form.append_pair("scope", scope);
        }
        parameters.iter().for_each(|(name, value)| {
            form.append_pair(name, value);
        });
        let mut request = Request::new(Method::POST, token_url.clone());
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        match client_auth {
            ClientAuth::Body => {
                form.append_pair("client_id", client_id).append_pair("client_secret", client_secret);
            }
            ClientAuth::Basic => {
                let encoded =
                    |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encoded(client_id), encoded(client_secret));
                // Base64 always is a header's value.
                if let Ok(mut value) = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))) {
                    value.set_sensitive(true);
                    headers.insert(AUTHORIZATION, value);
                }
            }
        }
        *request.body_mut() = Some(form.finish().into());
        request
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("oauth2", &self.oauth2).finish_non_exhaustive()
    }
}

/// When a token of this lifetime is renewed: a minute before its end, or a tenth of its lifetime if that is less.
fn early(lifetime: Duration) -> Duration {
    lifetime - Duration::from_secs(60).min(lifetime / 10)
}

#[cfg(test)]
mod tests;
