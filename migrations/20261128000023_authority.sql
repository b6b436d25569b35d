-- Gateways look once a second for who was erased or given another role lately.
create index events_of_authority on journal.events (recorded_at)
  where event_type in ('UserErased', 'UserRoleChanged');
