//! Which addresses an outbound call may reach (SPEC §11).
//!
//! Refused is everything that is not a public unicast address, by the IANA
//! special-purpose registries (RFC 6890), whether an IPv6 form carries it or
//! not. An allow-list opens networks.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Special-purpose IPv4 networks: first address, length of the prefix, reason.
const REFUSED_V4: [(Ipv4Addr, u32, &str); 17] = [
    (Ipv4Addr::new(0, 0, 0, 0), 32, "unspecified"),
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared address space"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "protocol assignments"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relay"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarking"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(255, 255, 255, 255), 32, "broadcast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// Special-purpose IPv6 networks; the last one says that only 2000::/3 is public at all.
const REFUSED_V6: [(Ipv6Addr, u32, &str); 9] = [
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "private"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, "private"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
    // Teredo (2001::/32) among them, which hides an IPv4 address.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "protocol assignments"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation"),
];

/// Why a call to this address is refused; `None` if it is allowed.
///
/// IPv6 forms that carry an IPv4 address (mapped, NAT64, 6to4) are judged by that address.
pub fn refused(ip: IpAddr, allowed: &[IpNet]) -> Option<&'static str> {
    if allowed.iter().any(|network| network.contains(&ip)) {
        return None;
    }
    match ip {
        IpAddr::V4(ip) => REFUSED_V4
            .iter()
            .find(|(network, bits, _)| (ip.to_bits() ^ network.to_bits()) >> (32 - bits) == 0)
            .map(|(_, _, reason)| *reason),
        IpAddr::V6(ip) => match carried(ip) {
            Some(carried) => refused(carried.into(), allowed),
            None => refused_v6(ip),
        },
    }
}

/// Whether a connection to `target` ends at what is bound to `listener`; `is_own` says of an address whether it is
/// this machine's.
///
/// Every loopback address is taken for every other one, and so is the unspecified address, which the kernel connects
/// to loopback.
pub fn reaches(target: SocketAddr, listener: SocketAddr, is_own: impl Fn(IpAddr) -> bool) -> bool {
    if target.port() != listener.port() {
        return false;
    }
    let (target, listener) = (plain(target.ip()), plain(listener.ip()));
    let is_loopback = target.is_loopback() || target.is_unspecified();
    if listener.is_unspecified() {
        is_loopback || is_own(target)
    } else if listener.is_loopback() {
        is_loopback
    } else {
        target == listener
    }
}

/// The address itself, out of an IPv6 form that carries an IPv4 address.
pub fn plain(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => carried(v6).map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

fn refused_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let special = REFUSED_V6
        .iter()
        .find(|(network, bits, _)| (ip.to_bits() ^ network.to_bits()) >> (128 - bits) == 0)
        .map(|(_, _, reason)| *reason);
    // Of all IPv6 only 2000::/3 is given out as public unicast (RFC 4291, IANA).
    special.or((ip.segments()[0] >> 13 != 1).then_some("reserved"))
}

