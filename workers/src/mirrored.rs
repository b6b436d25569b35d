//! An event as it comes out of the mirror.

use anyhow::Context as _;
use domain::StoreEvent;
use journal::{CloudEvent, Position};
use nats::{Delivery, Stored};
use projections::Envelope;
use serde::Deserialize;
use uuid::Uuid;

/// The header that ties a message to its place in the journal.
pub(crate) const POSITION: &str = "Journal-Position";

/// An event of the mirror, read to its parts.
#[derive(Debug)]
pub struct Mirrored {
    /// As the projections take it.
    pub envelope: Envelope,
    /// What it belongs to.
    pub correlation: Uuid,
    /// What it stays in order with.
    pub partition: Uuid,
}

impl Mirrored {
    /// Reads a message of EVENTS.
    ///
    /// # Errors
    /// When the relay did not write it.
    pub fn of(sequence: u64, position: Option<&str>, payload: &[u8]) -> anyhow::Result<Self> {
        let position: Position = position.context("no journal position")?.parse()?;
        let event: CloudEvent<'_> = serde_json::from_slice(payload)?;
        let correlation = event.correlationid.as_deref().and_then(|id| id.parse().ok()).unwrap_or(event.id);
        let envelope = Envelope {
            sequence: sequence.try_into()?,
            position,
            event_id: event.id,
            aggregate: event.aggregate.as_ref().to_owned(),
            aggregate_id: event.aggregateid.as_ref().to_owned(),
            version: event.aggregateversion,
            event_type: event.kind.as_ref().to_owned(),
            event_version: event.eventversion.as_ref().to_owned(),
            payload: event.data.get().to_owned(),
            at: event.recorded_at()?,
        };
        Ok(Self { envelope, correlation, partition: event.partitionkey })
    }

    /// What happened.
    ///
    /// # Errors
    /// When this program cannot read it.
    pub fn event(&self) -> anyhow::Result<StoreEvent> {
        let Envelope { aggregate, aggregate_id, event_type, event_version, payload, .. } = &self.envelope;
        Ok(StoreEvent::read(aggregate, aggregate_id, event_type, event_version, payload)?)
    }
}

/// Which event a message of EVENTS claims to be, and where that claims to stand, whoever wrote it.
pub(crate) fn claim(stored: &Stored) -> (Option<Uuid>, Option<Position>) {
    #[derive(Deserialize)]
    struct Named {
        id: Uuid,
    }
    let named = serde_json::from_slice::<Named>(&stored.payload).ok();
    (named.map(|named| named.id), stored.header(POSITION).and_then(|position| position.parse().ok()))
}

impl TryFrom<&Delivery> for Mirrored {
    type Error = anyhow::Error;

    fn try_from(delivery: &Delivery) -> anyhow::Result<Self> {
        Self::of(delivery.sequence(), delivery.header(POSITION), delivery.payload())
    }
}

impl TryFrom<&Stored> for Mirrored {
    type Error = anyhow::Error;

    fn try_from(stored: &Stored) -> anyhow::Result<Self> {
        Self::of(stored.sequence, stored.header(POSITION), &stored.payload)
    }
}
