//! What an endpoint has that most have not: another shape, other signatures, access tokens, TLS of its own, a proxy.

use std::sync::Arc;

use http::{HeaderValue, Method, header::AUTHORIZATION};

use super::{
    super::{
        batch::{BatchPolicy, Batches},
        egress::Egress,
        header_signature::HeaderSignature,
        oauth2::{OAuth2, Tokens},
        reach::{EgressProxy, OwnTls, Reach},
        shape::Shape,
    },
    Endpoint, EndpointError, WEBHOOK_SIGNATURE,
};

/// What an endpoint has that most have not. The default is none of it.
#[derive(Clone, Debug, Default)]
pub struct Special {
    /// The shape of its requests. The content type of its bodies is one of the extra headers, unless it is the usual one.
    pub shape: Shape,
    /// Signatures in headers that the config names.
    pub signatures: Vec<HeaderSignature>,
    /// Where its access tokens come from.
    pub oauth2: Option<OAuth2>,
    /// Authorities and a certificate of its own.
    pub tls: Option<Arc<OwnTls>>,
    /// The proxy its connections go through.
    pub proxy: Option<Arc<EgressProxy>>,
    /// How many events go in one post; none for one each, as they are. The shape must not make URL or headers of an event.
    pub batch: Option<BatchPolicy>,
}

impl Endpoint {
    /// This endpoint with `special`, for which `egress` holds as for its URL.
    ///
    /// # Errors
    /// A signature has the header of another one, or the token endpoint is not allowed.
    pub fn with(mut self, special: Special, egress: &Egress) -> Result<Self, EndpointError> {
        let Special { shape, signatures, oauth2, tls, proxy, batch } = special;
        self.reach = Reach { tls, proxy, ..self.reach };
        self.tokens =
            oauth2.map(|oauth2| Tokens::new(oauth2, &self.reach, egress)).transpose()?.map(Arc::new);
        if self.signer.is_empty() || !signatures.is_empty() {
            let headers = Arc::make_mut(&mut self.headers);
            if self.signer.is_empty() {
                headers.remove(WEBHOOK_SIGNATURE);
            }
            // The names stand in the map already, so that setting them never grows it.
            for signature in &signatures {
                let name = signature.name();
                let is_tokens = self.tokens.is_some() && *name == AUTHORIZATION;
                if headers.insert(name.clone(), HeaderValue::from_static("")).is_some() || is_tokens {
                    return Err(EndpointError::SignatureTwice { name: name.to_string() });
                }
            }
        }
        self.method = shape.method.clone();
        self.shape = (!shape.is_usual()).then(|| Arc::new(shape));
        self.signatures = signatures.into();
        self.batches = batch.map(|policy| Arc::new(Batches::new(policy)));
        Ok(self)
    }

    /// The method of its requests.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// What it makes of an event; none for the original bytes.
    pub(crate) fn shape(&self) -> Option<&Shape> {
        self.shape.as_deref()
    }

    /// What gathers its events; none if each goes by itself.
    pub(crate) fn batches(&self) -> Option<&Batches> {
        self.batches.as_deref()
    }

    /// The proxy its connections go through.
    pub(crate) fn proxy(&self) -> Option<&EgressProxy> {
        self.reach.proxy.as_deref()
    }

    /// The access tokens it needs.
    pub(crate) fn tokens(&self) -> Option<&Tokens> {
        self.tokens.as_deref()
    }
}
