//! From stored forms to events: the one way back, for whoever reads the journal or its mirror.
//!
//! Each aggregate's `stored.rs` is the current form of its events, apart from the events that decide. A form that was
//! once written is read for ever: where an event type gets a new one, an entry in [`UPCASTS`] turns the form before into
//! it, and that entry is what raises the type's version. `domain/corpus` keeps an example of every form.

use cqrs_es::DomainEvent;
use serde_json::Value;

use crate::event::UnreadableEvent;

#[cfg(test)]
mod tests;

/// Turns one version of an event type's stored form into the next.
struct Upcast {
    event_type: &'static str,
    to_next: fn(&mut Value),
}

/// In the order of their versions: the first of a type leads from 1 to 2.
const UPCASTS: [Upcast; 4] = [
    Upcast { event_type: "UserRegistered", to_next: name_the_seal },
    Upcast { event_type: "UserRegistered", to_next: await_nothing },
    Upcast { event_type: "UserProfileChanged", to_next: name_the_seal },
    Upcast { event_type: "UserProfileChanged", to_next: say_what_changed },
];

/// The version that events of a type are stored in today, from 1.
#[must_use]
pub fn version(event_type: &str) -> usize {
    upcasts(event_type).count().saturating_add(1)
}

/// Reads an event from its stored form, of whatever version.
///
/// # Errors
/// [`UnreadableEvent`] for a version newer than this program, and for a payload that has not the form of its type.
pub fn read<E: DomainEvent>(event_type: &str, version: &str, payload: &str) -> Result<E, UnreadableEvent> {
    let known = self::version(event_type);
    match version.parse::<usize>() {
        Ok(current) if current == known => Ok(serde_json::from_str(payload)?),
        Ok(old) if (1..known).contains(&old) => {
            let mut payload: Value = serde_json::from_str(payload)?;
            upcasts(event_type).skip(old.saturating_sub(1)).for_each(|upcast| (upcast.to_next)(&mut payload));
            Ok(serde_json::from_value(payload)?)
        }
        Ok(_) | Err(_) => {
            Err(UnreadableEvent::Version { event_type: event_type.to_owned(), version: version.to_owned() })
        }
    }
}

fn upcasts(event_type: &str) -> impl Iterator<Item = &'static Upcast> {
    UPCASTS.iter().filter(move |upcast| upcast.event_type == event_type)
}

/// Sealed values used to be bare; now their first character names how they were sealed, and there was one way.
fn name_the_seal(payload: &mut Value) {
    for field in ["name", "email", "birth_date"] {
        if let Some(Value::String(sealed)) = payload.pointer_mut(&format!("/profile/{field}")) {
            sealed.insert(0, '1');
        }
    }
}

/// Accounts used to open at once.
fn await_nothing(payload: &mut Value) {
    if let Value::Object(fields) = payload {
        fields.insert("awaits_confirmation".to_owned(), Value::Bool(false));
    }
}

/// A change of a profile used not to say what it changed: the address may have been part of it, and every birth date
/// counted.
fn say_what_changed(payload: &mut Value) {
    if let Value::Object(fields) = payload {
        fields.insert("address_changed".to_owned(), Value::Bool(true));
        fields.insert("birth_date".to_owned(), Value::String("unchanged".to_owned()));
    }
}
