//! Access tokens: `EdDSA` (RFC 8037), a quarter of an hour, checked for everything that a token must say.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use commands::{Actor, Assurance, Commands, KeyHolder, Session};
use domain::user::Requirement;
use domain::{Role, SessionId, UserId};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use journal::to_jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use poem::web::headers::{self, Authorization, HeaderMapExt};
use poem::{Endpoint, Request, Result};
use poem_openapi::SecurityScheme;
use poem_openapi::auth::Bearer;
use poem_openapi::error::AuthorizationError;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::Store;
use crate::limits::Limits;
use crate::problem::Problem;
use crate::scope::Scopes;
use crate::security_log;

/// How long an access token is good for, in seconds.
pub const LIFETIME: i64 = 15 * 60;
/// How much two clocks may differ, in seconds.
const LEEWAY: i64 = 5;
const ISSUER: &str = "ludoteca";
const AUDIENCE: &str = "ludoteca-gateway";

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    role: Role,
    /// The session.
    sid: Uuid,
    /// How often all sessions of the account had been ended.
    generation: u32,
    /// How well the person has proven who they are (`OpenID` Connect Core 1.0, section 2).
    acr: Assurance,
    /// When the person proved who they are (`OpenID` Connect Core 1.0, section 2).
    auth_time: i64,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// Whom an access token speaks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    /// Who, as far as the token knows.
    pub(crate) actor: Actor,
    /// In which session.
    pub(crate) session: SessionId,
    /// How often all sessions of the account had been ended.
    pub(crate) generation: u32,
    /// For how long the token is still good: what it opens ends then.
    pub(crate) life: Duration,
}

/// A program with a key; the key is its session, which no password ends.
impl From<KeyHolder> for Identity {
    fn from(holder: KeyHolder) -> Self {
        let KeyHolder { user, role, key, life, assurance, .. } = holder;
        let actor = Actor::of_key(key, user, role, (assurance, Requirement::Optional));
        let session = SessionId::from_uuid(key.as_uuid());
        // What is open longer than a token is good is opened anew: no change is remembered for longer (`authority`).
        let life = life.min(Duration::from_secs(LIFETIME.unsigned_abs()));
        Self { actor, session, generation: u32::MAX, life }
    }
}

/// A key pair of the gateway.
struct Key {
    id: String,
    public: String,
    signing: EncodingKey,
    verifying: DecodingKey,
}

/// The key pairs of the gateway: the first signs, all are believed and published, so that one can follow another
/// without anybody being logged out.
pub struct Keys {
    first: Key,
    others: Vec<Key>,
}

/// An invalid key.
#[derive(Debug, thiserror::Error)]
#[error("the JWT keys must be Ed25519 private keys in PKCS #8 PEM, and none that everybody knows")]
pub struct KeyError;

/// A new private key, as PEM.
///
/// # Errors
/// When the key cannot be written as PEM.
pub fn generate_key() -> Result<SecretString, KeyError> {
    let key = SigningKey::generate(&mut rand::rngs::OsRng);
    let pem = key.to_pkcs8_pem(ed25519_dalek::pkcs8::spki::der::pem::LineEnding::LF).map_err(|_| KeyError)?;
    Ok(pem.as_str().into())
}

/// The single keys of a file of PEM blocks.
#[must_use]
pub fn split_keys(pem: &str) -> Vec<SecretString> {
    const END: &str = "-----END PRIVATE KEY-----";
    let blocks = pem.split_inclusive(END).map(str::trim).filter(|block| !block.is_empty());
    blocks.map(|block| format!("{block}\n").into()).collect()
}

/// What a private key (PEM) is called in tokens.
///
/// # Errors
/// [`KeyError`].
pub fn key_id(pem: &SecretString) -> Result<String, KeyError> {
    Ok(Key::from_pem(pem)?.id)
}

/// The private key of the examples in RFC 8037 (A.1) and RFC 8032 (7.1, test 1), in base64.
const EXAMPLE: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

/// Whether a private key is from documents, or the same byte over and over.
fn everybody_knows(key: &[u8; 32]) -> bool {
    BASE64_URL_SAFE_NO_PAD.encode(key) == EXAMPLE || key.iter().all(|byte| Some(byte) == key.first())
}

impl Key {
    fn from_pem(pem: &SecretString) -> Result<Self, KeyError> {
        let key = SigningKey::from_pkcs8_pem(pem.expose_secret()).map_err(|_| KeyError)?;
        if everybody_knows(key.as_bytes()) {
            return Err(KeyError);
        }
        let der = key.to_pkcs8_der().map_err(|_| KeyError)?;
        let public = key.verifying_key();
        let thumbprint = Sha256::digest(public.as_bytes());
        let id = BASE64_URL_SAFE_NO_PAD.encode(thumbprint.get(..12).unwrap_or_default());
        Ok(Self {
            id,
            public: BASE64_URL_SAFE_NO_PAD.encode(public.as_bytes()),
            signing: EncodingKey::from_ed_der(der.as_bytes()),
            verifying: DecodingKey::from_ed_der(public.as_bytes()),
        })
    }
}

