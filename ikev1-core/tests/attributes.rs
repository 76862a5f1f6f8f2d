//! Attributes of a transform as peers write them: any order, either form, wrong in every way.

use crate::support::{STRONG, body, sa};
use ikev1_core::crypto::CipherAlgorithm;
use ikev1_core::negotiate::{Phase1Policy, Reason, Rules, check_phase1_answer, choose_phase1, offer_phase1};
use ikev1_core::proposal::{AttributeError, Lifetime, LifetimeRule, Mismatch, Phase1Transform, Term};
use ipsec_wire::isakmp::payload::{
    Attribute, AttributeValue, Offer, OfferedProposal, OfferedTransform, SecurityAssociation,
};
use ipsec_wire::registry::{AuthMethod, Group, IkeCipher, IkeHash, LifeType, ProtocolId};
use proptest::prelude::*;

/// Builds an offer of one transform from attributes given by hand.
fn by_hand(attributes: Vec<Attribute<Vec<u8>>>) -> Vec<u8> {
    let transforms = vec![OfferedTransform { number: 1, id: 1, attributes }];
    let proposal = OfferedProposal { number: 1, protocol: ProtocolId::ISAKMP, spi: Vec::new(), transforms };
    body(&Offer { proposals: vec![proposal], ..Offer::default() })
}

fn strong_attributes() -> Vec<Attribute<Vec<u8>>> {
    STRONG.to_offered(1).attributes
}

