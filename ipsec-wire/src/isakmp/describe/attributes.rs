use super::{Field, Options, Sink, Value};
use crate::isakmp::payload::{Attribute, AttributeValue, Attributes};
use crate::registry::{
    AuthAlgorithm, AuthMethod, ConfigAttribute, EncapsulationMode, Group, GroupType, IkeAttribute, IkeCipher, IkeHash,
    IpsecAttribute, LifeType, ProtocolId, XauthStatus, XauthType,
};
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

/// Describes the attributes of a transform, in the registry of its protocol.
pub(super) fn attributes(protocol: ProtocolId, list: Attributes<'_>, sink: &mut dyn Sink) -> fmt::Result {
    for attribute in list {
        let (name, value) = if protocol == ProtocolId::ISAKMP {
            (IkeAttribute(attribute.class).name(), ike_value(&attribute))
        } else {
            (IpsecAttribute(attribute.class).name(), ipsec_value(&attribute))
        };
        sink.line(&[field(name, &attribute, value)])?;
    }
    Ok(())
}

/// Describes the attributes of a transaction; secrets only if the options say so.
pub(super) fn configuration(list: Attributes<'_>, options: Options, sink: &mut dyn Sink) -> fmt::Result {
    for attribute in list {
        let class = ConfigAttribute(attribute.class);
        let name = class.name();
        match (&attribute.value, attribute.octets()) {
            _ if is_secret(class) && !options.show_secrets => {
                let hidden = Value::Hidden(attribute.octets().map_or(2, <[u8]>::len));
                sink.line(&[field(name, &attribute, hidden)])?;
            }
            (_, Some(octets))
                if is_address(class)
                    && let Ok(address) = <[u8; 4]>::try_from(octets) =>
            {
                sink.line(&[field(name, &attribute, Value::Address(Ipv4Addr::from(address).into()))])?;
            }
            (_, Some(octets))
                if is_address(class)
                    && let Ok(address) = <[u8; 16]>::try_from(octets) =>
            {
                sink.line(&[field(name, &attribute, Value::Address(Ipv6Addr::from(address).into()))])?;
            }
            (_, Some(octets)) if is_network(class) && !octets.is_empty() => {
                sink.line(&[field(name, &attribute, Value::Shown(&Networks(octets)))])?;
            }
            (_, Some(octets)) if is_text(class) => {
                sink.line(&[field(name, &attribute, Value::Readable(octets))])?;
            }
            _ => sink.line(&[field(name, &attribute, config_value(class, &attribute))])?,
        }
    }
    Ok(())
}

fn field<'a>(name: Option<&'static str>, attribute: &Attribute<&'a [u8]>, value: Value<'a>) -> Field<'a> {
    Field { name: name.unwrap_or("Attribute"), number: Some(attribute.class), value }
}

fn ike_value<'a>(attribute: &Attribute<&'a [u8]>) -> Value<'a> {
    let name: fn(u16) -> Option<&'static str> = match IkeAttribute(attribute.class) {
        IkeAttribute::ENCRYPTION_ALGORITHM => |value| IkeCipher(value).name(),
        IkeAttribute::HASH_ALGORITHM => |value| IkeHash(value).name(),
        IkeAttribute::AUTHENTICATION_METHOD => |value| AuthMethod(value).name(),
        IkeAttribute::GROUP_DESCRIPTION => |value| Group(value).name(),
        IkeAttribute::GROUP_TYPE => |value| GroupType(value).name(),
        IkeAttribute::LIFE_TYPE => |value| LifeType(value).name(),
        _ => return number(attribute),
    };
    named(attribute, name)
}

fn ipsec_value<'a>(attribute: &Attribute<&'a [u8]>) -> Value<'a> {
    let name: fn(u16) -> Option<&'static str> = match IpsecAttribute(attribute.class) {
        IpsecAttribute::SA_LIFE_TYPE => |value| LifeType(value).name(),
        IpsecAttribute::GROUP_DESCRIPTION => |value| Group(value).name(),
        IpsecAttribute::ENCAPSULATION_MODE => |value| EncapsulationMode(value).name(),
        IpsecAttribute::AUTHENTICATION_ALGORITHM => |value| AuthAlgorithm(value).name(),
        _ => return number(attribute),
    };
    named(attribute, name)
}

