mod held;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::test::TestFramework;
use proptest::prelude::*;

use self::held::{add, remove};
use super::*;
use crate::person::{Sealed, SealedEmail};
use crate::{CommandId, EventId};

fn user() -> TestFramework<User> {
    TestFramework::with(())
}

fn profile(name: &str) -> SealedProfile {
    let sealed = |field: &str| Sealed(format!("{name}-{field}"));
    let sealed_in = EventId::from_uuid(uuid::Uuid::from_u128(9));
    SealedProfile { sealed_in, name: sealed("name"), email: sealed("email"), birth_date: sealed("birth") }
}

fn registered() -> UserEvent {
    UserEvent::UserRegistered { profile: profile("ana"), role: Role::Customer, awaits_confirmation: false }
}

fn register() -> UserCommand {
    UserCommand::Register { profile: profile("ana"), role: Role::Customer, awaits_confirmation: false }
}

/// Another name, or another address as well.
fn profile_changed(name: &str, address_changed: bool) -> UserEvent {
    profile_and_age_changed(name, address_changed, BirthDateChange::Unchanged)
}

fn profile_and_age_changed(name: &str, address_changed: bool, birth_date: BirthDateChange) -> UserEvent {
    UserEvent::UserProfileChanged { profile: profile(name), address_changed, birth_date }
}

fn change_profile(name: &str, address_changed: bool, birth_date: BirthDateChange) -> UserCommand {
    UserCommand::ChangeProfile { profile: profile(name), address_changed, birth_date }
}

fn address(name: &str) -> SealedEmail {
    let SealedProfile { sealed_in, email, .. } = profile(name);
    SealedEmail { sealed_in, email }
}

fn erased() -> UserEvent {
    UserEvent::UserErased {}
}

#[test]
fn a_person_registers_once() {
    user().given_no_previous_events().when(register()).then_expect_events(vec![registered()]);
    user().given(vec![registered()]).when(register()).then_expect_error(UserError::AlreadyRegistered);
}

#[test]
fn a_profile_can_be_changed_and_another_address_is_to_be_confirmed() {
    user()
        .given(vec![registered()])
        .when(change_profile("ana maria", false, BirthDateChange::Unchanged))
        .then_expect_events(vec![profile_changed("ana maria", false)]);
    let events = vec![profile_changed("moved", true), UserEvent::UserEmailConfirmationRequested {}];
    user()
        .given(vec![registered(), UserEvent::UserEmailConfirmed {}])
        .when(change_profile("moved", true, BirthDateChange::Unchanged))
        .then_expect_events(events.clone());
    user()
        .given([vec![registered(), UserEvent::UserEmailConfirmed {}], events].concat())
        .when(UserCommand::ConfirmEmail)
        .then_expect_events(vec![UserEvent::UserEmailConfirmed {}]);
}

#[test]
fn an_address_is_confirmed_once() {
    for command in [UserCommand::ConfirmEmail, UserCommand::RequestEmailConfirmation] {
        let given = vec![registered(), UserEvent::UserEmailConfirmed {}];
        user().given(given).when(command).then_expect_events(vec![]);
    }
}

#[test]
fn an_address_that_was_asked_for_counts_once_it_is_confirmed() {
    let asked = UserEvent::UserEmailChangeRequested { address: address("moved") };
    let change = || UserCommand::ChangeEmail { profile: profile("moved") };
    let confirmed = vec![profile_changed("moved", true), UserEvent::UserEmailConfirmed {}];
    user().given(vec![registered(), asked.clone()]).when(change()).then_expect_events(confirmed.clone());
    let later = [changed(1, 1), UserEvent::UserSessionsEnded { generation: 1 }];
    for later in later.into_iter().map(|event| vec![event]).chain([confirmed]) {
        let given = [vec![registered(), asked.clone()], later].concat();
        user().given(given).when(change()).then_expect_error(UserError::ConfirmationOver);
    }
    user().given(vec![registered()]).when(change()).then_expect_error(UserError::ConfirmationOver);
}

fn folded(events: Vec<UserEvent>) -> User {
    let mut user = User::New;
    for event in events {
        user.apply(event);
    }
    user
}

#[test]
fn the_most_restrictive_birth_date_counts_until_the_staff_confirm_one() {
    let older = profile_and_age_changed("older", false, BirthDateChange::Older);
    let younger = profile_and_age_changed("younger", false, BirthDateChange::Younger);
    let confirmed =
        UserEvent::UserBirthDateConfirmed { profile: profile("confirmed"), evidence: Evidence::IdentityDocument };
    let (declared, proven) = (AgeSource::SelfDeclared, AgeSource::StaffConfirmed);
    for (events, counts, source) in [
        (vec![], "ana", declared),
        (vec![older.clone()], "ana", declared),
        (vec![older.clone(), profile_changed("renamed", false)], "ana", declared),
        (vec![younger.clone()], "younger", declared),
        (vec![older.clone(), confirmed.clone()], "confirmed", proven),
        (vec![confirmed.clone(), older.clone()], "confirmed", proven),
        (vec![confirmed, older, younger], "younger", declared),
    ] {
        let user = folded([vec![registered()], events].concat());
        assert_eq!(user.age_gate(), Some((&profile(counts), source)));
    }
}

