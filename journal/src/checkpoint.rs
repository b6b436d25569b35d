//! Tree heads as they are signed and believed: checkpoints (<https://c2sp.org/tlog-checkpoint>) in signed notes
//! (<https://c2sp.org/signed-note>), by Ed25519.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use domain::tree_head::SignedHead;
use ed25519_dalek::SigningKey;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use signed_note::{
    Note, NoteError, StandardSigner, StandardVerifier, Verifier, VerifierList, generate_key, new_ed25519_verifier_key,
};
use tlog_tiles::checkpoint::Checkpoint;

use crate::tree::{Hash, Tree};

/// What the tree is called in checkpoints and keys.
pub const ORIGIN: &str = "ludoteca/journal";

/// The first byte of an encoded key: Ed25519 (C2SP signed-note).
const ED25519: u8 = 1;

/// Why a text is not a key of tree heads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeadKey {
    /// One to sign with was wanted.
    #[error("must be PRIVATE+KEY+{ORIGIN}+ID+BASE64 (C2SP signed-note, Ed25519)")]
    Private,
    /// One to verify with was wanted.
    #[error("must be a JWKS with keys of use \"treehead\", or {ORIGIN}+ID+BASE64 (C2SP signed-note, Ed25519)")]
    Public,
}

/// Why a checkpoint is not believed.
#[derive(Debug, thiserror::Error)]
pub enum DoubtfulHead {
    /// None of the keys has signed it.
    #[error("the signature is not by a key that is believed: {0}")]
    Signature(#[from] NoteError),
    /// It is of something else.
    #[error("it is no checkpoint of {ORIGIN}")]
    Form,
}

/// The key that tree heads are signed with.
#[derive(Clone)]
pub struct HeadKey {
    signer: StandardSigner,
    public: String,
}

impl HeadKey {
    /// A new private key.
    #[must_use]
    pub fn generate() -> SecretString {
        generate_key(&mut rand::rngs::OsRng, ORIGIN).0.into()
    }

    /// Reads a private key.
    ///
    /// # Errors
    /// [`InvalidHeadKey::Private`] for another text, and for a key of another tree.
    pub fn parse(private: &SecretString) -> Result<Self, InvalidHeadKey> {
        let (invalid, private) = (InvalidHeadKey::Private, private.expose_secret().trim());
        let signer = StandardSigner::new(private).map_err(|_| invalid.clone())?;
        let encoded = private.strip_prefix(&format!("PRIVATE+KEY+{ORIGIN}+")).and_then(|rest| rest.split_once('+'));
        let (_, encoded) = encoded.ok_or_else(|| invalid.clone())?;
        let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| invalid.clone())?;
        let key = bytes.split_first().and_then(|(_, key)| SigningKey::try_from(key).ok()).ok_or(invalid)?;
        Ok(Self { signer, public: new_ed25519_verifier_key(ORIGIN, &key.verifying_key()) })
    }

    /// The public key: `ludoteca/journal+ID+BASE64`.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }

    /// Signs what a tree has come to.
    ///
    /// # Errors
    /// [`DoubtfulHead`] where the signature cannot be made.
    pub fn sign(&self, tree: &Tree) -> Result<SignedHead, DoubtfulHead> {
        let head = Checkpoint::new(ORIGIN, tree.size(), tree.root(), "").map_err(|_| DoubtfulHead::Form)?;
        let text = String::from_utf8(head.to_bytes()).map_err(|_| DoubtfulHead::Form)?;
        SignedHead::parse(self.sign_text(&text)?).map_err(|_| DoubtfulHead::Form)
    }

    /// Signs lines of text, the first of which says what they are and is not [`ORIGIN`].
    ///
    /// # Errors
    /// [`DoubtfulHead`] for what is not lines of text, or where the signature cannot be made.
    pub fn sign_text(&self, text: &str) -> Result<String, DoubtfulHead> {
        let mut note = Note::new(text.as_bytes(), &[])?;
        note.add_sigs(&[&self.signer])?;
        String::from_utf8(note.to_bytes()).map_err(|_| DoubtfulHead::Form)
    }
}

/// The keys that tree heads are believed by.
pub struct HeadKeys(VerifierList);