fn config_value<'a>(class: ConfigAttribute, attribute: &Attribute<&'a [u8]>) -> Value<'a> {
    let name: fn(u16) -> Option<&'static str> = match class {
        ConfigAttribute::XAUTH_TYPE => |value| XauthType(value).name(),
        ConfigAttribute::XAUTH_STATUS => |value| XauthStatus(value).name(),
        ConfigAttribute::INTERNAL_ADDRESS_EXPIRY => return number(attribute),
        _ => {
            return match attribute.value {
                AttributeValue::Basic(value) => Value::Number(value.into()),
                AttributeValue::Variable(octets) => Value::Octets(octets),
            };
        }
    };
    named(attribute, name)
}

/// A number of a registry, in either form; octets that are no such number stay octets.
fn named<'a>(attribute: &Attribute<&'a [u8]>, name: fn(u16) -> Option<&'static str>) -> Value<'a> {
    match attribute.to_u16() {
        Ok(value) => Value::Named(name(value), value.into()),
        Err(kind) => broken(attribute, kind),
    }
}

/// A number in either form; longer values (the primes of a private group) stay octets.
fn number<'a>(attribute: &Attribute<&'a [u8]>) -> Value<'a> {
    match (attribute.to_u64(), attribute.value) {
        (Ok(value), _) => Value::Number(value),
        (Err(_), AttributeValue::Variable(octets)) => Value::Octets(octets),
        (Err(kind), AttributeValue::Basic(_)) => broken(attribute, kind),
    }
}

fn broken<'a>(attribute: &Attribute<&'a [u8]>, kind: crate::error::ErrorKind) -> Value<'a> {
    match attribute.value {
        AttributeValue::Basic(value) => Value::Number(value.into()),
        AttributeValue::Variable([]) => Value::Octets(&[]),
        AttributeValue::Variable(octets) => Value::Broken(kind, octets),
    }
}

fn is_secret(class: ConfigAttribute) -> bool {
    matches!(
        class,
        ConfigAttribute::XAUTH_USER_PASSWORD
            | ConfigAttribute::XAUTH_PASSCODE
            | ConfigAttribute::XAUTH_NEXT_PIN
            | ConfigAttribute::XAUTH_ANSWER
    )
}

fn is_address(class: ConfigAttribute) -> bool {
    let ipv4 = ConfigAttribute::INTERNAL_IP4_ADDRESS..=ConfigAttribute::INTERNAL_IP4_NBNS;
    let ipv6 = ConfigAttribute::INTERNAL_IP6_ADDRESS..=ConfigAttribute::INTERNAL_IP6_DHCP;
    let servers = ConfigAttribute::INTERNAL_IP4_SERVER..=ConfigAttribute::INTERNAL_IP6_SERVER;
    [ipv4, ipv6, servers].iter().any(|range| range.contains(&class)) || class == ConfigAttribute::INTERNAL_IP4_DHCP
}

fn is_network(class: ConfigAttribute) -> bool {
    matches!(
        class,
        ConfigAttribute::INTERNAL_IP4_SUBNET | ConfigAttribute::UNITY_SPLIT_INCLUDE | ConfigAttribute::UNITY_LOCAL_LAN
    )
}

fn is_text(class: ConfigAttribute) -> bool {
    matches!(
        class,
        ConfigAttribute::APPLICATION_VERSION
            | ConfigAttribute::XAUTH_USER_NAME
            | ConfigAttribute::XAUTH_USER_PASSWORD
            | ConfigAttribute::XAUTH_PASSCODE
            | ConfigAttribute::XAUTH_MESSAGE
            | ConfigAttribute::XAUTH_DOMAIN
            | ConfigAttribute::XAUTH_NEXT_PIN
            | ConfigAttribute::XAUTH_ANSWER
            | ConfigAttribute::UNITY_BANNER
            | ConfigAttribute::UNITY_DEF_DOMAIN
            | ConfigAttribute::UNITY_SPLITDNS_NAME
            | ConfigAttribute::UNITY_DDNS_HOSTNAME
            | ConfigAttribute::CHECKPOINT_DOMAIN
    )
}

/// Networks as address and mask: entries of 14 octets (Cisco), or of 8.
struct Networks<'a>(&'a [u8]);

impl fmt::Display for Networks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = if self.0.len().is_multiple_of(14) { 14 } else { 8 };
        let entries = self.0.chunks_exact(size);
        let rest = entries.remainder();
        for (index, entry) in entries.enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            if let Some((address, mask)) = entry.split_first_chunk::<4>()
                && let Some(mask) = mask.first_chunk::<4>()
            {
                write!(f, "{separator}{}:{}", Ipv4Addr::from(*address), Ipv4Addr::from(*mask))?;
            }
        }
        if !rest.is_empty() {
            write!(f, " and {} octets", rest.len())?;
        }
        Ok(())
    }
}
