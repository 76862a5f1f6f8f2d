//! An initiator by hand, with the keys in its hand: it says to a responder of ours whatever a test wants
//! said, under the right keys.

use super::common::{A, B, End, endpoint, esp, transform};
use core::time::Duration;
use drive::{Datagram, Instant, Path, Verdict};
use ikev1_core::auth::PreSharedKey;
use ikev1_core::crypto::{DhGroup, DhKeyPair};
use ikev1_core::keys::{IvChain, Phase1Keys, Phase1Seed, Transcript};
use ikev1_core::negotiate::{Suite, offer_phase1, offer_phase2};
use ikev1_core::proposal::{AuthenticationMethod, IpsecTransform, Lifetime, Mode};
use ikev1_core::{DropReason, Plan};
use ipsec_wire::isakmp::payload::{Configuration, Emit, Nonce, OwnedConfiguration};
use ipsec_wire::isakmp::{Body, Chain, ChainBuilder, Cookie, Flags, Header, Message, MessageId, Payloads};
use ipsec_wire::registry::{ExchangeType, PayloadType};
use nat_t::{Version, detect};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;

pub const OUR_SPI: u32 = 0x5150_5150;
const OUR_NONCE: [u8; 16] = [0x4e; 16];

pub struct Scripted {
    /// The responder under test.
    pub end: End,
    pub now: Instant,
    /// The path as the responder sees it.
    pub path: Path,
    pub cookies: [Cookie; 2],
    pub keys: Phase1Keys,
    pub iv: IvChain,
    sai_b: Vec<u8>,
    publics: [Vec<u8>; 2],
    /// IV chains of exchanges that go on.
    chains: BTreeMap<u32, IvChain>,
    /// What the responder sent since it was last asked.
    pub answers: Vec<Vec<u8>>,
    next_id: u32,
}

/// Wraps up a chain of payloads.
pub fn chain(build: impl FnOnce(&mut ChainBuilder)) -> Chain {
    let mut builder = ChainBuilder::new();
    build(&mut builder);
    builder.finish().unwrap()
}

/// The body of an identification payload.
pub fn id_body(id_type: u8, protocol: u8, port: u16, data: &[u8]) -> Vec<u8> {
    [&[id_type, protocol], &port.to_be_bytes()[..], data].concat()
}

/// A chain with a HASH of any octets in front.
pub fn hashed(hash: &[u8], rest: &Chain) -> Chain {
    chain(|builder| {
        builder.push_body(PayloadType::HASH, hash);
        for payload in &Payloads::parse(rest.first(), rest.octets()).unwrap() {
            builder.push_body(payload.payload_type(), payload.body());
        }
    })
}

impl Scripted {
    /// Goes through main mode up to message 4: keys are there, nothing is proven.
    pub fn keyed(plan: Plan) -> Self {
        Self::keyed_as(plan, AuthenticationMethod::PreSharedKey)
    }

    /// Goes as far with another method of authentication in the offer.
    pub fn keyed_as(plan: Plan, authentication: AuthenticationMethod) -> Self {
        let end = End::new(endpoint(plan, 2));
        Self::keyed_at(end, Instant::from_secs(1), Cookie([0xc1; 8]), (authentication, false))
    }

    /// Goes through main mode, with a NAT before this initiator as far as the NAT-D payloads tell.
    pub fn natted(plan: Plan) -> Self {
        let end = End::new(endpoint(plan, 2));
        let psk = AuthenticationMethod::PreSharedKey;
        Self::keyed_at(end, Instant::from_secs(1), Cookie([0xc1; 8]), (psk, true)).proven()
    }

    /// Forgets everything, as one does that fell down, and goes through main mode with the same responder again.
    pub fn rebooted(self) -> Self {
        self.rebooted_to_message_4().proven()
    }