impl HeadKeys {
    /// Reads a JWKS, whose other keys are passed over, or public keys, one a line.
    ///
    /// # Errors
    /// [`InvalidHeadKey::Public`] where there is none that is valid.
    pub fn parse(text: &str) -> Result<Self, InvalidHeadKey> {
        let mut keys: Vec<String> = match serde_json::from_str::<Value>(text) {
            Ok(jwks) => {
                let keys = jwks.get("keys").and_then(Value::as_array);
                keys.into_iter().flatten().filter_map(from_jwk).collect()
            }
            Err(_) => text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect(),
        };
        // One that is there twice would be none: nobody could say which is meant.
        keys.sort_unstable();
        keys.dedup();
        let keys = keys.iter().filter_map(|key| StandardVerifier::new(key).ok());
        let keys: Vec<_> = keys.map(|key| Box::new(key) as Box<dyn Verifier>).collect();
        if keys.is_empty() { Err(InvalidHeadKey::Public) } else { Ok(Self(VerifierList::new(keys))) }
    }

    /// The size and the root that a checkpoint states, where one of the keys has signed it.
    ///
    /// # Errors
    /// [`DoubtfulHead`] says why it is not believed.
    pub fn open(&self, checkpoint: &str) -> Result<(u64, Hash), DoubtfulHead> {
        let head = Checkpoint::from_bytes(self.open_text(checkpoint)?.as_bytes()).map_err(|_| DoubtfulHead::Form)?;
        if head.origin() == ORIGIN { Ok((head.size(), *head.hash())) } else { Err(DoubtfulHead::Form) }
    }

    /// The text of a note, where one of the keys has signed it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_text(&self, note: &str) -> Result<String, DoubtfulHead> {
        let note = Note::from_bytes(note.as_bytes())?;
        note.verify(&self.0)?;
        String::from_utf8(note.text().to_vec()).map_err(|_| DoubtfulHead::Form)
    }
}

/// A public key as one of a JWKS (RFC 8037). Its use is not `sig`, so that nobody believes a token by it.
#[must_use]
pub fn to_jwk(public: &str) -> Option<Value> {
    let id = public.get(..ORIGIN.len().saturating_add("+12345678".len()))?;
    let encoded = public.strip_prefix(id)?.strip_prefix('+')?;
    let bytes = BASE64_STANDARD.decode(encoded).ok()?;
    let (_, key) = bytes.split_first()?;
    let x = BASE64_URL_SAFE_NO_PAD.encode(key);
    Some(json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": USE, "kid": id, "x": x }))
}

/// What keys of tree heads are for, in a JWKS.
const USE: &str = "treehead";

fn from_jwk(jwk: &Value) -> Option<String> {
    let (id, x) = (jwk["kid"].as_str()?, jwk["x"].as_str()?);
    let is_one = jwk["use"] == USE && jwk["kty"] == "OKP" && jwk["crv"] == "Ed25519";
    let key = BASE64_URL_SAFE_NO_PAD.decode(x).ok().filter(|_| is_one)?;
    Some(format!("{id}+{}", BASE64_STANDARD.encode([&[ED25519], key.as_slice()].concat())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::leaf;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        (0..5_u8).for_each(|n| tree.push(leaf(&[n])));
        tree
    }

    #[test]
    fn what_a_key_has_signed_is_believed_by_it_and_by_its_jwk() {
        let key = HeadKey::parse(&HeadKey::generate()).unwrap();
        let head = key.sign(&tree()).unwrap();
        let jwks = json!({ "keys": [{ "use": "sig", "kid": "another" }, to_jwk(key.public()).unwrap()] }).to_string();
        for keys in [key.public(), &jwks] {
            let opened = HeadKeys::parse(keys).unwrap().open(head.checkpoint()).unwrap();
            assert_eq!(opened, (5, tree().root()));
        }
        assert_eq!((head.size(), head.root()), (5, tree().root().to_string().as_str()));
    }

    #[test]
    fn nothing_else_is_believed() {
        let (key, other) =
            (HeadKey::parse(&HeadKey::generate()).unwrap(), HeadKey::parse(&HeadKey::generate()).unwrap());
        let head = key.sign(&tree()).unwrap();
        let keys = HeadKeys::parse(key.public()).unwrap();
        assert!(keys.open(other.sign(&tree()).unwrap().checkpoint()).is_err());
        assert!(keys.open(&head.checkpoint().replacen("\n5\n", "\n6\n", 1)).is_err());
        assert!(keys.open("").is_err());
        for none in ["", "{}", r#"{"keys":[]}"#, "ludoteca/journal+00000000+AAAA"] {
            assert_eq!(HeadKeys::parse(none).err(), Some(InvalidHeadKey::Public), "{none}");
        }
        assert_eq!(HeadKey::parse(&"PRIVATE+KEY+other+00000000+AAAA".into()).err(), Some(InvalidHeadKey::Private));
    }
}
