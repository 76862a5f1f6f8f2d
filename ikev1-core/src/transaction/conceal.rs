use alloc::vec::Vec;
use ipsec_wire::isakmp::payload::{Attribute, AttributeValue, Configuration};
use ipsec_wire::isakmp::{ChainBuilder, Payloads};
use ipsec_wire::registry::{ConfigAttribute, PayloadType};
use zeroize::Zeroize;

/// Writes zeros over the values of attributes.
pub(crate) fn conceal(attributes: &mut [Attribute<Vec<u8>>], which: impl Fn(u16) -> bool) {
    for attribute in attributes.iter_mut().filter(|attribute| which(attribute.class)) {
        match &mut attribute.value {
            // The length stays for whoever reads the trace.
            AttributeValue::Variable(octets) => octets.as_mut_slice().zeroize(),
            AttributeValue::Basic(value) => value.zeroize(),
        }
    }
}

/// Returns a payload chain with zeros for the secrets of XAUTH; lengths stay as they are.
///
/// Attributes that cannot be read are left out with their payload.
pub(crate) fn concealed(payloads: &Payloads<'_>) -> Vec<u8> {
    let is_secret = |class: u16| {
        [
            ConfigAttribute::XAUTH_USER_PASSWORD,
            ConfigAttribute::XAUTH_PASSCODE,
            ConfigAttribute::XAUTH_NEXT_PIN,
            ConfigAttribute::XAUTH_ANSWER,
        ]
        .contains(&ConfigAttribute(class))
    };
    let mut chain = ChainBuilder::new();
    for payload in payloads {
        if payload.payload_type() != PayloadType::ATTRIBUTES {
            chain.push_body(payload.payload_type(), payload.body());
        } else if let Ok(configuration) = Configuration::parse(payload) {
            let mut owned = configuration.to_owned();
            conceal(&mut owned.attributes, is_secret);
            chain.push(&owned);
        }
    }
    chain.finish().map(|chain| chain.into_octets()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipsec_wire::isakmp::payload::{Hash, OwnedConfiguration};
    use ipsec_wire::registry::ConfigType;

    #[test]
    fn the_secrets_are_zeros_and_the_rest_is_as_it_was() {
        let attribute = |class: ConfigAttribute, octets: &[u8]| Attribute::variable(class, octets.to_vec());
        let attributes = alloc::vec![
            attribute(ConfigAttribute::XAUTH_USER_NAME, b"alice"),
            attribute(ConfigAttribute::XAUTH_USER_PASSWORD, b"secret"),
            attribute(ConfigAttribute::XAUTH_PASSCODE, b"123456"),
            Attribute::basic(ConfigAttribute::XAUTH_NEXT_PIN, 0x3132u16),
            attribute(ConfigAttribute::XAUTH_ANSWER, b"y"),
        ];
        let mut builder = ChainBuilder::new();
        builder.push(&Hash { data: &[7; 20][..] });
        builder.push(&OwnedConfiguration { config_type: ConfigType::REPLY, identifier: 9, attributes });
        let chain = builder.finish().unwrap();
        let octets = concealed(&Payloads::parse(chain.first(), chain.octets()).unwrap());
        assert_eq!(octets.len(), chain.octets().len());
        let has = |wanted: &[u8]| octets.windows(wanted.len()).any(|window| window == wanted);
        assert!(has(b"alice") && has(&[7; 20]));
        assert!(!has(b"secret") && !has(b"123456") && !has(b"12"));
        assert!(Payloads::parse(chain.first(), octets.as_slice()).is_ok());
    }
}
