//! What people and their programs hold.

use strum::IntoEnumIterator;

use super::*;
use crate::{ApiKeyId, AuthenticatorId};

fn held(n: u128, kind: AuthenticatorKind) -> Authenticator {
    Authenticator { id: AuthenticatorId::from_uuid(uuid::Uuid::from_u128(n)), kind }
}

pub(super) fn add(n: u128, kind: AuthenticatorKind) -> UserCommand {
    UserCommand::AddAuthenticator { authenticator: held(n, kind) }
}

fn added(n: u128, kind: AuthenticatorKind) -> UserEvent {
    let Authenticator { id: authenticator, kind } = held(n, kind);
    UserEvent::UserAuthenticatorAdded { authenticator, kind }
}

/// Where the password of the registration, or another one, has to open the account alone from then on.
pub(super) fn remove(n: u128, credential: Option<CredentialId>, is_weak: bool) -> UserCommand {
    let authenticator = held(n, AuthenticatorKind::Passkey).id;
    UserCommand::RemoveAuthenticator { authenticator, password: PasswordStrength { credential, is_weak } }
}

fn removed(n: u128) -> UserEvent {
    UserEvent::UserAuthenticatorRemoved { authenticator: held(n, AuthenticatorKind::Passkey).id }
}

#[test]
fn passkeys_stand_beside_each_other_and_an_app_or_recovery_codes_replace_those_before() {
    use AuthenticatorKind::{Passkey, RecoveryCodes, Totp};
    let given = |events: Vec<UserEvent>| user().given([vec![registered()], events].concat());
    given(vec![added(1, Passkey)]).when(add(2, Passkey)).then_expect_events(vec![added(2, Passkey)]);
    given(vec![added(1, Passkey)]).when(add(1, Passkey)).then_expect_events(vec![]);
    for kind in [Totp, RecoveryCodes] {
        given(vec![added(1, Passkey), added(2, kind)]).when(add(3, kind)).then_expect_events(vec![added(3, kind)]);
        let mut account = User::default();
        for event in [registered(), added(1, Passkey), added(2, kind), added(3, kind)] {
            account.evolve(event);
        }
        let User::Active { authenticators, .. } = account else { panic!("it is open") };
        assert_eq!(authenticators.iter().copied().collect::<Vec<_>>(), [held(1, Passkey), held(3, kind)]);
    }
    given(vec![]).when(add(1, RecoveryCodes)).then_expect_error(UserError::NoSecondFactor);
    let full = (0..20).map(|n| added(n, Passkey)).collect();
    given(full).when(add(20, Passkey)).then_expect_error(UserError::TooManyAuthenticators);
}

#[test]
fn recovery_codes_go_with_the_last_second_factor_and_a_short_password_keeps_it() {
    use AuthenticatorKind::{Passkey, RecoveryCodes, Totp};
    let given = |events: Vec<UserEvent>| user().given([vec![registered()], events].concat());
    let both = vec![added(1, Passkey), added(2, RecoveryCodes)];
    given(both.clone()).when(remove(1, None, false)).then_expect_events(vec![removed(1)]);
    let mut account = User::default();
    [vec![registered()], both.clone(), vec![removed(1)]].concat().into_iter().for_each(|event| account.evolve(event));
    assert!(matches!(account, User::Active { authenticators, .. } if authenticators.iter().next().is_none()));
    given(both.clone()).when(remove(2, None, true)).then_expect_events(vec![removed(2)]);
    given(both.clone()).when(remove(3, None, true)).then_expect_events(vec![]);
    given(both.clone()).when(remove(1, None, true)).then_expect_error(UserError::PasswordTooWeak);
    given([both.clone(), vec![added(3, Totp)]].concat())
        .when(remove(1, None, true))
        .then_expect_events(vec![removed(1)]);
    // Another password was chosen since it was looked at.
    given([both, vec![changed(1, 1)]].concat())
        .when(remove(1, None, false))
        .then_expect_error(UserError::PasswordChangedMeanwhile);
}

#[test]
fn a_short_password_needs_a_second_factor_beside_it() {
    let short = || UserCommand::ChangePassword { credential: credential(1), believed_in: None, is_weak: true };
    let second = |kind| vec![registered(), added(1, kind)];
    user().given(vec![registered()]).when(short()).then_expect_error(UserError::PasswordTooWeak);
    for kind in [AuthenticatorKind::Passkey, AuthenticatorKind::Totp] {
        user().given(second(kind)).when(short()).then_expect_events(vec![changed(1, 1)]);
    }
    let reset =
        UserCommand::ResetPassword { request: request(1), credential: credential(7), is_weak: true, now: at(1) };
    user().given(vec![registered(), asked(1)]).when(reset).then_expect_error(UserError::PasswordTooWeak);
}

