//! What a client is told to use: the attributes of mode-config and of Cisco Unity.
//!
//! draft-ietf-ipsec-isakmp-mode-cfg §3.3; the Unity attributes have no text but the programs that
//! speak them.

use crate::transaction::xauth::text;
use crate::transaction::{Network, UNITY, unity::Unity};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use ipsec_wire::isakmp::payload::{Attribute, AttributeValue, Attributes};
use ipsec_wire::registry::ConfigAttribute;

/// The most entries of one kind that are kept: servers, networks, domains.
pub(super) const MAX_ENTRIES: usize = 64;
/// The longest text that is kept, in octets: banners are long.
const MAX_TEXT: usize = 8_192;

/// What a client is told to use.
///
/// Nothing of it is done here. Texts are the gateway's own words: what could forge a display is left out, and line
/// breaks but in the banner; quotes, blanks and dollar signs are not, so that none of it may reach a shell or a
/// file of settings unquoted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientSettings {
    /// Its address inside the tunnel.
    pub address: Option<IpAddr>,
    /// The mask of the network that the address is in.
    pub netmask: Option<Ipv4Addr>,
    /// The servers of names.
    pub dns: Vec<IpAddr>,
    /// The servers of NetBIOS names.
    pub nbns: Vec<Ipv4Addr>,
    /// How long the address may be used, in seconds.
    pub expiry: Option<u32>,
    /// The networks behind the gateway.
    pub subnets: Vec<Network>,
    /// The program at the other end, as it names itself.
    pub version: Option<String>,
    /// What clients of Cisco's are told besides.
    pub unity: Unity,
}

/// The attributes of mode-config that this end understands.
const SUPPORTED: [ConfigAttribute; 11] = [
    ConfigAttribute::INTERNAL_IP4_ADDRESS,
    ConfigAttribute::INTERNAL_IP4_NETMASK,
    ConfigAttribute::INTERNAL_IP4_DNS,
    ConfigAttribute::INTERNAL_IP4_NBNS,
    ConfigAttribute::INTERNAL_ADDRESS_EXPIRY,
    ConfigAttribute::APPLICATION_VERSION,
    ConfigAttribute::INTERNAL_IP6_ADDRESS,
    ConfigAttribute::INTERNAL_IP6_DNS,
    ConfigAttribute::INTERNAL_IP4_SUBNET,
    ConfigAttribute::SUPPORTED_ATTRIBUTES,
    ConfigAttribute::INTERNAL_IP6_SUBNET,
];

/// What a REQUEST asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) attributes: Vec<ConfigAttribute>,
    /// The address it would like: the one it had.
    pub(crate) address: Option<IpAddr>,
    /// What it asks for and nobody here understands.
    pub(crate) unsupported: Vec<ConfigAttribute>,
}

impl Wanted {
    /// Reads the attributes of a REQUEST.
    pub(crate) fn read(attributes: Attributes<'_>) -> Self {
        let mut wanted = Self::default();
        for attribute in attributes {
            let class = ConfigAttribute(attribute.class);
            let list = if is_supported(class) { &mut wanted.attributes } else { &mut wanted.unsupported };
            if !list.contains(&class) {
                list.push(class);
            }
            if let (Ok(Some(address)), true) = (address(&attribute), is_address(class)) {
                wanted.address.get_or_insert(address);
            }
        }
        wanted
    }

    pub(crate) fn has(&self, class: ConfigAttribute) -> bool {
        self.attributes.contains(&class)
    }

    /// Returns whether an address is asked for.
    pub(crate) fn wants_address(&self) -> bool {
        self.attributes.iter().any(|class| is_address(*class))
    }
}

