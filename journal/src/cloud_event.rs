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
        CloudEvent {
            specversion: "1.0".into(),
            id: self.event_id,
            source: "/ludoteca".into(),
            kind: self.event_type.as_str().into(),
            subject: format!("{}/{}", self.aggregate_type, self.aggregate_id).into(),
            time: self.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true).into(),
            datacontenttype: "application/json".into(),
            aggregate: self.aggregate_type.as_str().into(),
            aggregateid: self.aggregate_id.as_str().into(),
            aggregateversion: self.sequence,
            eventversion: self.event_version.as_str().into(),
            dataschema: format!("urn:ludoteca:event:{}:{}", self.event_type, self.event_version).into(),
            partitionkey,
            correlationid: correlation_id,
            causationid: causation_id,
            traceparent,
            data: &self.payload,
        }
    }
}

impl CloudEvent<'_> {
    /// When it was recorded.
    ///
    /// # Errors
    /// When `time` is no RFC 3339 time.
    pub fn recorded_at(&self) -> Result<DateTime<Utc>, chrono::ParseError> {
        Ok(DateTime::parse_from_rfc3339(&self.time)?.to_utc())
    }
}
