//! Targets of negotiation, of public values, of keys and certificates.

use ikev1_core::auth::{RsaVerifyingKey, TrustAnchors};
use ikev1_core::crypto::{CipherAlgorithm, DhGroup, DhKeyPair, DhPrivate, HashAlgorithm};
use ikev1_core::negotiate::{
    MAX_REFUSALS, Order, Phase1Policy, Refusals, Rules, Suite, check_phase1_answer, check_phase2_answer, choose_phase1,
    choose_phase2,
};
use ikev1_core::proposal::{
    AesKey, AuthenticationMethod, Compression, EspCipher, Icv, Integrity, IpsecTransform, Lifetime, LifetimeRule,
    OfferedIpsec, OfferedPhase1, Phase1Transform, Protection, UdpEncapsulation,
};
use ipsec_wire::isakmp::payload::{Emit, SecurityAssociation};

/// The first octet picks the rules.
fn rules(octet: u8) -> Rules {
    let order = if octet & 1 == 0 { Order::Offer } else { Order::Plan };
    let lifetime = match octet >> 1 & 3 {
        0 => LifetimeRule::Shorter,
        1 => LifetimeRule::Obey,
        2 => LifetimeRule::Strict,
        _ => LifetimeRule::Exact,
    };
    Rules { order, lifetime, shortest: Lifetime::default(), longest: Lifetime::default() }
}

fn bounded(refusals: &Refusals) {
    assert!(refusals.iter().count() <= MAX_REFUSALS);
    assert_eq!(refusals.iter().count() + refusals.omitted(), refusals.len());
    assert!(refusals.to_string().lines().count() <= MAX_REFUSALS + 1);
}

/// What a responder answers to any phase 1 offer is one of its policies, and its initiator takes it.
pub fn phase1(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let Ok(offer) = SecurityAssociation::parse(body) else { return };
    let mut policies = Vec::new();
    for cipher in CipherAlgorithm::ALL {
        for (hash, group) in [(HashAlgorithm::Sha1, DhGroup::Modp1024), (HashAlgorithm::Sha2_256, DhGroup::Modp2048)] {
            let authentication = AuthenticationMethod::PreSharedKey;
            let transform =
                Phase1Transform { cipher, hash, group, authentication, lifetime: Lifetime::seconds(28_800) };
            policies.push(Phase1Policy { number: 1, transform });
        }
    }
    match choose_phase1(&offer, &policies, &rules(*first)) {
        Err(refusals) => bounded(&refusals),
        Ok(choice) => {
            bounded(&choice.refusals);
            let answer = choice.answer.to_body().expect("part of an offer fits as the offer did");
            let answer = SecurityAssociation::parse(&answer[..]).expect("an answer parses");
            let transform = answer.proposals().next().expect("one").transforms().next().expect("one");
            let lifetime = OfferedPhase1::read(transform.attributes).expect("it was read already").lifetime;
            let offered = Phase1Transform { lifetime, ..choice.transform };
            assert_eq!(check_phase1_answer(&[offered], &answer), Ok(0));
        }
    }
}

/// What a responder answers to any phase 2 offer is one of its suites, and its initiator takes it.
pub fn phase2(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let Ok(offer) = SecurityAssociation::parse(body) else { return };
    let udp = match first >> 3 & 3 {
        0 | 1 => None,
        2 => Some(UdpEncapsulation::Rfc3947),
        _ => Some(UdpEncapsulation::Drafts),
    };
    let sha = Some(Integrity::HmacSha1);
    let aes = IpsecTransform::esp(EspCipher::AesCbc(AesKey::Bits128), sha);
    let des = IpsecTransform::esp(EspCipher::Des, Some(Integrity::HmacMd5));
    let gcm = IpsecTransform::esp(EspCipher::AesGcm(AesKey::Bits128, Icv::Octets16), None);
    let ah = IpsecTransform::new(Protection::Ah { integrity: Integrity::HmacSha1 });
    let lzs = IpsecTransform::new(Protection::Ipcomp { compression: Compression::Lzs });
    let suites: Vec<Suite> = [vec![aes], vec![des], vec![gcm], vec![ah], vec![aes, ah], vec![des, lzs]]
        .into_iter()
        .zip(1..)
        .map(|(parts, number)| Suite { number, parts })
        .collect();
    match choose_phase2(&offer, &suites, udp, &rules(*first)) {
        Err(refusals) => bounded(&refusals),
        Ok(choice) => {
            bounded(&choice.refusals);
            let answer = choice.answer(|_| 4096).to_body().expect("part of an offer fits as the offer did");
            let answer = SecurityAssociation::parse(&answer[..]).expect("an answer parses");
            let said = answer.proposals().map(|proposal| {
                let transform = proposal.transforms().next().expect("one");
                OfferedIpsec::read(proposal.protocol, &transform).expect("it was read already").lifetime
            });
            let parts = choice.agreement.parts.iter().zip(said);
            let parts = parts.map(|(part, lifetime)| IpsecTransform { lifetime, ..part.transform }).collect();
            let agreed = check_phase2_answer(&[Suite { number: 1, parts }], udp, &answer);
            assert!(agreed.is_ok(), "{agreed:?}");
        }
    }
}

/// A public value that passes the check can be agreed with, and one that does not cannot.
pub fn public_value(data: &[u8]) {
    for group in DhGroup::ALL {
        let _ = group.check_public(data);
    }
    for group in [DhGroup::Modp768, DhGroup::Ecp256] {
        let ours = DhKeyPair::from_private(group, DhPrivate::new(vec![7; 32])).expect("a lawful scalar");
        assert_eq!(ours.agree(data).is_ok(), group.check_public(data).is_ok());
    }
}

/// No octets but an authority's own signature make a certificate, and no octets crash a reader of keys.
pub fn certificate(data: &[u8]) {
    if let Ok(key) = RsaVerifyingKey::from_der(data) {
        assert!((1024..=8192).contains(&key.bits()));
    }
    if let Ok(text) = core::str::from_utf8(data) {
        let _ = RsaVerifyingKey::from_pem(text);
        let _ = TrustAnchors::new().add_pem(text);
    }
    let mut anchors = TrustAnchors::new();
    let _ = anchors.add_der(data);
    let identity = ikev1_core::Identity::Fqdn("peer.example".to_owned());
    let half = data.len() / 2;
    let (first, second) = data.split_at(half);
    for chain in [&[data][..], &[first, second]] {
        assert!(TrustAnchors::new().verify(chain, &identity, 1_893_456_000).is_err());
        let _ = anchors.verify(chain, &identity, 1_893_456_000);
    }
}