#[test]
fn a_birth_date_is_corrected_once_by_its_owner_and_then_by_the_staff() {
    let older = || profile_and_age_changed("older", false, BirthDateChange::Older);
    for again in [BirthDateChange::Older, BirthDateChange::Younger] {
        user()
            .given(vec![registered(), older()])
            .when(change_profile("again", false, again))
            .then_expect_error(UserError::BirthDateCorrected);
    }
    let evidence = Evidence::Guardian;
    user()
        .given(vec![registered(), older()])
        .when(UserCommand::ConfirmBirthDate { profile: profile("seen"), evidence })
        .then_expect_events(vec![UserEvent::UserBirthDateConfirmed { profile: profile("seen"), evidence }]);
}

#[test]
fn a_role_is_given_once() {
    let change = || UserCommand::ChangeRole { role: Role::Analyst };
    let changed = || UserEvent::UserRoleChanged { role: Role::Analyst };
    user().given(vec![registered()]).when(change()).then_expect_events(vec![changed()]);
    user().given(vec![registered(), changed()]).when(change()).then_expect_events(vec![]);
}

#[test]
fn nobody_cannot_be_changed() {
    for command in [
        change_profile("x", false, BirthDateChange::Unchanged),
        UserCommand::ConfirmEmail,
        UserCommand::ChangeRole { role: Role::Admin },
        UserCommand::Erase,
    ] {
        user().given_no_previous_events().when(command).then_expect_error(UserError::UnknownUser);
    }
}

#[test]
fn erased_is_final() {
    user().given(vec![registered()]).when(UserCommand::Erase).then_expect_events(vec![erased()]);
    user().given(vec![registered(), erased()]).when(UserCommand::Erase).then_expect_events(vec![]);
    for command in [
        change_profile("x", false, BirthDateChange::Unchanged),
        UserCommand::ConfirmEmail,
        UserCommand::ChangeRole { role: Role::Admin },
    ] {
        user().given(vec![registered(), erased()]).when(command).then_expect_error(UserError::UserErased);
    }
    user().given(vec![registered(), erased()]).when(register()).then_expect_error(UserError::AlreadyRegistered);
}

fn at(minute: u32) -> DateTime<Utc> {
    chrono::TimeZone::with_ymd_and_hms(&Utc, 2026, 5, 17, 10, minute, 0).unwrap()
}

fn credential(n: u128) -> CredentialId {
    CredentialId::from_uuid(uuid::Uuid::from_u128(n))
}

fn request(n: u128) -> CommandId {
    CommandId::from_uuid(uuid::Uuid::from_u128(n))
}

fn asked(n: u128) -> UserEvent {
    UserEvent::UserPasswordResetRequested { request: request(n), until: at(30) }
}

fn reset(by: u128, minute: u32) -> UserCommand {
    UserCommand::ResetPassword { request: request(by), credential: credential(7), is_weak: false, now: at(minute) }
}

fn change(n: u128, believed_in: Option<u32>) -> UserCommand {
    UserCommand::ChangePassword { credential: credential(n), believed_in, is_weak: false }
}

fn changed(n: u128, generation: u32) -> UserEvent {
    UserEvent::UserPasswordChanged { credential: credential(n), generation }
}

#[test]
fn another_password_and_a_logout_everywhere_begin_another_generation_of_sessions() {
    user().given(vec![registered()]).when(change(1, None)).then_expect_events(vec![changed(1, 1)]);
    user()
        .given(vec![registered(), changed(1, 1)])
        .when(UserCommand::EndSessions)
        .then_expect_events(vec![UserEvent::UserSessionsEnded { generation: 2 }]);
    user()
        .given(vec![registered(), changed(1, 1), UserEvent::UserSessionsEnded { generation: 2 }])
        .when(change(2, Some(2)))
        .then_expect_events(vec![changed(2, 3)]);
}

#[test]
fn a_change_by_whoever_was_believed_before_another_one_is_too_late() {
    for since in [changed(1, 1), UserEvent::UserSessionsEnded { generation: 1 }] {
        user()
            .given(vec![registered(), since])
            .when(change(2, Some(0)))
            .then_expect_error(UserError::PasswordChangedMeanwhile);
    }
}

