//! How long packets may be on the links of this machine.

use core::net::IpAddr;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

/// Returns the least MTU of the devices that these addresses are on, if the system says; never below 576.
pub fn mtu(addresses: &[IpAddr]) -> Option<usize> {
    let links = getifaddrs().ok()?;
    let ours = links.filter(|link| link.address.as_ref().and_then(ip).is_some_and(|ip| addresses.contains(&ip)));
    ours.filter_map(|link| of_device(&link.interface_name)).min().map(|mtu| mtu.max(576))
}

fn of_device(name: &str) -> Option<usize> {
    std::fs::read_to_string(format!("/sys/class/net/{name}/mtu")).ok()?.trim().parse().ok()
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = || address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4().or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mtu_of_the_loopback_device_is_found_by_its_address() {
        assert_eq!(mtu(&[IpAddr::from([127, 0, 0, 1])]), of_device("lo"));
        assert!(of_device("lo").is_some_and(|mtu| mtu >= 576));
    }

    #[test]
    fn an_address_of_nobody_here_has_no_mtu() {
        assert_eq!(mtu(&[IpAddr::from([192, 0, 2, 77])]), None);
        assert_eq!(mtu(&[]), None);
    }
}