    /// As [`rebooted`](Self::rebooted), up to message 4.
    pub fn rebooted_to_message_4(self) -> Self {
        let cookie = Cookie(self.cookies[0].0.map(|octet| octet + 1));
        Self::keyed_at(self.end, self.now, cookie, (AuthenticationMethod::PreSharedKey, false))
    }

    fn keyed_at(
        mut end: End,
        now: Instant,
        cookie: Cookie,
        (authentication, natted): (AuthenticationMethod, bool),
    ) -> Self {
        let path = Path::new((B, 500).into(), (A, 500).into());
        let suite = transform(DhGroup::Modp768);
        let suite =
            ikev1_core::proposal::Phase1Transform { lifetime: Lifetime::seconds(3_600), authentication, ..suite };
        let sai_b = offer_phase1(&[suite]).to_body().unwrap();
        let mut exchange = |cookies: [Cookie; 2], chain: Chain| -> Vec<u8> {
            let header = Header::new(cookies[0], cookies[1], ExchangeType::MAIN, MessageId::ZERO);
            let octets = header.enclose(chain.first(), chain.octets()).unwrap();
            let verdict = end.endpoint.handle_datagram(now, Datagram { path, payload: &octets });
            assert_eq!(verdict, Verdict::Accepted);
            end.drain(now).pop().unwrap().payload.to_vec()
        };
        let message_1 = chain(|chain| {
            chain.push_body(PayloadType::SA, &sai_b);
            if natted {
                chain.push_body(PayloadType::VENDOR_ID, Version::Rfc3947.vendor_id());
            }
        });
        let message_2 = exchange([cookie, Cookie::ZERO], message_1);
        let cookies = [cookie, Header::parse(&message_2).unwrap().responder_cookie];
        let mut rng = ChaCha8Rng::seed_from_u64(77);
        let pair = DhKeyPair::generate(DhGroup::Modp768, 160, &mut rng);
        let message_3 = chain(|chain| {
            chain.push_body(PayloadType::KEY_EXCHANGE, pair.public());
            chain.push(&Nonce { data: &OUR_NONCE[..] });
            if natted {
                let of = detect::Cookies { initiator: cookies[0].0, responder: cookies[1].0 };
                let responder = detect::nat_d(&of, path.local, |input| suite.hash.digest(&[input]));
                chain.push_body(PayloadType::NAT_D, responder.as_bytes());
                chain.push_body(PayloadType::NAT_D, &[0; 20]);
            }
        });
        let message_4 = exchange(cookies, message_3);
        let message_4 = Message::parse(&message_4).unwrap();
        let Body::Clear(payloads) = message_4.body() else { panic!("message 4 is clear") };
        let body = |payload_type| payloads.find(payload_type).unwrap().body().to_vec();
        let (g_xr, nr_b) = (body(PayloadType::KEY_EXCHANGE), body(PayloadType::NONCE));
        let shared = pair.agree(&g_xr).unwrap();
        let psk = PreSharedKey::copied(b"psk for the interop lab");
        let seed = Phase1Seed::from_psk(suite.hash, &psk, &OUR_NONCE, &nr_b);
        let keys = seed.expand(&shared, &cookies[0].0, &cookies[1].0, suite.cipher);
        let iv = IvChain::phase_1(suite.hash, suite.cipher, pair.public(), &g_xr);
        let publics = [pair.public().to_vec(), g_xr];
        let chains = BTreeMap::new();
        Self { end, now, path, cookies, keys, iv, sai_b, publics, chains, answers: Vec::new(), next_id: 0x1000 }
    }

    /// Goes through main mode to its end.
    pub fn up(plan: Plan) -> Self {
        Self::keyed(plan).proven()
    }