#[test]
fn what_somebody_else_may_have_added_goes_when_the_one_who_reads_the_mail_takes_the_account() {
    use AuthenticatorKind::{Passkey, RecoveryCodes};
    let key = api_key(4, &[Scope::ReadCatalogue], 50);
    let revoked = UserEvent::UserApiKeyRevoked { key: key.id };
    let held = vec![registered(), added(1, Passkey), added(2, RecoveryCodes), key_made(key)];
    let gone = vec![removed(1), removed(2), revoked];
    let confirmed = vec![changed(7, 1), UserEvent::UserEmailConfirmed {}];
    user()
        .given([held.clone(), vec![asked(1)]].concat())
        .when(reset(1, 1))
        .then_expect_events([confirmed, gone.clone()].concat());
    // The password is left alone, so it has to be good alone.
    let weak = UserCommand::ResetPassword { request: request(1), credential: credential(7), is_weak: true, now: at(1) };
    user().given([held.clone(), vec![asked(1)]].concat()).when(weak).then_expect_error(UserError::PasswordTooWeak);
    // Whoever has read the mail before is the one who added them.
    user()
        .given([held.clone(), vec![UserEvent::UserEmailConfirmed {}, asked(1)]].concat())
        .when(reset(1, 1))
        .then_expect_events(vec![changed(7, 1)]);
    user().given(held).when(UserCommand::LeaveThePassword).then_expect_events(gone);
}

#[test]
fn of_many_keys_the_one_that_expires_first_gives_way() {
    let read = [Scope::ReadCatalogue];
    let year = key_made(api_key(99, &read, 59));
    let mut account = User::default();
    account.evolve(registered());
    account.evolve(year);
    (0..60).for_each(|n| account.evolve(key_made(api_key(n, &read, 1 + u32::try_from(n % 50).unwrap()))));
    let User::Active { api_keys, .. } = account else { panic!("it is open") };
    let year = ApiKeyId::from_uuid(uuid::Uuid::from_u128(99));
    assert!(api_keys.good(year, at(58)).is_some());
    assert!(api_keys.iter().count() <= 40);
}

fn api_key(n: u128, scopes: &[Scope], minute: u32) -> ApiKey {
    let id = ApiKeyId::from_uuid(uuid::Uuid::from_u128(n));
    ApiKey { id, scopes: scopes.to_vec(), expires_at: at(minute) }
}

fn make_key(key: &ApiKey, role: Role) -> UserCommand {
    UserCommand::MakeApiKey { key: key.clone(), role, now: at(0) }
}

fn key_made(key: ApiKey) -> UserEvent {
    let ApiKey { id: key, scopes, expires_at } = key;
    UserEvent::UserApiKeyMade { key, scopes, expires_at }
}

#[test]
fn a_key_is_good_for_something_that_its_owner_may_and_ends() {
    let given = |events: Vec<UserEvent>| user().given([vec![registered()], events].concat());
    for (role, allowed) in [
        (Role::Customer, vec![Scope::ReadCatalogue]),
        (Role::Analyst, vec![Scope::ReadCatalogue, Scope::ReadEvents]),
        (Role::Admin, Scope::iter().collect()),
    ] {
        for scope in Scope::iter() {
            let key = api_key(1, &[scope], 5);
            if allowed.contains(&scope) {
                given(vec![]).when(make_key(&key, role)).then_expect_events(vec![key_made(key)]);
            } else {
                given(vec![]).when(make_key(&key, role)).then_expect_error(UserError::KeyScopes);
            }
        }
    }
    let read = [Scope::ReadCatalogue];
    given(vec![]).when(make_key(&api_key(1, &[], 5), Role::Admin)).then_expect_error(UserError::KeyScopes);
    given(vec![]).when(make_key(&api_key(1, &read, 0), Role::Customer)).then_expect_error(UserError::KeyExpiry);
    let far = ApiKey { expires_at: at(0) + chrono::TimeDelta::days(367), ..api_key(1, &read, 5) };
    given(vec![]).when(make_key(&far, Role::Customer)).then_expect_error(UserError::KeyExpiry);
    let many: Vec<_> = (0..20).map(|n| key_made(api_key(n, &read, 5))).collect();
    given(many.clone())
        .when(make_key(&api_key(20, &read, 5), Role::Customer))
        .then_expect_error(UserError::TooManyKeys);
    // Those that are over do not count.
    let over = (0..20).map(|n| key_made(api_key(n, &read, 0))).collect();
    let key = api_key(20, &read, 5);
    given(over).when(make_key(&key, Role::Customer)).then_expect_events(vec![key_made(key)]);
    let id = api_key(3, &read, 5).id;
    let revoked = UserEvent::UserApiKeyRevoked { key: id };
    given(many).when(UserCommand::RevokeApiKey { key: id }).then_expect_events(vec![revoked]);
    given(vec![]).when(UserCommand::RevokeApiKey { key: id }).then_expect_events(vec![]);
}
