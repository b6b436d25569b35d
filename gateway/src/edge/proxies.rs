//! Which proxies are believed when they say whom a request comes from.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::FORWARDED;
use ipnet::IpNet;
use poem::http::uri::Scheme;

/// Where a proxy says whom a request comes from. Only one place is believed: what a proxy does not write itself it passes on
/// as the client wrote it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, strum::EnumString, strum::Display)]
#[strum(serialize_all = "kebab-case")]
pub enum ProxyHeader {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// In front of the connection, for proxies that speak no HTTP (PROXY protocol, versions 1 and 2).
    /// <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>
    ProxyProtocol,
}

/// The proxies in front of a gateway; what anybody else says of where a request comes from counts for nothing.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    /// The networks that they are in.
    pub networks: Vec<IpNet>,
    /// Where they write whom they speak for.
    pub header: ProxyHeader,
}

impl TrustedProxies {
    /// Whether an address is a proxy's.
    pub(super) fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Whether a connection begins with what its proxy says of it.
    pub(super) fn speak_first(&self, address: IpAddr) -> bool {
        self.header == ProxyHeader::ProxyProtocol && self.trust(address)
    }

    /// Whom a request comes from, and how it reached the first proxy.
    ///
    /// Each proxy adds who spoke to it, so the list is read from the right, and the first that is no proxy is the client:
    /// whatever stands left of it is the client's own word.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> (IpAddr, Scheme) {
        let mut client = (peer, Scheme::HTTP);
        if !self.trust(peer) {
            return client;
        }
        let hops = match self.header {
            ProxyHeader::XForwardedFor => x_forwarded(headers),
            ProxyHeader::Forwarded => forwarded(headers),
            // It was said before the first request.
            ProxyHeader::ProxyProtocol => vec![],
        };
        for (address, scheme) in hops.into_iter().rev() {
            let Some(address) = address else { break };
            client = (address, scheme);
            if !self.trust(address) {
                break;
            }
        }
        client
    }
}

/// An address that a proxy gave, if it is one, and the scheme that was spoken to the proxy.
type Hop = (Option<IpAddr>, Scheme);

fn x_forwarded(headers: &HeaderMap) -> Vec<Hop> {
    // It has a value for each proxy, or for all one.
    let schemes: Vec<_> = values(headers, "x-forwarded-proto").map(scheme).collect();
    let addresses: Vec<_> = values(headers, "x-forwarded-for").map(address).collect();
    let only = schemes.last().cloned().unwrap_or(Scheme::HTTP);
    let aligned = schemes.len() == addresses.len();
    let of = |n: usize| schemes.get(n).filter(|_| aligned).unwrap_or(&only).clone();
    addresses.into_iter().enumerate().map(|(n, address)| (address, of(n))).collect()
}

fn forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let hop = |element: &str| {
        let pair =
            |pair: &str| pair.split_once('=').map(|(name, value)| (name.trim().to_lowercase(), value.to_owned()));
        let pairs: Vec<_> = element.split(';').filter_map(pair).collect();
        let find = |wanted| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        (find("for").and_then(address), find("proto").map_or(Scheme::HTTP, scheme))
    };
    values(headers, FORWARDED.as_str()).map(hop).collect()
}

/// The elements of a list, over all headers of a name. One that cannot be read is an empty one: a proxy may have written its
/// own behind it.
fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let elements = headers.get_all(name).into_iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    elements.map(|element| std::str::from_utf8(element).unwrap_or_default())
}

fn scheme(value: &str) -> Scheme {
    if value.trim().trim_matches('"').eq_ignore_ascii_case("https") { Scheme::HTTPS } else { Scheme::HTTP }
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `"[2001:db8::1]:4711"`.
fn address(value: &str) -> Option<IpAddr> {
    let value = value.trim().trim_matches('"');
    let bare = || value.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address = value.parse().ok().or_else(bare).or_else(|| Some(value.parse::<std::net::SocketAddr>().ok()?.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(header: ProxyHeader, peer: &str, headers: &[(&'static str, &str)]) -> (String, String) {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()).to_vec();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let (address, scheme) = TrustedProxies { networks, header }.client(peer.parse().unwrap(), &map);
        (address.to_string(), scheme.to_string())
    }

    fn is(address: &str, scheme: &str) -> (String, String) {
        (address.to_owned(), scheme.to_owned())
    }

    const SAYS: &str = "x-forwarded-for";
    use ProxyHeader::{Forwarded, XForwardedFor};

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(client(XForwardedFor, "192.0.2.9", &[(SAYS, "198.51.100.1")]), is("192.0.2.9", "http"));
    }

    #[test]
    fn the_last_address_that_is_no_proxys_is_the_client() {
        let said = [(SAYS, "203.0.113.5, 198.51.100.1, 10.2.2.2"), ("x-forwarded-proto", "https")];
        assert_eq!(client(XForwardedFor, "10.1.1.1", &said), is("198.51.100.1", "https"));
        let twice = [(SAYS, "203.0.113.5"), (SAYS, "198.51.100.1")];
        assert_eq!(client(XForwardedFor, "10.1.1.1", &twice), is("198.51.100.1", "http"));
    }

    #[test]
    fn what_is_no_address_ends_the_list() {
        assert_eq!(
            client(XForwardedFor, "10.1.1.1", &[(SAYS, "203.0.113.5, unknown, 10.2.2.2")]),
            is("10.2.2.2", "http")
        );
        assert_eq!(client(XForwardedFor, "10.1.1.1", &[]), is("10.1.1.1", "http"));
    }

    #[test]
    fn what_a_client_wrote_so_that_nobody_can_read_it_does_not_hide_what_its_proxy_wrote() {
        let mut map = HeaderMap::new();
        map.append(SAYS, hyper::header::HeaderValue::from_bytes(b"\xff, 198.51.100.1").unwrap());
        let proxies = TrustedProxies { networks: vec!["10.0.0.0/8".parse().unwrap()], ..TrustedProxies::default() };
        assert_eq!(proxies.client("10.1.1.1".parse().unwrap(), &map).0.to_string(), "198.51.100.1");
    }

    #[test]
    fn only_the_header_that_the_proxy_writes_is_read() {
        let said = [("forwarded", "for=203.0.113.5"), (SAYS, "198.51.100.1")];
        assert_eq!(client(XForwardedFor, "10.1.1.1", &said).0, "198.51.100.1");
        assert_eq!(client(Forwarded, "10.1.1.1", &said).0, "203.0.113.5");
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_has_it() {
        let said = [("forwarded", r#"for=198.51.100.1;proto=http, For="[2001:db8::1]:4711";Proto="https""#)];
        assert_eq!(client(Forwarded, "fd00::1", &said), is("2001:db8::1", "https"));
        assert_eq!(client(Forwarded, "fd00::1", &[("forwarded", "for=_hidden, for=10.1.1.2")]), is("10.1.1.2", "http"));
    }
}