    /// Goes through the rest of main mode.
    pub fn proven(self) -> Self {
        let mut peer = self;
        let message_5 = peer.message_5(&id_body(1, 0, 0, &A), |hash| hash);
        assert_eq!(peer.deliver(&message_5), Verdict::Accepted);
        peer.iv_after(&message_5);
        let message_6 = peer.answers.remove(0);
        let opened = peer.open(&message_6, 0);
        let payloads = Payloads::parse_decrypted(PayloadType::IDENTIFICATION, &opened[..]).unwrap();
        let idir_b = payloads.find(PayloadType::IDENTIFICATION).unwrap().body();
        let hash_r = peer.keys.hash_r(&peer.transcript(), idir_b);
        assert!(hash_r.matches(payloads.find(PayloadType::HASH).unwrap().body()));
        peer
    }

    fn transcript(&self) -> Transcript<'_> {
        Transcript {
            cky_i: &self.cookies[0].0,
            cky_r: &self.cookies[1].0,
            g_xi: &self.publics[0],
            g_xr: &self.publics[1],
            sai_b: &self.sai_b,
        }
    }

    /// Builds message 5 with an identity, and its HASH bent by `bend`.
    pub fn message_5(&self, identity: &[u8], bend: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
        let hash = bend(self.keys.hash_i(&self.transcript(), identity).as_bytes().to_vec());
        let chain = chain(|chain| {
            chain.push_body(PayloadType::IDENTIFICATION, identity);
            chain.push_body(PayloadType::HASH, &hash);
        });
        self.sealed(ExchangeType::MAIN, 0, &chain)
    }

    /// Moves the IV chain of phase 1 past a message.
    fn iv_after(&mut self, message: &[u8]) {
        let mut body = message[Header::LEN..].to_vec();
        let next = self.iv.open(self.keys.isakmp().cipher(), &mut body).unwrap();
        self.iv.commit(next);
    }

    fn chain_of(&self, message_id: u32) -> IvChain {
        match message_id {
            0 => self.iv,
            id => self.chains.get(&id).copied().unwrap_or_else(|| self.iv.for_message_id(id)),
        }
    }

    /// Encrypts a message under the IV that its exchange stands at; the chain stays there.
    pub fn sealed(&self, exchange: ExchangeType, message_id: u32, chain: &Chain) -> Vec<u8> {
        let mut body = chain.octets().to_vec();
        body.resize(body.len().next_multiple_of(16), 0);
        // Message id 0 does not make an informational message one of phase 1.
        let is_apart = exchange == ExchangeType::INFORMATIONAL && message_id == 0;
        let iv = if is_apart { self.iv.for_message_id(0) } else { self.chain_of(message_id) };
        let _ = iv.seal(self.keys.isakmp().cipher(), &mut body).unwrap();
        let header = Header::new(self.cookies[0], self.cookies[1], exchange, MessageId(message_id));
        header.with_flags(Flags::ENCRYPTION).enclose(chain.first(), &body).unwrap()
    }

    /// Decrypts an answer and moves the chain of its exchange past it.
    pub fn open(&mut self, message: &[u8], message_id: u32) -> Vec<u8> {
        let mut body = message[Header::LEN..].to_vec();
        let mut chain = self.chain_of(message_id);
        let next = chain.open(self.keys.isakmp().cipher(), &mut body).unwrap();
        chain.commit(next);
        match message_id {
            0 => self.iv = chain,
            id => drop(self.chains.insert(id, chain)),
        }
        body
    }

    pub fn deliver(&mut self, octets: &[u8]) -> Verdict<DropReason> {
        let datagram = Datagram { path: self.path, payload: octets };
        let verdict = self.end.endpoint.handle_datagram(self.now, datagram);
        let sent = self.end.drain(self.now);
        self.answers.extend(sent.into_iter().map(|transmit| transmit.payload.to_vec()));
        verdict
    }

    /// Lets time pass for the responder.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.end.endpoint.handle_timeout(self.now);
        let sent = self.end.drain(self.now);
        self.answers.extend(sent.into_iter().map(|transmit| transmit.payload.to_vec()));
    }

    pub fn fresh_id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    /// Sends payloads under HASH(1), with a fresh message id.
    pub fn inform(&mut self, rest: &Chain) -> Verdict<DropReason> {
        let id = self.fresh_id();
        let hash = self.keys.isakmp().hash_1(id, rest.octets());
        let octets = self.sealed(ExchangeType::INFORMATIONAL, id, &hashed(hash.as_bytes(), rest));
        self.deliver(&octets)
    }

    /// Says something in a transaction.
    pub fn transact(&mut self, id: u32, configuration: &OwnedConfiguration) -> Verdict<DropReason> {
        let rest = chain(|chain| chain.push(configuration));
        let hash = self.keys.isakmp().hash_1(id, rest.octets());
        let octets = self.sealed(ExchangeType::TRANSACTION, id, &hashed(hash.as_bytes(), &rest));
        let verdict = self.deliver(&octets);
        if verdict == Verdict::Accepted || verdict == Verdict::Ignored(DropReason::Refused) {
            self.open(&octets, id);
        }
        verdict
    }

    /// Takes in the next message of a transaction that the responder sent.
    pub fn told(&mut self) -> (u32, OwnedConfiguration) {
        let octets = self.answers.remove(0);
        let header = *Message::parse(&octets).unwrap().header();
        assert_eq!(header.exchange, ExchangeType::TRANSACTION);
        let id = header.message_id.0;
        let opened = self.open(&octets, id);
        let payloads = Payloads::parse_decrypted(PayloadType::HASH, &opened[..]).unwrap();
        let payload = payloads.find(PayloadType::ATTRIBUTES).unwrap();
        (id, Configuration::parse(payload).unwrap().to_owned())
    }

    /// Builds message 1 of quick mode after its HASH, with any identities.
    pub fn quick_rest(&self, ids: &[Vec<u8>]) -> Chain {
        let part =
            IpsecTransform { mode: Mode::Tunnel, lifetime: Lifetime::seconds(3_600), ..IpsecTransform::new(esp()) };
        let offer = offer_phase2(&[Suite { number: 1, parts: vec![part] }], None, |_| OUR_SPI);
        chain(|chain| {
            chain.push_body(PayloadType::SA, &offer.to_body().unwrap());
            chain.push(&Nonce { data: &OUR_NONCE[..] });
            for id in ids {
                chain.push_body(PayloadType::IDENTIFICATION, id);
            }
        })
    }

    /// The identities that the policy of the responder in `common` wants.
    pub fn lawful_ids() -> Vec<Vec<u8>> {
        [[10, 10, 1, 0], [10, 10, 2, 0]]
            .map(|net: [u8; 4]| id_body(4, 0, 0, &[&net[..], &[255, 255, 255, 0]].concat()))
            .into()
    }

    /// Builds message 1 of quick mode.
    pub fn quick_1(&self, id: u32, rest: &Chain) -> Vec<u8> {
        let hash = self.keys.isakmp().hash_1(id, rest.octets());
        self.sealed(ExchangeType::QUICK, id, &hashed(hash.as_bytes(), rest))
    }

    /// Goes through quick mode to its end.
    pub fn quick(&mut self) {
        let id = self.fresh_id();
        let message_1 = self.quick_1(id, &self.quick_rest(&Self::lawful_ids()));
        assert_eq!(self.deliver(&message_1), Verdict::Accepted);
        self.open(&message_1, id);
        let message_2 = self.answers.pop().unwrap();
        let opened = self.open(&message_2, id);
        let payloads = Payloads::parse_decrypted(PayloadType::HASH, &opened[..]).unwrap();
        let nr_b = payloads.find(PayloadType::NONCE).unwrap().body().to_vec();
        let hash_3 = self.keys.isakmp().hash_3(id, &OUR_NONCE, &nr_b);
        let message_3 = chain(|chain| chain.push_body(PayloadType::HASH, hash_3.as_bytes()));
        let message_3 = self.sealed(ExchangeType::QUICK, id, &message_3);
        assert_eq!(self.deliver(&message_3), Verdict::Accepted);
        assert!(self.end.established());
    }
}
