//! Whole sessions between other people's programs: offers chosen, keys derived, every message opened
//! and its hash checked, key material computed.

use crate::support::{cookie, every_phase1, every_protection, octets, pem, vectors};
use ikev1_core::auth::{PreSharedKey, RsaSigningKey, RsaVerifyingKey, SignatureError};
use ikev1_core::crypto::{DhShared, Digest};
use ikev1_core::keys::{IsakmpKeys, IvChain, KeymatInput, Phase1Keys, Phase1Seed, Transcript};
use ikev1_core::negotiate::{
    Phase1Policy, Rules, Suite, check_phase1_answer, check_phase2_answer, choose_phase1, choose_phase2,
};
use ikev1_core::proposal::{
    IpsecTransform, LifetimeRule, Mode, OfferedIpsec, OfferedPhase1, Phase1Transform, UdpEncapsulation,
};
use ipsec_wire::isakmp::payload::{Emit, SecurityAssociation};
use ipsec_wire::isakmp::{Body, Message, Payloads};
use ipsec_wire::registry::{EncapsulationMode, ExchangeType, Group, PayloadType};
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;
use std::collections::BTreeMap;

const OBEY: Rules = Rules {
    order: ikev1_core::negotiate::Order::Offer,
    lifetime: LifetimeRule::Obey,
    shortest: ikev1_core::proposal::Lifetime { seconds: None, kilobytes: None },
    longest: ikev1_core::proposal::Lifetime { seconds: None, kilobytes: None },
};

/// The bodies of phase 1 that travelled in the clear, and those that were opened.
#[derive(Default)]
struct Seen {
    sa: [Vec<u8>; 2],
    ke: [Vec<u8>; 2],
    nonce: [Vec<u8>; 2],
    id: [Vec<u8>; 2],
    hash: [Vec<u8>; 2],
    signature: [Vec<u8>; 2],
    certificate: [Vec<u8>; 2],
}

impl Seen {
    fn absorb(&mut self, side: usize, payloads: &Payloads<'_>) {
        for payload in payloads {
            let slot = match payload.payload_type() {
                PayloadType::SA => &mut self.sa,
                PayloadType::KEY_EXCHANGE => &mut self.ke,
                PayloadType::NONCE => &mut self.nonce,
                PayloadType::IDENTIFICATION => &mut self.id,
                PayloadType::HASH => &mut self.hash,
                PayloadType::SIGNATURE => &mut self.signature,
                PayloadType::CERTIFICATE => &mut self.certificate,
                _ => continue,
            };
            slot[side] = payload.body().to_vec();
        }
    }
}

/// What a quick mode said, as far as its key material depends on it.
#[derive(Default)]
struct Quick {
    seen: Seen,
    messages: usize,
}

struct Session<'a> {
    capture: &'a Value,
    name: &'a str,
    phase1: Seen,
    suite: Option<Phase1Transform>,
    keys: Option<Phase1Keys>,
    phase1_iv: Option<IvChain>,
    chains: BTreeMap<u32, IvChain>,
    quick: BTreeMap<u32, Quick>,
    opened: usize,
}

impl<'a> Session<'a> {
    fn new(capture: &'a Value) -> Self {
        Self {
            capture,
            name: capture["name"].as_str().unwrap(),
            phase1: Seen::default(),
            suite: None,
            keys: None,
            phase1_iv: None,
            chains: BTreeMap::new(),
            quick: BTreeMap::new(),
            opened: 0,
        }
    }

    fn walk(&mut self) {
        let mut before: Vec<Vec<u8>> = Vec::new();
        for datagram in self.capture["datagrams"].as_array().unwrap() {
            let side = usize::from(datagram["from"] == "responder");
            let datagram = octets(datagram, "octets");
            if before.contains(&datagram) {
                continue;
            }
            let message = Message::parse(&datagram).unwrap();
            match message.body() {
                Body::Clear(payloads) => {
                    self.phase1.absorb(side, &payloads);
                    if self.suite.is_none() && !self.phase1.sa[1].is_empty() {
                        self.negotiated();
                    }
                }
                Body::Encrypted(body) => {
                    if self.keys.is_none() {
                        self.derive();
                    }
                    self.open(side, &message, body);
                }
            }
            before.push(datagram);
        }
    }