#[test]
fn a_link_to_choose_another_password_is_good_once_and_for_half_an_hour() {
    user()
        .given(vec![registered()])
        .when(UserCommand::RequestPasswordReset { request: request(1), now: at(0) })
        .then_expect_events(vec![asked(1)]);
    let given = |events: Vec<UserEvent>| user().given([vec![registered()], events].concat());
    // It came by mail, so the address is confirmed as well.
    let confirmed = vec![changed(7, 1), UserEvent::UserEmailConfirmed {}];
    given(vec![asked(1)]).when(reset(1, 29)).then_expect_events(confirmed);
    given(vec![asked(1)]).when(reset(1, 30)).then_expect_error(UserError::ResetOver);
    given(vec![asked(1), changed(7, 1)]).when(reset(1, 1)).then_expect_error(UserError::ResetOver);
    given(vec![asked(1), asked(2)]).when(reset(1, 1)).then_expect_error(UserError::ResetOver);
    given(vec![]).when(reset(1, 1)).then_expect_error(UserError::ResetOver);
    given(vec![asked(1), profile_changed("moved", true)]).when(reset(1, 1)).then_expect_error(UserError::ResetOver);
    let seen = vec![asked(1), profile_changed("renamed", false), UserEvent::UserEmailConfirmed {}];
    given(seen).when(reset(1, 1)).then_expect_events(vec![changed(7, 1)]);
    let ended = UserEvent::UserSessionsEnded { generation: 1 };
    given(vec![asked(1), ended]).when(reset(1, 1)).then_expect_error(UserError::ResetOver);
    let again = |minute| UserCommand::RequestPasswordReset { request: request(2), now: at(minute) };
    given(vec![asked(1)]).when(again(15)).then_expect_events(vec![asked(1)]);
    let next = UserEvent::UserPasswordResetRequested { request: request(2), until: at(46) };
    given(vec![asked(1)]).when(again(16)).then_expect_events(vec![next]);
}

fn any_command() -> impl Strategy<Value = UserCommand> {
    prop_oneof![
        Just(register()),
        (any::<bool>(), 0..3_usize).prop_map(|(address_changed, n)| {
            let ages = [BirthDateChange::Unchanged, BirthDateChange::Younger, BirthDateChange::Older];
            change_profile("new", address_changed, ages[n])
        }),
        Just(UserCommand::RequestEmailChange { address: address("next") }),
        Just(UserCommand::ChangeEmail { profile: profile("next") }),
        Just(UserCommand::RequestEmailConfirmation),
        Just(UserCommand::ConfirmEmail),
        (0..4_u128, any::<bool>()).prop_map(|(n, passkey)| {
            add(n, if passkey { AuthenticatorKind::Passkey } else { AuthenticatorKind::RecoveryCodes })
        }),
        (0..4_u128).prop_map(|n| remove(n, None, false)),
        Just(UserCommand::UseRecoveryCode),
        Just(UserCommand::LeaveThePassword),
        Just(UserCommand::ChangeRole { role: Role::Analyst }),
        Just(UserCommand::ChangeRole { role: Role::Customer }),
        (0..3_u128).prop_map(|n| change(n, None)),
        (0..3_u128).prop_map(|n| UserCommand::RequestPasswordReset { request: request(n), now: at(0) }),
        (0..3_u128, 0..40_u32).prop_map(|(by, minute)| reset(by, minute)),
        Just(UserCommand::EndSessions),
        Just(UserCommand::Erase),
    ]
}

proptest! {
    #[test]
    fn any_sequence_of_commands_is_refused_or_leaves_the_account_consistent(
        commands in proptest::collection::vec(any_command(), 0..20)
    ) {
        let mut user = User::New;
        let (mut erased, mut generation) = (false, 0);
        for command in commands {
            for event in user.decide(command).unwrap_or_default() {
                prop_assert!(!erased, "an erased account changed");
                erased |= event == UserEvent::UserErased {};
                user.apply(event);
            }
            prop_assert_eq!(erased, user == User::Erased);
            if let User::Active { access, .. } = &user {
                prop_assert!(access.generation >= generation, "a session that was ended came back");
                generation = access.generation;
            }
        }
    }
}

#[test]
fn an_admin_is_erased_only_after_the_role_was_given_up() {
    let promoted = UserEvent::UserRoleChanged { role: Role::Admin };
    let demoted = UserEvent::UserRoleChanged { role: Role::Customer };
    let erase = || UserCommand::Erase;
    user().given(vec![registered(), promoted.clone()]).when(erase()).then_expect_error(UserError::AdminCannotBeErased);
    user().given(vec![registered(), promoted, demoted]).when(erase()).then_expect_events(vec![erased()]);
}
