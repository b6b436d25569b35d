//! Lists of where others are, separated by commas.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks of addresses.
pub type Networks = Vec<IpNet>;

pub(super) fn networks(text: &str) -> Result<Networks, String> {
    let network = |text: &str| text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let given = text.split(',').map(str::trim).filter(|text| !text.is_empty());
    let parsed = given
        .map(|text| network(text).map_err(|_| format!("{text} is no network, such as 10.0.0.0/8, and no address")));
    parsed.collect()
}

/// Origins of pages, as browsers write them.
pub type Origins = Vec<String>;

pub(super) fn origins(text: &str) -> Result<Origins, String> {
    let given = text.split(',').map(str::trim).filter(|text| !text.is_empty());
    let origin = |text: &str| {
        let parsed = reqwest::Url::parse(text).ok().map(|url| url.origin().ascii_serialization());
        let is_one = parsed.as_deref() == Some(text);
        is_one.then(|| text.to_owned()).ok_or_else(|| format!("{text} is no origin, such as https://partner.example"))
    };
    given.map(origin).collect()
}