/// Returns the attributes of a client's REQUEST.
pub(crate) fn write_request(wish: Option<IpAddr>, version: Option<&str>, unity: bool) -> Vec<Attribute<Vec<u8>>> {
    let empty = |class: ConfigAttribute| Attribute::variable(class, Vec::new());
    let is_v6 = wish.is_some_and(|wish| wish.is_ipv6());
    let (address, dns) = if is_v6 {
        (ConfigAttribute::INTERNAL_IP6_ADDRESS, ConfigAttribute::INTERNAL_IP6_DNS)
    } else {
        (ConfigAttribute::INTERNAL_IP4_ADDRESS, ConfigAttribute::INTERNAL_IP4_DNS)
    };
    // An unspecified address is no wish: it only says of which family.
    let wish = wish.filter(|wish| !wish.is_unspecified());
    let mut attributes = alloc::vec![Attribute::variable(address, wish.map_or(Vec::new(), octets))];
    attributes.push(empty(dns));
    for class in [
        ConfigAttribute::INTERNAL_IP4_NETMASK,
        ConfigAttribute::INTERNAL_IP4_NBNS,
        ConfigAttribute::INTERNAL_IP4_SUBNET,
        ConfigAttribute::INTERNAL_ADDRESS_EXPIRY,
    ] {
        if !is_v6 {
            attributes.push(empty(class));
        }
    }
    if let Some(version) = version {
        attributes.push(Attribute::variable(ConfigAttribute::APPLICATION_VERSION, version.as_bytes().to_vec()));
    }
    if unity {
        attributes.extend(UNITY.into_iter().map(empty));
    }
    attributes
}

/// Returns the attributes of an ACK: the ones that were taken, emptied.
pub(crate) fn write_acknowledgement(attributes: Attributes<'_>) -> Vec<Attribute<Vec<u8>>> {
    let (mut settings, mut taken) = (ClientSettings::default(), Vec::new());
    for attribute in attributes {
        let class = ConfigAttribute(attribute.class);
        if settings.take(&attribute) && !taken.contains(&class) {
            taken.push(class);
        }
    }
    taken.into_iter().map(|class| Attribute::variable(class, Vec::new())).collect()
}

impl ClientSettings {
    /// Returns the attributes of a SET, or of the REPLY to a REQUEST.
    ///
    /// Address and servers are told in any case; what not everyone understands only to whom asks for it.
    pub(crate) fn write(&self, wanted: Option<&Wanted>, speaks_unity: bool) -> Vec<Attribute<Vec<u8>>> {
        let asked = |class: ConfigAttribute| wanted.is_none_or(|wanted| wanted.has(class));
        let mut attributes = Vec::new();
        if let Some(address) = self.address {
            let class = match address {
                IpAddr::V4(_) => ConfigAttribute::INTERNAL_IP4_ADDRESS,
                IpAddr::V6(_) => ConfigAttribute::INTERNAL_IP6_ADDRESS,
            };
            attributes.push(Attribute::variable(class, octets(address)));
            if let (IpAddr::V4(_), true) = (address, asked(ConfigAttribute::INTERNAL_IP4_NETMASK)) {
                let netmask = self.netmask.unwrap_or(Ipv4Addr::BROADCAST);
                attributes.push(Attribute::variable(ConfigAttribute::INTERNAL_IP4_NETMASK, netmask.octets().to_vec()));
            }
        }
        for server in &self.dns {
            let class = match server {
                IpAddr::V4(_) => ConfigAttribute::INTERNAL_IP4_DNS,
                IpAddr::V6(_) => ConfigAttribute::INTERNAL_IP6_DNS,
            };
            attributes.push(Attribute::variable(class, octets(*server)));
        }
        for server in &self.nbns {
            attributes.push(Attribute::variable(ConfigAttribute::INTERNAL_IP4_NBNS, server.octets().to_vec()));
        }
        if let Some(expiry) = self.expiry.filter(|_| asked(ConfigAttribute::INTERNAL_ADDRESS_EXPIRY)) {
            let octets = expiry.to_be_bytes().to_vec();
            attributes.push(Attribute::variable(ConfigAttribute::INTERNAL_ADDRESS_EXPIRY, octets));
        }
        for subnet in &self.subnets {
            let (class, octets) = match subnet.address() {
                IpAddr::V4(address) => {
                    (ConfigAttribute::INTERNAL_IP4_SUBNET, [address.octets(), subnet.mask().octets()].concat())
                }
                IpAddr::V6(address) => {
                    (ConfigAttribute::INTERNAL_IP6_SUBNET, [&address.octets()[..], &[subnet.prefix()]].concat())
                }
            };
            if asked(class) {
                attributes.push(Attribute::variable(class, octets));
            }
        }
        if let Some(version) = self.version.as_ref().filter(|_| asked(ConfigAttribute::APPLICATION_VERSION)) {
            attributes.push(Attribute::variable(ConfigAttribute::APPLICATION_VERSION, version.as_bytes().to_vec()));
        }
        if wanted.is_some_and(|wanted| wanted.has(ConfigAttribute::SUPPORTED_ATTRIBUTES)) {
            let numbers = SUPPORTED.iter().chain(&UNITY).flat_map(|class| class.0.to_be_bytes()).collect();
            attributes.push(Attribute::variable(ConfigAttribute::SUPPORTED_ATTRIBUTES, numbers));
        }
        if speaks_unity {
            attributes.extend(self.unity.write().into_iter().filter(|written| asked(ConfigAttribute(written.class))));
        }
        attributes
    }

