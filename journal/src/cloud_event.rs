//! The public form of an event: CloudEvents 1.0 in JSON, as it stands in the mirror and in replays.
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md>
//!
//! `partitionkey` and `traceparent` are its official extensions; the others are the store's own.
//! <https://github.com/cloudevents/spec/tree/v1.0.2/cloudevents/extensions>

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::read::{Metadata, Recorded};
use crate::tree::{Hash, leaf};

/// An event for readers outside of the journal.
#[derive(Debug, Serialize, Deserialize)]
pub struct CloudEvent<'a> {
    /// Always `1.0`.
    pub specversion: Cow<'a, str>,
    /// The event's own id.
    pub id: Uuid,
    /// Always `/ludoteca`.
    pub source: Cow<'a, str>,
    /// The event's name.
    #[serde(rename = "type")]
    pub kind: Cow<'a, str>,
    /// `<aggregate>/<id>`.
    pub subject: Cow<'a, str>,
    /// When it was recorded, in microseconds.
    pub time: Cow<'a, str>,
    /// Always JSON.
    pub datacontenttype: Cow<'a, str>,
    /// Which kind of aggregate.
    pub aggregate: Cow<'a, str>,
    /// Which aggregate.
    pub aggregateid: Cow<'a, str>,
    /// Its number within the aggregate, from 1.
    pub aggregateversion: i64,
    /// The version of the form of `data`.
    pub eventversion: Cow<'a, str>,
    /// The name of the form of `data`: `urn:ludoteca:event:<type>:<version>`.
    pub dataschema: Cow<'a, str>,
    /// What it stays in order with: for a payment its order, else its own aggregate.
    pub partitionkey: Uuid,
    /// The same for everything that follows from one wish of a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlationid: Option<Cow<'a, str>>,
    /// The event that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causationid: Option<Cow<'a, str>>,
    /// The trace of the request that it began with, <https://www.w3.org/TR/trace-context/>.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Cow<'a, str>>,
    /// The RFC 6962 leaf hash of the body before it in the mirror, in base64; the first has none, nor has an event that is
    /// told apart from the mirror.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previoushash: Option<Cow<'a, str>>,
    /// The event's stored form.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

impl Recorded {
    /// The event's public form.
    #[must_use]
    pub fn to_cloud_event(&self) -> CloudEvent<'_> {
        let metadata = self.metadata();
        let partitionkey = self.partition(&metadata);
        let Metadata { correlation_id, causation_id, traceparent, .. } = metadata;
        let (kind, id) = (self.aggregate_type.as_str(), self.aggregate_id.as_str());
        let time = self.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let event = (self.event_type.as_str(), self.event_version.as_str());
        CloudEvent {
            aggregateversion: self.sequence,
            partitionkey,
            correlationid: correlation_id,
            causationid: causation_id,
            traceparent,
            ..CloudEvent::of((kind, id), event, (self.event_id, time), &self.payload)
        }
    }
}

/// The bodies of the mirror, each of which carries the hash of the one before it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chain(Option<Hash>);

impl Chain {
    /// What follows a body.
    #[must_use]
    pub fn after(body: &[u8]) -> Self {
        Self(Some(leaf(body)))
    }

    /// The body of the next event, with the hash of the one before.
    ///
    /// # Errors
    /// Never for what the journal holds: texts and raw JSON can be written.
    pub fn body(&mut self, event: CloudEvent<'_>) -> serde_json::Result<Vec<u8>> {
        let previoushash = self.0.map(|hash| hash.to_string().into());
        let body = serde_json::to_vec(&CloudEvent { previoushash, ..event })?;
        *self = Self::after(&body);
        Ok(body)
    }
}

impl<'a> CloudEvent<'a> {
    /// The event of an aggregate, with what follows from its names; the rest is for the caller to say.
    pub fn of(
        (aggregate, aggregate_id): (&'a str, &'a str),
        (event_type, version): (&'a str, &'a str),
        (id, time): (Uuid, impl Into<Cow<'a, str>>),
        data: &'a RawValue,
    ) -> Self {
        Self {
            specversion: "1.0".into(),
            id,
            source: "/ludoteca".into(),
            kind: event_type.into(),
            subject: format!("{aggregate}/{aggregate_id}").into(),
            time: time.into(),
            datacontenttype: "application/json".into(),
            aggregate: aggregate.into(),
            aggregateid: aggregate_id.into(),
            aggregateversion: 1,
            eventversion: version.into(),
            dataschema: format!("urn:ludoteca:event:{event_type}:{version}").into(),
            partitionkey: id,
            correlationid: None,
            causationid: None,
            traceparent: None,
            previoushash: None,
            data,
        }
    }

    /// When it was recorded.
    ///
    /// # Errors
    /// When `time` is no RFC 3339 time.
    pub fn recorded_at(&self) -> Result<DateTime<Utc>, chrono::ParseError> {
        Ok(DateTime::parse_from_rfc3339(&self.time)?.to_utc())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    /// Roots that were signed are of these bytes: whoever writes them in another way makes all of history look forged.
    #[test]
    fn no_body_is_ever_written_otherwise_than_when_it_was_signed() {
        let data = RawValue::from_string(r#"{"type": "GameRetired"}"#.to_owned()).unwrap();
        let id = Uuid::from_u128(1);
        let of = || {
            let aggregate = ("game", "00000000-0000-0000-0000-000000000007");
            CloudEvent::of(aggregate, ("GameRetired", "1"), (id, "2026-11-30T12:00:00.000001Z"), &data)
        };
        let traced = CloudEvent {
            correlationid: Some("00000000-0000-0000-0000-000000000009".into()),
            causationid: Some("00000000-0000-0000-0000-000000000008".into()),
            traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
            ..of()
        };
        let (mut chain, mut tree) = (Chain::default(), Tree::default());
        for (event, written) in [(of(), FIRST), (traced, SECOND)] {
            let body = chain.body(event).unwrap();
            assert_eq!(String::from_utf8_lossy(&body), written);
            tree.push(leaf(&body));
        }
        assert_eq!(tree.root().to_string(), "JweFsQK8BcuS2Y4rhGH/wh2DXwZrGhqP7BRiy5D+f4c=");
    }

    const FIRST: &str = r#"{"specversion":"1.0","id":"00000000-0000-0000-0000-000000000001","source":"/ludoteca","type":"GameRetired","subject":"game/00000000-0000-0000-0000-000000000007","time":"2026-11-30T12:00:00.000001Z","datacontenttype":"application/json","aggregate":"game","aggregateid":"00000000-0000-0000-0000-000000000007","aggregateversion":1,"eventversion":"1","dataschema":"urn:ludoteca:event:GameRetired:1","partitionkey":"00000000-0000-0000-0000-000000000001","data":{"type": "GameRetired"}}"#;
    const SECOND: &str = r#"{"specversion":"1.0","id":"00000000-0000-0000-0000-000000000001","source":"/ludoteca","type":"GameRetired","subject":"game/00000000-0000-0000-0000-000000000007","time":"2026-11-30T12:00:00.000001Z","datacontenttype":"application/json","aggregate":"game","aggregateid":"00000000-0000-0000-0000-000000000007","aggregateversion":1,"eventversion":"1","dataschema":"urn:ludoteca:event:GameRetired:1","partitionkey":"00000000-0000-0000-0000-000000000001","correlationid":"00000000-0000-0000-0000-000000000009","causationid":"00000000-0000-0000-0000-000000000008","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","previoushash":"jDAH5Cittq5BlpdZrhsmxoreuOWxG5xas6sD7sh46/c=","data":{"type": "GameRetired"}}"#;
}
