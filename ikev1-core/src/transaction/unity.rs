//! The attributes of Cisco's Unity clients.

use crate::transaction::Network;
use crate::transaction::settings::{MAX_ENTRIES, short_line, short_text};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use ipsec_wire::isakmp::payload::{Attribute, AttributeValue};
use ipsec_wire::registry::ConfigAttribute;

/// The attributes that this end understands.
pub(crate) const UNITY: [ConfigAttribute; 11] = [
    ConfigAttribute::UNITY_BANNER,
    ConfigAttribute::UNITY_SAVE_PASSWD,
    ConfigAttribute::UNITY_DEF_DOMAIN,
    ConfigAttribute::UNITY_SPLITDNS_NAME,
    ConfigAttribute::UNITY_SPLIT_INCLUDE,
    ConfigAttribute::UNITY_NATT_PORT,
    ConfigAttribute::UNITY_LOCAL_LAN,
    ConfigAttribute::UNITY_PFS,
    ConfigAttribute::UNITY_FW_TYPE,
    ConfigAttribute::UNITY_BACKUP_SERVERS,
    ConfigAttribute::UNITY_DDNS_HOSTNAME,
];

/// The octets of a network in a list: address, mask, and protocol and ports that are zeros.
const ENTRY: usize = 14;
/// The octets of a network in the lists of gateways that leave out the rest.
const SHORT_ENTRY: usize = 8;

/// What clients of Cisco's are told besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unity {
    /// A text to show.
    pub banner: Option<String>,
    /// Whether the password may be kept.
    pub save_password: Option<bool>,
    /// The domain that names without one are in.
    pub default_domain: Option<String>,
    /// The domains whose names the gateway's servers know.
    pub split_dns: Vec<String>,
    /// The networks to reach through the tunnel; none means everything.
    pub split_include: Vec<Network>,
    /// The networks to leave out of the tunnel.
    pub split_exclude: Vec<Network>,
    /// The UDP port of Cisco's own encapsulation, which is not that of RFC 3948.
    pub nat_port: Option<u16>,
    /// The group of perfect forward secrecy, 0 for none.
    pub pfs: Option<u16>,
    /// What is asked of the client's firewall, octet for octet.
    pub firewall: Option<Vec<u8>>,
    /// Other gateways to try.
    pub backup_servers: Option<String>,
    /// The name of the client.
    pub host_name: Option<String>,
}

impl Unity {
    pub(super) fn write(&self) -> Vec<Attribute<Vec<u8>>> {
        let mut attributes = Vec::new();
        let mut text = |class: ConfigAttribute, text: Option<&String>| {
            attributes.extend(text.map(|text| Attribute::variable(class, text.as_bytes().to_vec())));
        };
        text(ConfigAttribute::UNITY_BANNER, self.banner.as_ref());
        text(ConfigAttribute::UNITY_DEF_DOMAIN, self.default_domain.as_ref());
        let domains = self.split_dns.join(",");
        text(ConfigAttribute::UNITY_SPLITDNS_NAME, Some(&domains).filter(|domains| !domains.is_empty()));
        text(ConfigAttribute::UNITY_BACKUP_SERVERS, self.backup_servers.as_ref());
        text(ConfigAttribute::UNITY_DDNS_HOSTNAME, self.host_name.as_ref());
        let numbers = [
            (ConfigAttribute::UNITY_SAVE_PASSWD, self.save_password.map(u16::from)),
            (ConfigAttribute::UNITY_NATT_PORT, self.nat_port),
            (ConfigAttribute::UNITY_PFS, self.pfs),
        ];
        let numbers = numbers.into_iter().filter_map(|(class, number)| Some(Attribute::basic(class, number?)));
        attributes.extend(numbers);
        for (class, networks) in [
            (ConfigAttribute::UNITY_SPLIT_INCLUDE, &self.split_include),
            (ConfigAttribute::UNITY_LOCAL_LAN, &self.split_exclude),
        ] {
            let octets: Vec<u8> = networks.iter().flat_map(entry).collect();
            if !octets.is_empty() {
                attributes.push(Attribute::variable(class, octets));
            }
        }
        if let Some(firewall) = &self.firewall {
            attributes.push(Attribute::variable(ConfigAttribute::UNITY_FW_TYPE, firewall.clone()));
        }
        attributes
    }

