//! Local addresses: those of this machine and of private networks. Must not know who is served on them.

use std::net::{IpAddr, Ipv4Addr};

/// Returns whether an address cannot belong to a host on the Internet: loopback, private (RFC 1918), link-local
/// (169.254.0.0/16, fe80::/10), shared (100.64.0.0/10, RFC 6598) and unique local (fc00::/7). IPv4 addresses that are
/// mapped into IPv6 are judged as IPv4.
pub fn is_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local() || is_shared(v4),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Returns whether an address is of 100.64.0.0/10, which carriers and clouds use behind their address translation.
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0b1100_0000 == 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_networks_end_where_the_standards_say() {
        for local in [
            "127.0.0.1",
            "127.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.168.0.0",
            "192.168.255.255",
            "169.254.0.1",
            "169.254.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "::1",
            "fe80::1",
            "febf::1",
            "fc00::",
            "fdff:ffff::1",
        ] {
            assert!(is_local(local.parse().unwrap()), "{local}");
        }
        for public in [
            "126.255.255.255",
            "128.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "8.8.8.8",
            "0.0.0.0",
            "255.255.255.255",
            "192.0.2.1",
            "::",
            "::2",
            "fe7f::1",
            "fec0::1",
            "fbff::1",
            "fe00::1",
            "2001:db8::1",
            "64:ff9b::a00:1",
            "ff02::1",
        ] {
            assert!(!is_local(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn mapped_addresses_are_judged_as_the_ones_inside() {
        for inside in
            ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1", "8.8.8.8"]
        {
            let plain: IpAddr = inside.parse().unwrap();
            let mapped: IpAddr = format!("::ffff:{inside}").parse().unwrap();
            assert_eq!(is_local(mapped), is_local(plain), "{inside}");
        }
    }
}
