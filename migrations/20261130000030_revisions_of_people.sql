-- How often a person's data was written: whoever changes it names the revision that they have seen.
alter table read.users add column revision bigint not null default 1;
update read.users person
set revision = (select count(*)
                from journal.events
                where aggregate_type = 'user' and aggregate_id = person.user_id::text
                  and event_type in ('UserRegistered', 'UserProfileChanged', 'UserBirthDateConfirmed')
                  and sequence <= person.version);
