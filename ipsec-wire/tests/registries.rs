//! The registries against tables that were gathered from independent programs.

use ipsec_wire::registry::*;
use std::collections::BTreeMap;
use std::fmt::Display;

/// What a registry here says: number and name, in order.
fn ours<T: Copy + Display, N: Into<u64>>(
    known: &[T],
    number: impl Fn(T) -> N,
    name: impl Fn(T) -> Option<&'static str>,
) -> BTreeMap<u64, String> {
    known.iter().map(|value| (number(*value).into(), name(*value).expect("known values have names").into())).collect()
}

macro_rules! tables {
    ($($key:literal: $type:ident,)*) => {
        [$(($key, ours($type::KNOWN, |value| value.0, |value| value.name()))),*]
    };
}

#[test]
fn every_number_of_the_independent_tables_has_their_name_here() {
    let theirs: serde_json::Value = serde_json::from_str(include_str!("vectors/registries.json")).unwrap();
    let tables = tables! {
        "exchange_type": ExchangeType,
        "payload_type": PayloadType,
        "security_protocol": ProtocolId,
        "id_type": IdType,
        "cert_encoding": CertificateEncoding,
        "notify_type": NotifyType,
        "ike_attribute_class": IkeAttribute,
        "ike_encryption": IkeCipher,
        "ike_hash": IkeHash,
        "ike_auth_method": AuthMethod,
        "group_description": Group,
        "group_type": GroupType,
        "life_type": LifeType,
        "ipsec_attribute_class": IpsecAttribute,
        "encapsulation_mode": EncapsulationMode,
        "ipsec_auth_algorithm": AuthAlgorithm,
        "isakmp_transform": IsakmpTransform,
        "ah_transform": AhTransform,
        "esp_transform": EspTransform,
        "ipcomp_transform": IpcompTransform,
        "config_message_type": ConfigType,
        "config_attribute": ConfigAttribute,
        "xauth_type": XauthType,
        "xauth_status": XauthStatus,
        "doi": Doi,
    };
    let mut compared = 0;
    for (key, table) in &tables {
        for entry in theirs["registries"][key]["entries"].as_array().unwrap() {
            let (value, name) = (entry["value"].as_u64().unwrap(), entry["name"].as_str().unwrap());
            assert_eq!(table.get(&value).map(String::as_str), Some(name), "{key} {value}");
            compared += 1;
        }
    }
    // All but the header flags and the situation bits, which are no open numbers.
    let all: usize =
        theirs["registries"].as_object().unwrap().values().map(|r| r["entries"].as_array().unwrap().len()).sum();
    assert_eq!(compared, all - 6);
}

#[test]
fn every_value_of_every_registry_prints_its_number() {
    for value in 0..=255u8 {
        let texts = [
            ExchangeType(value).to_string(),
            PayloadType(value).to_string(),
            ProtocolId(value).to_string(),
            IdType(value).to_string(),
            CertificateEncoding(value).to_string(),
            EspTransform(value).to_string(),
            AhTransform(value).to_string(),
            IpcompTransform(value).to_string(),
            IsakmpTransform(value).to_string(),
            ConfigType(value).to_string(),
        ];
        assert!(texts.iter().all(|text| text.ends_with(&format!("({value})")) && text.len() < 60), "{texts:?}");
    }
    for value in 0..=65535u16 {
        let texts = [
            NotifyType(value).to_string(),
            IkeAttribute(value).to_string(),
            IkeCipher(value).to_string(),
            IkeHash(value).to_string(),
            AuthMethod(value).to_string(),
            Group(value).to_string(),
            GroupType(value).to_string(),
            LifeType(value).to_string(),
            IpsecAttribute(value).to_string(),
            EncapsulationMode(value).to_string(),
            AuthAlgorithm(value).to_string(),
            ConfigAttribute(value).to_string(),
            XauthType(value).to_string(),
            XauthStatus(value).to_string(),
        ];
        assert!(texts.iter().all(|text| text.ends_with(&format!("({value})")) && text.len() < 60), "{texts:?}");
    }
}

#[test]
fn unknown_values_are_kept_and_called_unknown() {
    assert_eq!(PayloadType(33).to_string(), "unknown (33)");
    assert_eq!(PayloadType::from(200).0, 200);
    assert_eq!(u16::from(NotifyType::R_U_THERE), 36136);
    assert_eq!(PayloadType::SA.to_string(), "SA (1)");
}