    /// Reads the attributes of a REPLY or a SET, and returns besides those that are refused: nobody here
    /// understands them, their length does not fit, or they make no sense. Empty ones say nothing.
    pub(crate) fn read(attributes: Attributes<'_>) -> (Self, Vec<ConfigAttribute>) {
        let (mut settings, mut refused) = (Self::default(), Vec::new());
        for attribute in attributes {
            if !settings.take(&attribute) {
                refused.push(ConfigAttribute(attribute.class));
            }
        }
        (settings, refused)
    }

    /// Takes over one attribute; `false` if it is refused.
    fn take(&mut self, attribute: &Attribute<&[u8]>) -> bool {
        let class = ConfigAttribute(attribute.class);
        match class {
            ConfigAttribute::INTERNAL_IP4_ADDRESS | ConfigAttribute::INTERNAL_IP6_ADDRESS => {
                let Ok(address) = address(attribute) else { return false };
                self.address = self.address.or(address);
            }
            ConfigAttribute::INTERNAL_IP4_NETMASK => {
                let Ok(mask) = address_v4(attribute) else { return false };
                self.netmask = self.netmask.or(mask);
            }
            ConfigAttribute::INTERNAL_IP4_DNS | ConfigAttribute::INTERNAL_IP6_DNS => {
                let Ok(server) = address(attribute) else { return false };
                self.dns.extend(server.filter(|_| self.dns.len() < MAX_ENTRIES));
            }
            ConfigAttribute::INTERNAL_IP4_NBNS => {
                let Ok(server) = address_v4(attribute) else { return false };
                self.nbns.extend(server.filter(|_| self.nbns.len() < MAX_ENTRIES));
            }
            ConfigAttribute::INTERNAL_ADDRESS_EXPIRY if attribute.octets() == Some(&[]) => {}
            ConfigAttribute::INTERNAL_ADDRESS_EXPIRY => match attribute.to_u64().ok().map(u32::try_from) {
                Some(Ok(seconds)) => self.expiry = Some(seconds),
                Some(Err(_)) | None => return false,
            },
            ConfigAttribute::INTERNAL_IP4_SUBNET | ConfigAttribute::INTERNAL_IP6_SUBNET => match subnet(attribute) {
                Ok(network) => self.subnets.extend(network.filter(|_| self.subnets.len() < MAX_ENTRIES)),
                Err(Refused) => return false,
            },
            ConfigAttribute::APPLICATION_VERSION => {
                self.version = attribute.octets().map(short_line).filter(|text| !text.is_empty());
            }
            ConfigAttribute::SUPPORTED_ATTRIBUTES => {}
            other => return UNITY.contains(&other) && self.unity.read(attribute),
        }
        true
    }
}

/// Returns whether an address was given in a form that no address has.
pub(crate) fn address_is_refused(attributes: Attributes<'_>) -> bool {
    let (settings, refused) = ClientSettings::read(attributes);
    settings.address.is_none() && refused.into_iter().any(is_address)
}

/// Returns what can be shown of a text, up to a limit.
pub(super) fn short_text(octets: &[u8]) -> String {
    text(octets.get(..MAX_TEXT).unwrap_or(octets))
}

/// Returns what can be shown of a text of one line, up to a limit: a line break in a name would forge a line of whatever
/// file it is written to.
pub(super) fn short_line(octets: &[u8]) -> String {
    let mut line = short_text(octets);
    line.retain(|c| c != '\n');
    line
}

fn is_supported(class: ConfigAttribute) -> bool {
    SUPPORTED.contains(&class) || UNITY.contains(&class)
}