    /// Reads one attribute; `false` if it makes no sense. An empty one says nothing.
    pub(super) fn read(&mut self, attribute: &Attribute<&[u8]>) -> bool {
        let two = match attribute.value {
            AttributeValue::Basic(value) => value.to_be_bytes(),
            AttributeValue::Variable(_) => [0; 2],
        };
        let octets = attribute.octets().unwrap_or(&two);
        if octets.is_empty() {
            return true;
        }
        let line = || Some(short_line(octets));
        match ConfigAttribute(attribute.class) {
            ConfigAttribute::UNITY_BANNER => self.banner = Some(short_text(octets)),
            ConfigAttribute::UNITY_DEF_DOMAIN => self.default_domain = line(),
            ConfigAttribute::UNITY_SPLITDNS_NAME => {
                let domains = short_line(octets);
                let domains = domains.split(',').map(str::trim).filter(|domain| !domain.is_empty());
                self.split_dns = domains.take(MAX_ENTRIES).map(ToString::to_string).collect();
            }
            ConfigAttribute::UNITY_BACKUP_SERVERS => self.backup_servers = line(),
            ConfigAttribute::UNITY_DDNS_HOSTNAME => self.host_name = line(),
            ConfigAttribute::UNITY_FW_TYPE => self.firewall = Some(octets.iter().copied().take(1_024).collect()),
            ConfigAttribute::UNITY_SAVE_PASSWD => match attribute.to_u16() {
                Ok(number) => self.save_password = Some(number != 0),
                Err(_) => return false,
            },
            ConfigAttribute::UNITY_NATT_PORT => match attribute.to_u16() {
                Ok(port) => self.nat_port = Some(port),
                Err(_) => return false,
            },
            ConfigAttribute::UNITY_PFS => match attribute.to_u16() {
                Ok(group) => self.pfs = Some(group),
                Err(_) => return false,
            },
            ConfigAttribute::UNITY_SPLIT_INCLUDE => return extend(&mut self.split_include, octets),
            ConfigAttribute::UNITY_LOCAL_LAN => return extend(&mut self.split_exclude, octets),
            _ => return false,
        }
        true
    }
}

fn entry(network: &Network) -> Vec<u8> {
    match network.address() {
        IpAddr::V4(address) => {
            let mut octets = [address.octets(), network.mask().octets()].concat();
            octets.resize(ENTRY, 0);
            octets
        }
        // The list knows IPv4 only.
        IpAddr::V6(_) => Vec::new(),
    }
}

/// Adds the networks of a list. Most gateways send entries of 14 octets, some of 8; where a length fits
/// both, the masks tell.
fn extend(networks: &mut Vec<Network>, octets: &[u8]) -> bool {
    let read = |length: usize| -> Option<Vec<Network>> {
        if !octets.len().is_multiple_of(length) {
            return None;
        }
        let entries = octets.chunks_exact(length).map(|entry| match entry {
            [a, b, c, d, e, f, g, h, ..] => {
                Network::masked(Ipv4Addr::new(*a, *b, *c, *d), Ipv4Addr::new(*e, *f, *g, *h))
            }
            _ => None,
        });
        entries.collect()
    };
    let Some(read) = read(ENTRY).or_else(|| read(SHORT_ENTRY)) else { return false };
    let room = MAX_ENTRIES.saturating_sub(networks.len());
    networks.extend(read.into_iter().take(room));
    true
}

#[cfg(test)]
pub(super) fn sample() -> Unity {
    let network = |third: u8| Network::new([10, 10, third, 0].into(), 24).unwrap();
    Unity {
        banner: Some("Welcome\nto the lab".into()),
        save_password: Some(false),
        default_domain: Some("example.org".into()),
        split_dns: alloc::vec!["example.org".into(), "example.com".into()],
        split_include: alloc::vec![network(2), network(3)],
        split_exclude: alloc::vec![network(9)],
        nat_port: Some(10_000),
        pfs: Some(14),
        firewall: Some(alloc::vec![0x80, 1, 0, 1, 0x80, 2, 0, 1, 0x80, 3, 0, 2]),
        backup_servers: Some("192.0.2.3".into()),
        host_name: Some("laptop".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(prefixes: &[(u8, u8)], length: usize) -> Vec<u8> {
        let one = |(third, prefix): &(u8, u8)| {
            let network = Network::new([10, 10, *third, 0].into(), *prefix).unwrap();
            let mut octets = entry(&network);
            octets.truncate(length);
            octets
        };
        prefixes.iter().flat_map(one).collect()
    }

    #[test]
    fn networks_read_in_entries_of_14_and_of_8() {
        for length in [ENTRY, SHORT_ENTRY] {
            for count in 1..10u8 {
                let wanted: Vec<(u8, u8)> = (1..=count).map(|third| (third, 24)).collect();
                let mut networks = Vec::new();
                assert!(extend(&mut networks, &octets(&wanted, length)), "{length} {count}");
                assert_eq!(networks.len(), usize::from(count), "{length}: 56 octets fit both");
                assert_eq!(networks[0].to_string(), "10.10.1.0/24");
            }
        }
    }

    /// vpnc disconnects at a list whose length is not a multiple of 14: ours never is.
    #[test]
    fn ours_have_14_octets_each_and_other_lengths_are_dropped() {
        let list = sample().write().into_iter().find(|written| written.class == 28_676).unwrap();
        assert_eq!(list.octets().unwrap().len(), 28);
        for length in 1..60 {
            let mut networks = Vec::new();
            let lawful = length % 14 == 0 || length % 8 == 0;
            assert_eq!(extend(&mut networks, &alloc::vec![0; length]), lawful, "{length}");
        }
    }

    #[test]
    fn an_endless_list_is_cut() {
        let mut networks = Vec::new();
        assert!(extend(&mut networks, &alloc::vec![0; 14 * 1_000]));
        assert_eq!(networks.len(), MAX_ENTRIES);
    }
}
