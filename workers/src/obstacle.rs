use commands::CommandError;
use nats::NatsError;
use psp::PspError;

/// What is in the way of a worker's step. The step is done again later; nothing is lost by it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Obstacle {
    /// The PSP did not do what was asked, or its answer is not known.
    #[error(transparent)]
    Psp(#[from] PspError),
    /// The store refused, or could not say.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The server did not answer.
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// A read model could not be read.
    #[error("read model: {0}")]
    ReadModel(#[from] sqlx::Error),
    /// The PSP tells of a payment what the store has not recorded the beginning of.
    #[error("the payment has not got so far yet")]
    Early,
    /// The PSP knows of the payment and nothing has come of it.
    #[error("the PSP has not charged yet")]
    Open,
}

impl Obstacle {
    /// Whether the store itself said no: what was asked for is done already, or never to be done.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Command(error) if !error.is_passing())
    }

    /// Whether asking again would not help: the store said no, or the PSP knows no such thing.
    pub(crate) fn is_final(&self) -> bool {
        self.is_refusal() || matches!(self, Self::Psp(PspError::Refused { .. }))
    }
}