fn judge(attributes: Vec<Attribute<Vec<u8>>>) -> Result<Phase1Transform, Reason> {
    let policy = Phase1Policy { number: 1, transform: STRONG };
    match choose_phase1(&sa(&by_hand(attributes)), &[policy], &Rules::default()) {
        Ok(choice) => Ok(choice.transform),
        Err(refusals) => Err(refusals.iter().next().unwrap().reason),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The two of a lifetime must stay neighbours; all else may come in any order and either form.
    #[test]
    fn attributes_are_read_in_any_order_and_either_form(order in Just([0, 1, 2, 3, 4, 5]).prop_shuffle(), long: [bool; 7]) {
        let attributes = strong_attributes();
        let mut shuffled = Vec::new();
        for index in order {
            shuffled.push(attributes[index].clone());
            if index == 5 {
                shuffled.push(attributes[6].clone());
            }
        }
        for (attribute, long) in shuffled.iter_mut().zip(long) {
            if let (AttributeValue::Basic(value), true) = (&attribute.value, long) {
                attribute.value = AttributeValue::Variable(u32::from(*value).to_be_bytes().to_vec());
            }
        }
        prop_assert_eq!(judge(shuffled), Ok(STRONG));
    }

    #[test]
    fn noise_for_attributes_never_panics_and_is_never_chosen(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut body = vec![0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0];
        body.extend(&octets);
        let len = body.len() as u16;
        body[10..12].copy_from_slice(&(len - 8).to_be_bytes());
        body[18..20].copy_from_slice(&(len - 16).to_be_bytes());
        if let Ok(offer) = SecurityAssociation::parse(&body[..]) {
            let policy = Phase1Policy { number: 1, transform: STRONG };
            prop_assert!(choose_phase1(&offer, &[policy], &Rules::default()).is_err());
            prop_assert!(check_phase1_answer(&[STRONG], &offer).is_err());
        }
    }
}

#[test]
fn an_attribute_twice_is_refused_even_with_the_same_value() {
    for index in 0..5 {
        let mut attributes = strong_attributes();
        attributes.push(attributes[index].clone());
        assert!(matches!(judge(attributes), Err(Reason::Attributes(AttributeError::Repeated(_)))));
    }
    let mut attributes = strong_attributes();
    attributes.extend([Attribute::basic(11_u16, 1_u16), Attribute::basic(12_u16, 60_u16)]);
    let repeated = AttributeError::Repeated("lifetime in seconds");
    assert_eq!(judge(attributes), Err(Reason::Attributes(repeated)));
}

#[test]
fn a_missing_attribute_is_a_mismatch_with_none() {
    for (index, offered) in [
        (0, Term::Encryption(None, Some(256))),
        (1, Term::Encryption(Some(IkeCipher::AES_CBC), None)),
        (2, Term::Hash(None)),
        (3, Term::Group(None)),
        (4, Term::Authentication(None)),
    ] {
        let mut attributes = strong_attributes();
        attributes.remove(index);
        let Err(Reason::Mismatch(mismatch)) = judge(attributes) else { panic!("taken without {offered:?}") };
        assert_eq!(mismatch.offered, offered);
    }
}

#[test]
fn an_unknown_attribute_is_never_passed_over() {
    for class in (13..32768_u16).filter(|class| ![14].contains(class)).step_by(97).chain([0, 6, 10, 13, 15, 16, 16384])
    {
        let mut attributes = strong_attributes();
        attributes.push(Attribute::basic(class, 1_u16));
        assert_eq!(judge(attributes), Err(Reason::Attributes(AttributeError::Unknown(class))));
    }
}

#[test]
fn a_group_type_that_fits_the_group_is_taken_and_another_is_not() {
    let with = |form: u16| {
        let mut attributes = strong_attributes();
        attributes.push(Attribute::basic(5_u16, form));
        judge(attributes)
    };
    assert_eq!(with(1), Ok(STRONG));
    assert!(matches!(with(2), Err(Reason::Mismatch(Mismatch { offered: Term::GroupType(_), .. }))));
}

#[test]
fn key_lengths_that_do_not_fit_their_cipher_are_refused() {
    for cipher in CipherAlgorithm::ALL {
        let policy = Phase1Policy { number: 1, transform: Phase1Transform { cipher, ..STRONG } };
        for bits in [0_u16, 1, 40, 56, 64, 127, 128, 129, 160, 168, 192, 255, 256, 257, 512, 65535] {
            let mut attributes = policy.transform.to_offered(1).attributes;
            attributes.retain(|attribute| attribute.class != 14);
            attributes.push(Attribute::basic(14_u16, bits));
            let offer = by_hand(attributes);
            let taken = choose_phase1(&sa(&offer), &[policy], &Rules::default()).is_ok();
            assert_eq!(taken, usize::from(bits) == 8 * cipher.key_len(), "{cipher} with {bits}");
        }
        // Without the attribute: fixed lengths only.
        let mut attributes = policy.transform.to_offered(1).attributes;
        attributes.retain(|attribute| attribute.class != 14);
        let offer = by_hand(attributes);
        let taken = choose_phase1(&sa(&offer), &[policy], &Rules::default()).is_ok();
        assert_eq!(taken, cipher.key_length_attribute().is_none(), "{cipher}");
    }
}

/// Replaces the lifetime of the strong suite by the attributes given.
fn with_life(life: &[Attribute<Vec<u8>>]) -> Result<Phase1Transform, Reason> {
    let mut attributes = strong_attributes();
    attributes.truncate(5);
    attributes.extend_from_slice(life);
    judge(attributes)
}

#[test]
fn lifetimes_of_every_length_are_read_and_saturate() {
    let seconds = Attribute::basic(11_u16, LifeType::SECONDS);
    let own = STRONG.lifetime.seconds.unwrap();
    for (octets, expected) in [
        (vec![1], 1),
        (vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9], 9),
        (vec![0x0e, 0x0f], 3599),
        (vec![0, 0x20, 0xc4, 0x9b], own),
        (vec![0x7f, 0xff, 0xff, 0xff], own),
        (vec![0xff; 8], own),
        (vec![0xff; 9], own),
        (vec![1; 200], own),
    ] {
        let taken = with_life(&[seconds.clone(), Attribute::variable(12_u16, octets)]).unwrap();
        assert_eq!(taken.lifetime, Lifetime::seconds(expected));
    }
    let rules = Rules { lifetime: LifetimeRule::Obey, ..Rules::default() };
    let mut attributes = strong_attributes();
    attributes.truncate(5);
    attributes.extend([seconds, Attribute::variable(12_u16, vec![1; 200])]);
    let policy = Phase1Policy { number: 1, transform: STRONG };
    let choice = choose_phase1(&sa(&by_hand(attributes)), &[policy], &rules).unwrap();
    assert_eq!(choice.transform.lifetime, Lifetime::seconds(u64::MAX));
}

