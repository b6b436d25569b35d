//! The seam between our decisions and `cqrs-es`: an adapter without a thought of its own.

use uuid::Uuid;

use crate::{Game, GameId, Order, OrderId, Payment, PaymentId, StoreEvent, TreeHead, TreeHeadId, User, UserId};

/// One of the five aggregates.
pub trait StoreAggregate: cqrs_es::Aggregate<Services = (), Event: Clone> + Clone + 'static {
    /// One of its events, as one of the store's.
    fn store_event(id: Uuid, event: Self::Event) -> StoreEvent;

    /// What its events are in line with: events of one partition are followed up one after another.
    fn partition(&self, id: Uuid) -> Uuid {
        id
    }
}

impl StoreAggregate for User {
    fn store_event(id: Uuid, event: Self::Event) -> StoreEvent {
        StoreEvent::User(UserId::from_uuid(id), event)
    }
}

impl StoreAggregate for Game {
    fn store_event(id: Uuid, event: Self::Event) -> StoreEvent {
        StoreEvent::Game(GameId::from_uuid(id), event)
    }
}

impl StoreAggregate for Order {
    fn store_event(id: Uuid, event: Self::Event) -> StoreEvent {
        StoreEvent::Order(OrderId::from_uuid(id), event)
    }
}

/// A payment is in line with its order.
impl StoreAggregate for Payment {
    fn store_event(id: Uuid, event: Self::Event) -> StoreEvent {
        StoreEvent::Payment(PaymentId::from_uuid(id), event)
    }

    fn partition(&self, id: Uuid) -> Uuid {
        self.terms().map_or(id, |terms| terms.order.as_uuid())
    }
}

impl StoreAggregate for TreeHead {
    fn store_event(id: Uuid, event: Self::Event) -> StoreEvent {
        StoreEvent::TreeHead(TreeHeadId::from_uuid(id), event)
    }
}

/// Makes an aggregate with `decide` and `evolve` usable by `cqrs-es` and its repositories; its events are written and
/// read in their stored form.
macro_rules! aggregate {
    ($aggregate:ty, $kind:literal, $command:ty, $event:ty, $error:ty, $stored:ty) => {
        impl serde::Serialize for $event {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$stored>::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $event {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <$stored>::deserialize(deserializer)
            }
        }

        impl cqrs_es::DomainEvent for $event {
            fn event_type(&self) -> String {
                <&'static str>::from(self).to_owned()
            }

            fn event_version(&self) -> String {
                $crate::stored::version(self.into()).to_string()
            }
        }

        impl $error {
            /// A stable name of the refusal, for clients and logs.
            #[must_use]
            pub fn code(&self) -> &'static str {
                self.into()
            }
        }

        impl cqrs_es::Aggregate for $aggregate {
            const TYPE: &'static str = $kind;
            type Command = $command;
            type Event = $event;
            type Error = $error;
            type Services = ();

            async fn handle(
                &mut self,
                command: Self::Command,
                _services: &(),
                sink: &cqrs_es::event_sink::EventSink<Self>,
            ) -> Result<(), Self::Error> {
                for event in self.decide(command)? {
                    sink.write(event, self).await;
                }
                Ok(())
            }

            fn apply(&mut self, event: Self::Event) {
                self.evolve(event);
            }
        }
    };
}

pub(crate) use aggregate;
