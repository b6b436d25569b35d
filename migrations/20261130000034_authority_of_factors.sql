-- What authority changes: what somebody opens their account by, as well.
drop index journal.events_of_authority;
create index events_of_authority on journal.events (recorded_at)
  where event_type in ('UserErased', 'UserRoleChanged', 'UserPasswordChanged', 'UserSessionsEnded', 'UserApiKeyRevoked',
                       'UserAuthenticatorAdded', 'UserAuthenticatorRemoved');
