//! What is stored of a tree head, version by version in `domain/corpus`.

use serde::{Deserialize, Serialize};

use super::{SignedHead, TreeHeadEvent};

/// The current form of each event; older ones are brought to it by `crate::stored`. That both have the same fields, the
/// compiler holds them to; where they no longer should, the conversion belongs here.
#[derive(Serialize, Deserialize)]
#[serde(remote = "TreeHeadEvent", tag = "type")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Stored {
    TreeHeadSigned(SignedHead),
}