fn is_address(class: ConfigAttribute) -> bool {
    [ConfigAttribute::INTERNAL_IP4_ADDRESS, ConfigAttribute::INTERNAL_IP6_ADDRESS].contains(&class)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The length of a value does not fit its attribute, or the value makes no sense.
#[derive(Debug)]
struct Refused;

/// Reads an address; one of zeros, which some clients send for none, is none.
fn address(attribute: &Attribute<&[u8]>) -> Result<Option<IpAddr>, Refused> {
    let AttributeValue::Variable(octets) = attribute.value else { return Err(Refused) };
    let is_v6 = [ConfigAttribute::INTERNAL_IP6_ADDRESS, ConfigAttribute::INTERNAL_IP6_DNS]
        .contains(&ConfigAttribute(attribute.class));
    let address = match octets.len() {
        0 => return Ok(None),
        4 if !is_v6 => <[u8; 4]>::try_from(octets).map(IpAddr::from),
        // The form of IKEv2, with a prefix length behind the address, is seen in IKEv1 too.
        16 | 17 if is_v6 => <[u8; 16]>::try_from(octets.get(..16).unwrap_or(octets)).map(IpAddr::from),
        _ => return Err(Refused),
    };
    Ok(address.ok().filter(|address| !address.is_unspecified()))
}

/// Reads an address of four octets.
fn address_v4(attribute: &Attribute<&[u8]>) -> Result<Option<Ipv4Addr>, Refused> {
    match address(attribute)? {
        Some(IpAddr::V4(address)) => Ok(Some(address)),
        Some(IpAddr::V6(_)) => Err(Refused),
        None => Ok(None),
    }
}

fn subnet(attribute: &Attribute<&[u8]>) -> Result<Option<Network>, Refused> {
    let AttributeValue::Variable(octets) = attribute.value else { return Err(Refused) };
    let is_v6 = ConfigAttribute(attribute.class) == ConfigAttribute::INTERNAL_IP6_SUBNET;
    let network = match (octets, is_v6) {
        ([], _) => return Ok(None),
        ([a, b, c, d, e, f, g, h], false) => {
            Network::masked(Ipv4Addr::new(*a, *b, *c, *d), Ipv4Addr::new(*e, *f, *g, *h))
        }
        ([address @ .., prefix], true) => {
            let address = <[u8; 16]>::try_from(address).map_err(|_| Refused)?;
            Network::new(Ipv6Addr::from(address).into(), *prefix)
        }
        _ => None,
    };
    network.map(Some).ok_or(Refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use ipsec_wire::isakmp::payload::{Configuration, Emit, OwnedConfiguration};
    use ipsec_wire::registry::ConfigType;
    use proptest::prelude::*;

    fn carried<T>(attributes: Vec<Attribute<Vec<u8>>>, read: impl FnOnce(Attributes<'_>) -> T) -> T {
        let body = OwnedConfiguration { config_type: ConfigType::SET, identifier: 7, attributes }.to_body().unwrap();
        read(Configuration::parse(body.as_slice()).unwrap().attributes)
    }

    fn settings() -> ClientSettings {
        ClientSettings {
            address: Some([10, 20, 0, 1].into()),
            netmask: Some([255, 255, 255, 0].into()),
            dns: vec![[10, 10, 2, 53].into(), Ipv6Addr::LOCALHOST.into()],
            nbns: vec![[10, 10, 2, 54].into(), [10, 10, 2, 55].into()],
            expiry: Some(86_400),
            subnets: vec![
                Network::new([10, 10, 2, 0].into(), 24).unwrap(),
                Network::new(Ipv6Addr::LOCALHOST.into(), 64).unwrap(),
            ],
            version: Some("program 1".into()),
            unity: super::super::unity::sample(),
        }
    }

    #[test]
    fn what_is_set_reads_back_with_and_without_unity() {
        let (read, unsupported) = carried(settings().write(None, true), ClientSettings::read);
        assert_eq!(read, settings());
        assert!(unsupported.is_empty());
        let (read, _) = carried(settings().write(None, false), ClientSettings::read);
        assert_eq!(read, ClientSettings { unity: Unity::default(), ..settings() });
    }

    #[test]
    fn a_reply_holds_address_and_servers_and_else_what_was_asked_for() {
        let empty = |class: ConfigAttribute| Attribute::variable(class, Vec::new());
        let asked = vec![
            empty(ConfigAttribute::INTERNAL_IP4_ADDRESS),
            empty(ConfigAttribute::UNITY_PFS),
            empty(ConfigAttribute::INTERNAL_IP4_DHCP),
            empty(ConfigAttribute(30_000)),
        ];
        let wanted = carried(asked, Wanted::read);
        assert!(wanted.wants_address());
        assert_eq!(wanted.unsupported, [ConfigAttribute::INTERNAL_IP4_DHCP, ConfigAttribute(30_000)]);
        let classes: Vec<u16> = settings().write(Some(&wanted), true).iter().map(|written| written.class).collect();
        let pfs = ConfigAttribute::UNITY_PFS.0;
        assert_eq!(classes, [1, 3, 10, 4, 4, pfs]);
        let wanted = carried(write_request(None, None, true), Wanted::read);
        assert!(wanted.unsupported.is_empty() && wanted.has(ConfigAttribute::UNITY_BANNER));
    }

    #[test]
    fn a_mask_that_is_not_set_is_that_of_a_host() {
        let alone = ClientSettings { address: Some([10, 20, 0, 1].into()), ..ClientSettings::default() };
        let (read, _) = carried(alone.write(None, false), ClientSettings::read);
        assert_eq!(read.netmask, Some(Ipv4Addr::BROADCAST));
    }

    #[test]
    fn a_wish_is_read_and_zeros_are_none() {
        let wish = Some(IpAddr::from([10, 20, 0, 9]));
        assert_eq!(carried(write_request(wish, Some("v"), false), Wanted::read).address, wish);
        let zeros = vec![Attribute::variable(ConfigAttribute::INTERNAL_IP4_ADDRESS, vec![0; 4])];
        assert_eq!(carried(zeros, Wanted::read).address, None);
        let v6 = Some(IpAddr::from(Ipv6Addr::LOCALHOST));
        assert_eq!(carried(write_request(v6, None, false), Wanted::read).address, v6);
        let any_v6 = carried(write_request(Some(Ipv6Addr::UNSPECIFIED.into()), None, false), Wanted::read);
        assert!(any_v6.has(ConfigAttribute::INTERNAL_IP6_ADDRESS) && any_v6.address.is_none());
    }

    /// cves.md row 135: long attributes and many of them.
    #[test]
    fn wrong_lengths_take_nothing_and_counts_are_bounded() {
        for length in 0..40 {
            for class in [1u16, 2, 3, 4, 8, 10] {
                let attributes = vec![Attribute::variable(class, vec![7; length])];
                let (read, refused) = carried(attributes, ClientSettings::read);
                let lawful: &[usize] = match class {
                    8 | 10 => &[0, 16, 17],
                    _ => &[0, 4],
                };
                let is_refused = !lawful.contains(&length);
                assert_eq!(refused.contains(&ConfigAttribute(class)), is_refused, "{class} {length}");
                assert_eq!(read == ClientSettings::default(), is_refused || length == 0, "{class} {length}");
            }
        }
        let many = vec![Attribute::variable(ConfigAttribute::INTERNAL_IP4_DNS, vec![1, 2, 3, 4]); 100];
        let (read, _) = carried(many, ClientSettings::read);
        assert_eq!(read.dns.len(), MAX_ENTRIES);
        let long = vec![Attribute::variable(ConfigAttribute::APPLICATION_VERSION, vec![b'a'; 60_000])];
        let (read, _) = carried(long, ClientSettings::read);
        assert_eq!(read.version.unwrap().len(), MAX_TEXT);
    }

    #[test]
    fn an_acknowledgement_lists_what_was_taken_once_and_empty() {
        let mut attributes = settings().write(None, false);
        attributes.push(Attribute::basic(40_00u16, 1u16));
        let taken = carried(attributes, write_acknowledgement);
        let classes: Vec<u16> = taken.iter().map(|attribute| attribute.class).collect();
        assert_eq!(classes, [1, 2, 3, 10, 4, 5, 13, 15, 7]);
        assert!(taken.iter().all(|attribute| attribute.octets() == Some(&[])));
    }

    proptest! {
        #[test]
        fn no_list_of_attributes_makes_a_reader_fall(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(attributes) = Attributes::parse(octets.as_slice()) {
                let _ = Wanted::read(attributes);
                let _ = write_acknowledgement(attributes);
                let (settings, _) = ClientSettings::read(attributes);
                let (_, refused) = carried(settings.write(None, true), ClientSettings::read);
                prop_assert!(refused.is_empty(), "{refused:?}");
            }
        }
    }
}