/// The IPv4 address that a translator, a tunnel or the kernel takes from an IPv6 address.
fn carried(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match [a, b, c, d, e, f] {
        // Mapped (RFC 4291 §2.5.5.2): the kernel connects to the IPv4 address.
        [0, 0, 0, 0, 0, 0xffff] => Some(join(g, h)),
        // NAT64 (RFC 6052): how a host with IPv6 alone reaches public IPv4.
        [0x64, 0xff9b, 0, 0, 0, 0] => Some(join(g, h)),
        // 6to4 (RFC 3056).
        [0x2002, ..] => Some(join(b, c)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ip: &str, allowed: &[&str]) -> Option<&'static str> {
        let allowed: Vec<IpNet> = allowed.iter().map(|text| text.parse().unwrap()).collect();
        refused(ip.parse().unwrap(), &allowed)
    }

    #[test]
    fn every_special_range_from_its_first_to_its_last_address() {
        for (first, last, reason) in [
            ("0.0.0.0", "0.0.0.0", "unspecified"),
            ("0.0.0.1", "0.255.255.255", "this network"),
            ("10.0.0.0", "10.255.255.255", "private"),
            ("100.64.0.0", "100.127.255.255", "shared address space"),
            ("127.0.0.0", "127.255.255.255", "loopback"),
            ("169.254.0.0", "169.254.255.255", "link-local"),
            ("169.254.169.254", "169.254.170.2", "link-local"),
            ("172.16.0.0", "172.31.255.255", "private"),
            ("192.0.0.0", "192.0.0.255", "protocol assignments"),
            ("192.0.2.0", "192.0.2.255", "documentation"),
            ("192.88.99.0", "192.88.99.255", "6to4 relay"),
            ("192.168.0.0", "192.168.255.255", "private"),
            ("198.18.0.0", "198.19.255.255", "benchmarking"),
            ("198.51.100.0", "198.51.100.255", "documentation"),
            ("203.0.113.0", "203.0.113.255", "documentation"),
            ("224.0.0.0", "239.255.255.255", "multicast"),
            ("240.0.0.0", "255.255.255.254", "reserved"),
            ("255.255.255.255", "255.255.255.255", "broadcast"),
            ("::", "::", "unspecified"),
            ("::1", "::1", "loopback"),
            ("::2", "::fffe:ffff:ffff", "reserved"),
            ("::127.0.0.1", "::8.8.8.8", "reserved"),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "reserved"),
            ("100::", "100::ffff:ffff:ffff:ffff", "reserved"),
            ("1fff:ffff::", "4000::", "reserved"),
            ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "protocol assignments"),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"),
            ("5f00::", "5f00::1", "reserved"),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "private"),
            ("fd00:ec2::254", "fd00:ec2::23", "private"),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"),
            ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "private"),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
        ] {
            assert_eq!(check(first, &[]), Some(reason), "{first}");
            assert_eq!(check(last, &[]), Some(reason), "{last}");
        }
    }

    #[test]
    fn public_addresses_beside_the_special_ranges_are_allowed() {
        for ip in [
            "1.0.0.0",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2000::",
            "2001:200::",
            "2001:db7::1",
            "2001:db9::1",
            "2606:4700::1111",
            "3ffe::1",
        ] {
            assert_eq!(check(ip, &[]), None, "{ip}");
        }
    }

    #[test]
    fn forms_that_carry_an_ipv4_address_are_judged_by_it() {
        for (ip, expect) in [
            ("::ffff:127.0.0.1", Some("loopback")),
            ("::ffff:a9fe:a9fe", Some("link-local")),
            ("::ffff:0.0.0.0", Some("unspecified")),
            ("::ffff:8.8.8.8", None),
            ("64:ff9b::10.0.0.1", Some("private")),
            ("64:ff9b::169.254.169.254", Some("link-local")),
            ("64:ff9b::8.8.8.8", None),
            ("2002:7f00:1::", Some("loopback")),
            ("2002:c0a8:101::1", Some("private")),
            ("2002:808:808::1", None),
        ] {
            assert_eq!(check(ip, &[]), expect, "{ip}");
        }
    }

    #[test]
    fn a_listener_is_reached_under_every_address_that_leads_to_it() {
        // This machine's addresses beside loopback.
        let is_own = |ip: IpAddr| ["192.168.1.5", "2001:db8::5"].contains(&ip.to_string().as_str());
        for (listener, target, expect) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.255.0.9:80", true),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("127.0.0.1:80", "[::]:80", true),
            ("127.0.0.1:80", "[::1]:80", true),
            ("127.0.0.1:80", "[::ffff:127.0.0.1]:80", true),
            ("127.0.0.1:80", "[::ffff:0.0.0.0]:80", true),
            ("127.0.0.1:80", "[64:ff9b::127.0.0.1]:80", true),
            ("127.0.0.1:80", "192.168.1.5:80", false),
            ("127.0.0.1:80", "8.8.8.8:80", false),
            ("[::1]:80", "127.0.0.1:80", true),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "127.0.0.2:80", true),
            ("0.0.0.0:80", "192.168.1.5:80", true),
            ("0.0.0.0:80", "[::ffff:192.168.1.5]:80", true),
            ("0.0.0.0:80", "192.168.1.6:80", false),
            ("[::]:80", "[2001:db8::5]:80", true),
            ("[::]:80", "192.168.1.5:80", true),
            ("192.168.1.5:80", "192.168.1.5:80", true),
            ("192.168.1.5:80", "[::ffff:c0a8:105]:80", true),
            ("192.168.1.5:80", "127.0.0.1:80", false),
            ("10.9.9.9:80", "10.9.9.9:80", true),
        ] {
            let reached = reaches(target.parse().unwrap(), listener.parse().unwrap(), is_own);
            assert_eq!(reached, expect, "{target} at {listener}");
        }
    }

    #[test]
    fn the_allow_list_opens_what_it_names_and_no_more() {
        for (ip, allowed, expect) in [
            ("127.0.0.1", &["127.0.0.0/8"][..], None),
            ("::ffff:127.0.0.1", &["127.0.0.0/8"], None),
            ("::1", &["127.0.0.0/8"], Some("loopback")),
            ("::1", &["127.0.0.0/8", "::1/128"], None),
            ("10.1.2.3", &["10.1.0.0/16"], None),
            ("10.2.2.3", &["10.1.0.0/16"], Some("private")),
            ("fd12::1", &["fd12::/16"], None),
            ("fd13::1", &["fd12::/16"], Some("private")),
            ("169.254.169.254", &["0.0.0.0/0"], None),
            ("::ffff:1.1.1.1", &["10.0.0.0/8"], None),
        ] {
            assert_eq!(check(ip, allowed), expect, "{ip}");
        }
    }
}
