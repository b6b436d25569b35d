//! Which device a request comes from: in words that its owner knows it by, and by a cookie for those that have logged in
//! to an account before.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use commands::Place;
use domain::Email;
use journal::Vault;
use poem::Request;
use poem::http::header::USER_AGENT;
use poem::web::cookie::CookieJar;
use subtle::ConstantTimeEq;

use crate::session;

/// What browsers call themselves, the more telling name first: all of them also say that they are others.
const BROWSERS: [(&str, &str); 7] = [
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];
const SYSTEMS: [(&str, &str); 7] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];
/// How long the name of another program may be.
const NAME: usize = 40;

/// What a device is given that has logged in to an account: attempts that show it do not count with those of strangers,
/// who so slow down each other and not the owner.
/// <https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies>
pub(crate) struct DeviceCookie;

impl DeviceCookie {
    const NAME: &str = "__Host-ludoteca-device";
    /// As long as browsers keep a cookie at most.
    const LIFE: Duration = Duration::from_hours(400 * 24);

    fn proof(vault: &Vault, email: &Email, nonce: &[u8]) -> [u8; 32] {
        vault.keyed_hash("device", &[nonce, email.normal_form().as_bytes()].concat())
    }

    /// What the device is known by, where it has logged in to the account before.
    pub(crate) fn read(jar: &CookieJar, vault: &Vault, email: &Email) -> Option<String> {
        let cookie = jar.get(Self::NAME)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cookie.value_str()).ok()?;
        let (nonce, proof) = bytes.split_at_checked(16)?;
        let is_ours = bool::from(Self::proof(vault, email, nonce).ct_eq(proof));
        is_ours.then(|| BASE64_URL_SAFE_NO_PAD.encode(&bytes))
    }

    /// Notes that the device has logged in to the account.
    pub(crate) fn keep(jar: &CookieJar, vault: &Vault, email: &Email) {
        let nonce = rand::random::<[u8; 16]>();
        let bytes = [nonce.as_slice(), &Self::proof(vault, email, &nonce)].concat();
        jar.add(session::cookie(Self::NAME, &BASE64_URL_SAFE_NO_PAD.encode(bytes), "/", Self::LIFE));
    }
}

/// Where a request comes from.
pub(crate) fn place(request: &Request) -> Place {
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let address = request.remote_addr().as_socket_addr().map(|address| address.ip().to_canonical());
    Place { device: device(agent), network: address.map(network).unwrap_or_default(), is_known: false }
}

/// `Firefox · Linux`, or the name that a program gives itself; nothing where it gives none.
fn device(agent: &str) -> String {
    let named =
        |names: &[(&str, &'static str)]| names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name);
    match (named(&BROWSERS), named(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} · {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, _) => {
            // Its owner reads it in a mail: a name, and no message.
            let is_of_a_name = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
            agent.chars().take_while(is_of_a_name).take(NAME).collect()
        }
    }
}

/// The network around an address: enough for its owner to know it again, not enough to be looked for by.
fn network(address: IpAddr) -> String {
    let prefix = if address.is_ipv4() { 24 } else { 48 };
    ipnet::IpNet::new(address, prefix).map(|network| network.trunc().to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_the_name_that_its_owner_calls_it_by() {
        for (agent, name) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox · Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
                 Safari/537.36 Edg/140.0.0.0",
                "Edge · Windows",
            ),
            (
                "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile \
                 Safari/537.36",
                "Chrome · Android",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/18.5 Mobile/15E148 Safari/604.1",
                "Safari · iPhone",
            ),
            ("python-requests/2.32.4", "python-requests"),
            ("call-555 <b>now</b>", "call-555"),
            ("", ""),
        ] {
            assert_eq!(device(agent), name, "{agent}");
        }
        assert_eq!(device(&"x".repeat(9_000)).len(), NAME);
    }

    #[test]
    fn a_network_names_nobodys_address() {
        for (address, around) in [("203.0.113.77", "203.0.113.0/24"), ("2001:db8:1:2::7", "2001:db8:1::/48")] {
            assert_eq!(network(address.parse().unwrap()), around);
        }
    }
}
