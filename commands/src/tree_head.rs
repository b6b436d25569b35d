use domain::TreeHeadId;
use domain::tree_head::{SignedHead, TreeHead, TreeHeadCommand};
use journal::Loaded;

use crate::actor::Actor;
use crate::executor::Receipt;
use crate::{CommandError, Commands};

impl Commands {
    /// Records what was signed of the events so far.
    ///
    /// # Errors
    /// [`CommandError::TreeHead`] where another root was signed for as many events, and those of every use case.
    pub async fn sign_tree_head(&self, head: SignedHead) -> Result<Receipt<TreeHead>, CommandError> {
        let (context, id) = (self.context(Actor::System("notary")), TreeHeadId::of_size(head.size()));
        let sign = |_: &Loaded<TreeHead>| Ok::<_, CommandError>(vec![TreeHeadCommand::Sign(head.clone())]);
        self.execute(&context, id.as_uuid(), sign).await
    }
}