    /// Finds the suite that the answer names, and checks that both our roles come to it.
    fn negotiated(&mut self) {
        let offer = SecurityAssociation::parse(&self.phase1.sa[0][..]).unwrap();
        let answer = SecurityAssociation::parse(&self.phase1.sa[1][..]).unwrap();
        let attributes = answer.proposals().next().unwrap().transforms().next().unwrap().attributes;
        let lifetime = OfferedPhase1::read(attributes).unwrap().lifetime;
        let all = every_phase1(lifetime);
        let suite = all[check_phase1_answer(&all, &answer).unwrap()];
        let policy = Phase1Policy { number: 1, transform: suite };
        let choice = choose_phase1(&offer, &[policy], &OBEY).unwrap();
        assert_eq!(choice.transform, suite, "{}", self.name);
        let ours = choice.answer.to_body().unwrap();
        let ours = SecurityAssociation::parse(&ours[..]).unwrap();
        let our_attributes = ours.proposals().next().unwrap().transforms().next().unwrap().attributes;
        // strongSwan writes the attributes in its own order, we leave them in the peer's.
        assert_eq!(OfferedPhase1::read(our_attributes), OfferedPhase1::read(attributes), "{}", self.name);
        self.suite = Some(suite);
    }

    fn derive(&mut self) {
        let (suite, keys) = (self.suite.unwrap(), &self.capture["isakmp"]);
        let (ni_b, nr_b) = (&self.phase1.nonce[0], &self.phase1.nonce[1]);
        let g_xy = DhShared::new(octets(keys, "dh_shared_secret"));
        let seed = match suite.authentication.is_pre_shared_key() {
            true => {
                let psk = PreSharedKey::copied(self.capture["psk"].as_str().unwrap().as_bytes());
                Phase1Seed::from_psk(suite.hash, &psk, ni_b, nr_b)
            }
            false => Phase1Seed::from_signature(suite.hash, ni_b, nr_b, &g_xy),
        };
        assert_eq!(seed.skeyid().expose(), octets(keys, "skeyid"), "{}", self.name);
        let (cky_i, cky_r) = (cookie(keys, "initiator_cookie"), cookie(keys, "responder_cookie"));
        let derived = seed.expand(&g_xy, &cky_i, &cky_r, suite.cipher);
        let isakmp = derived.isakmp();
        assert_eq!(isakmp.skeyid_d().expose(), octets(keys, "skeyid_d"), "{}", self.name);
        assert_eq!(isakmp.skeyid_a().expose(), octets(keys, "skeyid_a"), "{}", self.name);
        assert_eq!(isakmp.skeyid_e().expose(), octets(keys, "skeyid_e"), "{}", self.name);
        assert_eq!(isakmp.cipher().expose(), octets(keys, "encryption_key"), "{}", self.name);
        let iv = IvChain::phase_1(suite.hash, suite.cipher, &self.phase1.ke[0], &self.phase1.ke[1]);
        assert_eq!(iv.current().as_bytes(), octets(keys, "initial_iv"), "{}", self.name);
        self.phase1_iv = Some(iv);
        self.keys = Some(derived);
    }