impl Keys {
    /// Reads private keys from PEM, the one that signs first.
    ///
    /// # Errors
    /// [`KeyError`] where one is invalid, or there are none.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let mut keys = split_keys(pem).iter().map(Key::from_pem).collect::<Result<Vec<_>, _>>()?.into_iter();
        Ok(Self { first: keys.next().ok_or(KeyError)?, others: keys.collect() })
    }

    fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// A token for somebody who has logged in.
    pub(crate) fn sign(&self, session: &Session, now: DateTime<Utc>) -> Result<String, jsonwebtoken::errors::Error> {
        let now = now.timestamp();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: session.user.to_string(),
            role: session.role,
            sid: session.id.as_uuid(),
            generation: session.generation,
            acr: session.assurance,
            auth_time: session.proven_at.timestamp(),
            iat: now,
            nbf: now,
            exp: now.saturating_add(LIFETIME),
        };
        let header = Header { kid: Some(self.first.id.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, &claims, &self.first.signing)
    }

    /// Whom a token speaks for; nobody unless it is ours, in time and complete.
    pub(crate) fn verify(&self, token: &str, now: DateTime<Utc>) -> Option<Identity> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let key = self.all().find(|key| header.kid.as_deref() == Some(&key.id))?;
        if header.alg != Algorithm::EdDSA {
            return None;
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        // Judged below, by the store's clock.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.verifying, &validation).ok()?.claims;
        let now = now.timestamp();
        let in_time = claims.nbf.saturating_sub(LEEWAY) <= now && now < claims.exp.saturating_add(LEEWAY);
        if !in_time {
            return None;
        }
        let proven_at = DateTime::from_timestamp(claims.auth_time, 0)?;
        Some(Identity {
            actor: Actor::User {
                id: UserId::parse(&claims.sub).ok()?,
                role: claims.role,
                proven_at,
                assurance: claims.acr,
                lacks_second_factor: false,
                key: None,
            },
            session: SessionId::from_uuid(claims.sid),
            generation: claims.generation,
            life: Duration::from_secs(u64::try_from(claims.exp.saturating_sub(now)).unwrap_or_default()),
        })
    }

    /// The public keys as a JSON Web Key Set (RFC 7517), and those of tree heads behind them.
    pub(crate) fn jwks(&self, of_heads: &[String]) -> serde_json::Value {
        let keys = self.all().map(|key| {
            serde_json::json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.id, "x": key.public,
            })
        });
        let of_heads = of_heads.iter().filter_map(|key| to_jwk(key));
        serde_json::json!({ "keys": keys.chain(of_heads).collect::<Vec<_>>() })
    }
}

/// Somebody who has logged in.
#[derive(SecurityScheme)]
#[oai(ty = "bearer", bearer_format = "JWT", key_name = "access token", checker = "check")]
pub(crate) struct SignedIn(pub(crate) Actor);

async fn check(request: &Request, _: Bearer) -> Result<Actor> {
    request.data::<Actor>().copied().ok_or_else(|| AuthorizationError.into())
}

/// Reads the access token of a request, wherever it goes: one that is not good speaks for nobody, not for a stranger. Who
/// logs in is somebody else from then on, so the old one does not matter there.
pub(crate) async fn known<E: Endpoint>(endpoint: Arc<E>, mut request: Request) -> Result<E::Output> {
    let bearer = request.headers().typed_get::<Authorization<headers::authorization::Bearer>>();
    if let (Some(bearer), false) = (bearer, request.uri().path().starts_with("/login/")) {
        let store = request.data::<Arc<Store>>().cloned().ok_or(AuthorizationError)?;
        let identity = if Commands::is_api_key(bearer.token()) {
            let holder = store.commands.holder_of_key(bearer.token()).await.map_err(Problem::from)?;
            if let Some(holder) = &holder {
                // It was read just now.
                store.authority.note_role(holder);
                request.set_data(Scopes(holder.scopes.clone()));
            }
            holder.map(Identity::from)
        } else {
            store.secrets().keys.verify(bearer.token(), store.commands.clock().now())
        };
        // One of somebody who was erased or logged out speaks for nobody, and one of somebody with another role since for
        // that role.
        let actor = identity.map(|identity| store.authority.now(&identity)).transpose()?.flatten();
        let (Some(identity), Some(actor)) = (identity, actor) else {
            request.data::<Arc<Limits>>().map_or(Ok(()), |limits| limits.bad_token(&request))?;
            security_log::bad_token(&request, identity.and_then(|identity| identity.actor.user()));
            return Err(AuthorizationError.into());
        };
        request.set_data(actor);
        request.set_data(identity);
    }
    endpoint.call(request).await
}

/// Anyone; somebody who sends an access token is known by it.
#[derive(SecurityScheme)]
pub(crate) enum Visitor {
    /// Somebody who has logged in.
    Known(SignedIn),
    /// Somebody who has not.
    #[oai(fallback)]
    Anyone,
}

impl Visitor {
    /// Whose games are to be told from others: nobody's to a program, whose key is good for the catalogue only.
    pub(crate) fn buyer(&self) -> Option<UserId> {
        match self {
            Self::Known(SignedIn(actor)) if actor.key().is_none() => actor.user(),
            Self::Known(_) | Self::Anyone => None,
        }
    }

    /// Refuses everybody but admins.
    pub(crate) fn must_be_admin(&self) -> Result<(), Problem> {
        match self {
            Self::Known(SignedIn(actor)) => Ok(actor.must_be_admin()?),
            Self::Anyone => Err(Problem::of_framework(&AuthorizationError.into())),
        }
    }
}