#[test]
fn lifetimes_of_zero_of_nothing_or_without_their_other_half_are_refused() {
    let seconds = || Attribute::basic(11_u16, LifeType::SECONDS);
    let kilobytes = || Attribute::basic(11_u16, LifeType::KILOBYTES);
    let duration = |value: u16| Attribute::basic(12_u16, value);
    for (life, expected) in [
        (vec![seconds(), duration(0)], AttributeError::LifeZero(LifeType::SECONDS)),
        (vec![kilobytes(), Attribute::variable(12_u16, vec![0; 4])], AttributeError::LifeZero(LifeType::KILOBYTES)),
        (vec![seconds(), Attribute::variable(12_u16, vec![])], AttributeError::Range("life duration")),
        (vec![seconds()], AttributeError::LifeUnpaired),
        (vec![duration(5)], AttributeError::LifeUnpaired),
        (vec![seconds(), kilobytes(), duration(5)], AttributeError::LifeUnpaired),
        (vec![Attribute::basic(11_u16, 3_u16), duration(5)], AttributeError::LifeType(LifeType(3))),
    ] {
        assert_eq!(with_life(&life), Err(Reason::Attributes(expected)));
    }
    // A duration before its type, and no lifetime at all, are taken.
    assert_eq!(with_life(&[duration(60), seconds()]).unwrap().lifetime, Lifetime::seconds(60));
    assert_eq!(with_life(&[]).unwrap().lifetime, STRONG.lifetime);
    let both = with_life(&[seconds(), duration(60), kilobytes(), duration(70)]).unwrap().lifetime;
    assert_eq!(both, Lifetime { seconds: Some(60), kilobytes: Some(70) });
}

#[test]
fn each_lifetime_rule_does_what_it_says() {
    let settle = |rule, shortest, offered| {
        let rules = Rules { lifetime: rule, shortest: Lifetime::seconds(shortest), ..Rules::default() };
        let offer = body(&offer_phase1(&[Phase1Transform { lifetime: Lifetime::seconds(offered), ..STRONG }]));
        let policy = Phase1Policy { number: 1, transform: STRONG };
        choose_phase1(&sa(&offer), &[policy], &rules).ok().and_then(|choice| choice.transform.lifetime.seconds)
    };
    use LifetimeRule::{Exact, Obey, Shorter, Strict};
    for (rule, shorter, same, longer) in [
        (Shorter, Some(600), Some(3600), Some(3600)),
        (Obey, Some(600), Some(3600), Some(7200)),
        (Strict, Some(600), Some(3600), None),
        (Exact, None, Some(3600), None),
    ] {
        assert_eq!([settle(rule, 1, 600), settle(rule, 1, 3600), settle(rule, 1, 7200)], [shorter, same, longer]);
        assert_eq!(settle(rule, 601, 600), None);
    }
}

#[test]
fn a_number_that_does_not_fit_its_field_is_refused() {
    let mut attributes = strong_attributes();
    attributes[0] = Attribute::variable(1_u16, vec![1, 0, 7]);
    assert_eq!(judge(attributes), Err(Reason::Attributes(AttributeError::Range("encryption"))));
    let mut attributes = strong_attributes();
    attributes[2] = Attribute::variable(2_u16, vec![]);
    assert_eq!(judge(attributes), Err(Reason::Attributes(AttributeError::Range("hash"))));
}

#[test]
fn algorithms_that_nobody_has_are_refused_by_their_names() {
    let mut attributes = strong_attributes();
    attributes[0] = Attribute::basic(1_u16, IkeCipher::BLOWFISH_CBC);
    assert_eq!(judge(attributes).unwrap_err().to_string(), "encryption Blowfish-CBC 256, wanted AES-CBC 256");
    let mut attributes = strong_attributes();
    attributes[2] = Attribute::basic(2_u16, IkeHash::TIGER);
    assert_eq!(judge(attributes).unwrap_err().to_string(), "hash Tiger, wanted SHA2-256");
    let mut attributes = strong_attributes();
    attributes[3] = Attribute::basic(4_u16, Group(0));
    assert_eq!(judge(attributes).unwrap_err().to_string(), "group 0 (MODP-512), wanted 14 (MODP-2048)");
    let mut attributes = strong_attributes();
    attributes[4] = Attribute::basic(3_u16, AuthMethod::RSA_ENCRYPTION);
    assert_eq!(judge(attributes).unwrap_err().to_string(), "auth Encryption with RSA, wanted pre-shared key");
    for (method, name) in [
        (AuthMethod::DSS_SIGNATURES, "DSS signatures"),
        (AuthMethod::RSA_REVISED_ENCRYPTION, "Revised encryption with RSA"),
        (AuthMethod::ECDSA_P256, "ECDSA SHA-256 P-256"),
        (AuthMethod::ECDSA_P384, "ECDSA SHA-384 P-384"),
        (AuthMethod::ECDSA_P521, "ECDSA SHA-512 P-521"),
        (AuthMethod::HYBRID_INIT_DSS, "HybridInitDSS"),
        (AuthMethod::XAUTH_INIT_DSS, "XAUTHInitDSS"),
    ] {
        let mut attributes = strong_attributes();
        attributes[4] = Attribute::basic(3_u16, method);
        assert_eq!(judge(attributes).unwrap_err().to_string(), format!("auth {name}, wanted pre-shared key"));
    }
}