    fn open(&mut self, side: usize, message: &Message<'_>, body: &[u8]) {
        let (header, keys) = (message.header(), self.keys.as_ref().unwrap().isakmp());
        let id = header.message_id.0;
        let phase1_iv = self.phase1_iv.as_mut().unwrap();
        let chain = match id {
            0 => phase1_iv,
            id => self.chains.entry(id).or_insert_with(|| phase1_iv.for_message_id(id)),
        };
        let mut plain = body.to_vec();
        let next = chain.open(keys.cipher(), &mut plain).unwrap();
        chain.commit(next);
        let payloads = Payloads::parse_decrypted(header.next_payload, &plain[..]).unwrap();
        assert!(payloads.padding().iter().all(|octet| *octet == 0), "{}", self.name);
        self.opened += 1;
        if id == 0 {
            self.phase1.absorb(side, &payloads);
            return;
        }
        let hash = payloads.iter().next().unwrap();
        let rest = payloads.after(&hash);
        let expected = if header.exchange == ExchangeType::QUICK {
            let quick = self.quick.entry(id).or_default();
            quick.seen.absorb(side, &payloads);
            quick.messages += 1;
            let [ni_b, nr_b] = &quick.seen.nonce;
            match quick.messages {
                1 => keys.hash_1(id, rest),
                2 => keys.hash_2(id, ni_b, rest),
                3 => keys.hash_3(id, ni_b, nr_b),
                _ => panic!("{}: a fourth message", self.name),
            }
        } else {
            keys.hash_1(id, rest)
        };
        assert!(expected.matches(hash.body()), "{}: {} {id:08x}", self.name, header.exchange);
    }

    /// Computes HASH_I and HASH_R.
    fn hashes(&self) -> [Digest; 2] {
        let isakmp = &self.capture["isakmp"];
        let (cky_i, cky_r) = (cookie(isakmp, "initiator_cookie"), cookie(isakmp, "responder_cookie"));
        let (keys, seen) = (self.keys.as_ref().unwrap(), &self.phase1);
        let transcript =
            Transcript { cky_i: &cky_i, cky_r: &cky_r, g_xi: &seen.ke[0], g_xr: &seen.ke[1], sai_b: &seen.sa[0] };
        [keys.hash_i(&transcript, &seen.id[0]), keys.hash_r(&transcript, &seen.id[1])]
    }

    /// Checks HASH_I and HASH_R where they travelled.
    fn authenticated(&self) -> usize {
        let mut checked = 0;
        for (hash, expected) in self.phase1.hash.iter().zip(self.hashes()) {
            if !hash.is_empty() {
                assert!(expected.matches(hash), "{}", self.name);
                checked += 1;
            }
        }
        checked
    }

    /// Checks SIG_I and SIG_R where they travelled, and makes them again.
    fn signed(&self) -> usize {
        let expected = self.hashes();
        let mut checked = 0;
        for (side, (signature, expected)) in self.phase1.signature.iter().zip(expected).enumerate() {
            if signature.is_empty() {
                continue;
            }
            let certificates = self.capture["certificates"].as_str().unwrap_or_default();
            let name = format!("{certificates}{}", ["left", "right"][side]);
            let public = RsaVerifyingKey::from_pem(&pem(&format!("{name}.pub.pem"))).unwrap();
            public.verify(&expected, signature).unwrap();
            let mut bent = signature.clone();
            bent[17] ^= 1;
            assert_eq!(public.verify(&expected, &bent), Err(SignatureError::Wrong));
            let private = RsaSigningKey::from_pem(&pem(&format!("{name}.key.pem"))).unwrap();
            let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(3);
            assert_eq!(private.sign(&expected, &mut rng).unwrap(), *signature, "{}", self.name);
            checked += 1;
        }
        checked
    }

