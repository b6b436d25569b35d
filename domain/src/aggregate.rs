//! The seam between our decisions and `cqrs-es`: an adapter without a thought of its own.

/// Makes an aggregate with `decide` and `evolve` usable by `cqrs-es` and its repositories.
macro_rules! aggregate {
    ($aggregate:ty, $kind:literal, $command:ty, $event:ty, $error:ty) => {
        impl cqrs_es::DomainEvent for $event {
            fn event_type(&self) -> String {
                <&'static str>::from(self).to_owned()
            }

            fn event_version(&self) -> String {
                $crate::event::VERSION.to_owned()
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