    /// Negotiates every quick mode again and computes its key material.
    fn protected(&self) -> usize {
        let mut checked = 0;
        for (id, quick) in &self.quick {
            let seen = &quick.seen;
            let offer = SecurityAssociation::parse(&seen.sa[0][..]).unwrap();
            let answer = SecurityAssociation::parse(&seen.sa[1][..]).unwrap();
            let proposal = answer.proposals().next().unwrap();
            let transform = proposal.transforms().next().unwrap();
            let read = OfferedIpsec::read(proposal.protocol, &transform).unwrap();
            let mode = read.encapsulation.unwrap();
            let udp = UdpEncapsulation::of(mode);
            let transport = [EncapsulationMode::TRANSPORT, EncapsulationMode::UDP_TRANSPORT].contains(&mode);
            let suites: Vec<Suite> = every_protection()
                .into_iter()
                .map(|protection| IpsecTransform {
                    mode: if transport { Mode::Transport } else { Mode::Tunnel },
                    pfs: read.pfs.map(|group: Group| group.try_into().unwrap()),
                    lifetime: read.lifetime,
                    ..IpsecTransform::new(protection)
                })
                .map(|part| Suite { number: 1, parts: vec![part] })
                .collect();
            let agreed = check_phase2_answer(&suites, udp, &answer).unwrap();
            let suite = &suites[agreed.suite..=agreed.suite];
            let choice = choose_phase2(&offer, suite, udp, &OBEY).unwrap();
            assert_eq!(choice.agreement.parts[0].transform, agreed.parts[0].transform, "{}", self.name);
            let spis = [choice.agreement.parts[0].peer_spi, agreed.parts[0].peer_spi];
            for (spi, sa) in spis.into_iter().flat_map(|spi| self.sas(*id, spi).map(move |sa| (spi, sa))) {
                self.keymat(seen, &agreed.parts[0].transform, spi, sa);
                checked += 1;
            }
        }
        checked
    }

    fn sas(&self, id: u32, spi: u32) -> impl Iterator<Item = &Value> {
        let spi = format!("{spi:08x}");
        let sas = self.capture["ipsec"].as_array().unwrap().iter();
        sas.filter(move |sa| sa["spi"] == spi.as_str() && sa["quick_mode_message_id"] == id)
    }

    fn keymat(&self, seen: &Seen, transform: &IpsecTransform, spi: u32, sa: &Value) {
        let keys: &IsakmpKeys = self.keys.as_ref().unwrap().isakmp();
        let pfs = sa["pfs_dh_shared_secret"].as_str().map(|hex| DhShared::new(hex::decode(hex).unwrap()));
        assert_eq!(pfs.is_some(), transform.pfs.is_some(), "{}", self.name);
        let input = KeymatInput {
            pfs: pfs.as_ref(),
            protocol: transform.protection.protocol().0,
            spi: &spi.to_be_bytes(),
            ni_b: &seen.nonce[0],
            nr_b: &seen.nonce[1],
        };
        let (encryption_len, integrity_len) = transform.protection.keymat_lens();
        let keymat = keys.keymat(&input, encryption_len + integrity_len);
        let (encryption, integrity) = keymat.split(encryption_len).unwrap();
        let text = |key: &str| sa[key].as_str().unwrap_or_default().to_owned();
        assert_eq!(hex::encode(encryption.expose()), text("encryption_key"), "{}", self.name);
        assert_eq!(hex::encode(integrity.expose()), text("integrity_key"), "{}", self.name);
    }
}

#[test]
fn recorded_sessions_of_strongswan_and_vpnc_come_out_to_the_last_message() {
    let file = vectors("lab.json");
    let (mut opened, mut hashes, mut signatures, mut keymats) = (0, 0, 0, 0);
    for capture in file["captures"].as_array().unwrap() {
        let mut session = Session::new(capture);
        session.walk();
        opened += session.opened;
        hashes += session.authenticated();
        signatures += session.signed();
        keymats += session.protected();
    }
    // Messages opened, hashes and signatures of phase 1, key materials: none was passed over.
    assert_eq!((opened, hashes, signatures, keymats), (150, 33, 5, 42));
}

/// Certificates of 4096 bits and 40 names, too long for one datagram; what joined the parts is held
/// against the same record beside the code.
#[test]
fn recorded_sessions_that_came_in_parts_come_out_to_the_last_message() {
    let file = vectors("fragmentation.json");
    for capture in file["captures"].as_array().unwrap() {
        let mut session = Session::new(capture);
        session.walk();
        assert_eq!((session.opened, session.signed(), session.protected()), (7, 2, 2), "{}", session.name);
    }
}
