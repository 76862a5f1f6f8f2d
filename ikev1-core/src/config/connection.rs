use crate::auth::{Authentication, PreSharedKey};
use crate::defaults;
use crate::error::{ConfigError, ConfigProblem};
use crate::fragment::Fragmentation;
use crate::identity::Identity;
use crate::plan::{
    ConnectionPlan, DeadPeerAction, DpdMode, Dynamic, HeartbeatMode, HeartbeatPlan, Peer, Phase1Mode, PolicyPlan,
    RemoteIdentity, RetryAttempts, SendCertificates,
};
use crate::proposal::Phase1Transform;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;
use drive::{Backoff, Schedule};
use nat_t::Support;

use super::authentication::{check_authentication, default_send_certificates};
use super::{
    AddressSource, LIFETIME, MAX_POLICIES, MAX_TRANSFORMS, ModeConfig, PolicyConfig, Xauth, check_name, setters,
    within, wrong,
};

/// One connection: the peer, how both prove who they are, and the traffic to protect.
#[derive(Debug)]
pub struct ConnectionConfig {
    pub(super) name: String,
    peer: Peer,
    peer_port: u16,
    peer_nat_t_port: u16,
    local: Option<IpAddr>,
    local_identity: Option<Identity>,
    remote_identity: Option<RemoteIdentity>,
    authentication: Option<Authentication>,
    send_certificates: Option<SendCertificates>,
    mode: Phase1Mode,
    aggressive: bool,
    base: bool,
    phase1: Vec<Phase1Transform>,
    exponent_bits: Option<u32>,
    lifetime: Duration,
    schedule: Schedule,
    retries: u32,
    delete_delay: Duration,
    dpd: DpdMode,
    dpd_idle: Duration,
    dead_peer: DeadPeerAction,
    heartbeats: HeartbeatMode,
    heartbeat_period: Duration,
    heartbeats_missed: u32,
    heartbeat_notify: u16,
    nat_traversal: bool,
    nat_t_versions: Support,
    force_encapsulation: bool,
    fragmentation: Fragmentation,
    fragment_size: u16,
    keepalive: Duration,
    initial_contact: bool,
    ignore_initial_contact: bool,
    send_deletes: bool,
    send_notifies: bool,
    trust_unprotected_errors: bool,
    children_end_with_ike: bool,
    commit_bit: bool,
    phase2_limit: Option<u32>,
    pfs_identities: bool,
    retry_attempts: RetryAttempts,
    extend_while_used: bool,
    soft_per_mille: (u32, u32),
    jitter_per_mille: u32,
    weak: bool,
    policies: Vec<PolicyConfig>,
    xauth: Option<Xauth>,
    mode_config: Option<ModeConfig>,
}

impl ConnectionConfig {
    /// Returns a connection with safe settings and no key, peer at any address.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_string(),
            peer: Peer::Any,
            peer_port: defaults::IKE_PORT,
            peer_nat_t_port: defaults::NAT_T_PORT,
            local: None,
            local_identity: None,
            remote_identity: None,
            authentication: None,
            send_certificates: None,
            mode: Phase1Mode::Main,
            aggressive: false,
            base: false,
            phase1: defaults::phase1_offer(),
            exponent_bits: None,
            lifetime: defaults::IKE_LIFETIME,
            schedule: Schedule::Incremental(defaults::MESSAGE_TIMEOUT),
            retries: defaults::MESSAGE_RETRIES,
            delete_delay: defaults::DELETE_DELAY,
            dpd: DpdMode::Both,
            dpd_idle: defaults::DPD_IDLE,
            dead_peer: DeadPeerAction::Clear,
            heartbeats: HeartbeatMode::Off,
            heartbeat_period: defaults::HEARTBEAT_PERIOD,
            heartbeats_missed: defaults::HEARTBEATS_MISSED,
            heartbeat_notify: defaults::HEARTBEAT_NOTIFY,
            nat_traversal: true,
            nat_t_versions: Support::STANDARD,
            force_encapsulation: false,
            fragmentation: Fragmentation::default(),
            fragment_size: defaults::FRAGMENT_SIZE,
            keepalive: defaults::NAT_KEEPALIVE,
            initial_contact: true,
            ignore_initial_contact: false,
            send_deletes: true,
            send_notifies: true,
            trust_unprotected_errors: false,
            children_end_with_ike: false,
            commit_bit: false,
            phase2_limit: None,
            pfs_identities: false,
            retry_attempts: RetryAttempts::Times(0),
            extend_while_used: false,
            soft_per_mille: (defaults::INITIATOR_SOFT_PER_MILLE, defaults::RESPONDER_SOFT_PER_MILLE),
            jitter_per_mille: defaults::SOFT_JITTER_PER_MILLE,
            weak: false,
            policies: Vec::new(),
            xauth: None,
            mode_config: None,
        }
    }

    setters! {
        /// Sets who may be at the other end.
        peer(peer: Peer);
        /// Sets the peer's port of ISAKMP.
        peer_port(peer_port: u16);
        /// Sets the peer's port of NAT-T.
        peer_nat_t_port(peer_nat_t_port: u16);
        /// Sets the address on this machine; to start an exchange it must be known.
        local(local: IpAddr);
        /// Sets who this end says it is; without it, its address.
        local_identity(local_identity: Identity);
        /// Sets whom the peer must prove to be.
        remote_identity(remote_identity: RemoteIdentity);
        /// Sets how the ends prove to each other who they are.
        authentication(authentication: Authentication);
        /// Sets when this end sends its certificates; without it if the peer asks for some, and always as the
        /// gateway of hybrid authentication, whose client must check it and may not ask.
        send_certificates(send_certificates: SendCertificates);
        /// Sets in which mode this end starts phase 1; a renewal keeps the mode of the SA it renews.
        mode(mode: Phase1Mode);
        /// Allows aggressive mode in both roles. With a pre-shared key the responder then sends a hash
        /// over the key to anyone who names an identity, who can try keys offline: the key must hold as
        /// many random bits as the cipher. Without one it is allowed where this end starts so.
        dangerously_allow_aggressive_mode(aggressive: bool);
        /// Allows base mode in both roles. With a pre-shared key both hashes over the key travel in clear, the
        /// initiator's to whoever answers: the key must hold as many random bits as the cipher. Without one it
        /// is allowed where this end starts so.
        dangerously_allow_base_mode(base: bool);
        /// Sets the transforms of phase 1, best first. How the ends authenticate each other is said by
        /// [`authentication`](Self::authentication), not by the transforms.
        phase1(phase1: Vec<Phase1Transform>);
        /// Sets the length of private exponents in bits, for every group.
        exponent_bits(exponent_bits: u32);
        /// Sets the life of the ISAKMP SA.
        lifetime(lifetime: Duration);
        /// Sets how the gap between resends grows.
        resend_schedule(schedule: Schedule);
        /// Sets the number of resends, 0 to 1024.
        resends(retries: u32);
        /// Sets how long the sender of a last message keeps the exchange to answer repeats, 0 to 30 s.
        delete_delay(delete_delay: Duration);
        /// Sets how far this end takes part in liveness checks.
        dpd(dpd: DpdMode);
        /// Sets how long a peer is silent before it is asked, 1 to 86400 s.
        dpd_idle(dpd_idle: Duration);
        /// Sets what happens when the peer is dead.
        dead_peer(dead_peer: DeadPeerAction);
        /// Sets how far this end takes part in heartbeats, whose format is our own.
        heartbeats(heartbeats: HeartbeatMode);
        /// Sets how often heartbeats are sent and expected, 1 to 3600 s.
        heartbeat_period(heartbeat_period: Duration);
        /// Sets how many heartbeats in a row are missed when the peer is dead, 1 to 100.
        heartbeats_missed(heartbeats_missed: u32);
        /// Sets the number of the notification that is a heartbeat: a status for private use, 32768 to 40959.
        heartbeat_notify(heartbeat_notify: u16);
        /// Sets whether NATs are looked for.
        nat_traversal(nat_traversal: bool);
        /// Sets which versions of NAT traversal are offered and answered; of those that both ends know the best
        /// is taken. With drafts 00 and 01, which are not in the standard, ESP comes to the ISAKMP port too:
        /// [`Plan::esp_on_ike_port`](crate::Plan::esp_on_ike_port).
        nat_t_versions(nat_t_versions: Support);
        /// Sets whether ESP goes in UDP even without a NAT.
        force_encapsulation(force_encapsulation: bool);
        /// Sets how far this end takes part in IKE fragmentation.
        fragmentation(fragmentation: Fragmentation);
        /// Sets the longest IP datagram that an IKE message travels in whole, 128 to 65535 octets.
        fragment_size(fragment_size: u16);
        /// Sets how often a NAT mapping is kept open, 1 to 3600 s.
        keepalive(keepalive: Duration);
        /// Sets whether INITIAL-CONTACT is sent with the first SA to a peer.
        initial_contact(initial_contact: bool);
        /// Sets whether INITIAL-CONTACT of the peer is told but not obeyed: for clients that share an identity and
        /// an address, of which each would end the SAs of the others.
        ignore_initial_contact(ignore_initial_contact: bool);
        /// Sets whether Deletes are sent.
        send_deletes(send_deletes: bool);
        /// Sets whether error notifications are sent.
        send_notifies(send_notifies: bool);
        /// Sets whether an unprotected error ends an exchange at once: anyone on the path can forge one.
        dangerously_trust_unprotected_errors(trust_unprotected_errors: bool);
        /// Sets whether IPsec SAs end when the peer deletes their ISAKMP SA.
        children_end_with_ike(children_end_with_ike: bool);
        /// Sets whether this end, in either role, has the peer wait until it confirms a pair of IPsec SAs: the
        /// commit bit for all policies of the connection. Some peers do not know it.
        commit_bit(commit_bit: bool);
        /// Sets how many quick modes one ISAKMP SA carries before it is renewed, 1 to 1024; without it any
        /// number.
        phase2_limit(phase2_limit: u32);
        /// Sets whether each ISAKMP SA carries one quick mode and is deleted after it: perfect forward secrecy for
        /// identities, RFC 2409 §8. It takes a phase 1 for each pair of IPsec SAs and for each renewal. In between
        /// there is no ISAKMP SA, so nobody keeps a NAT mapping open, asks whether the peer lives, or tells it what
        /// ends. A peer that starts several quick modes under one ISAKMP SA is let be. Sessions of users, which end
        /// with their ISAKMP SA, are not for it.
        pfs_identities(pfs_identities: bool);
        /// Sets how often an exchange that this end started is tried again after it failed, 0 to 16 times or
        /// without end; the peer must be at one address.
        retry_attempts(retry_attempts: RetryAttempts);
        /// Sets whether the ISAKMP SA of a peer without a fixed address lives on while traffic comes under it,
        /// a minute at a time, instead of being renewed by this end.
        extend_while_used(extend_while_used: bool);
        /// Sets the parts of a life, in thousandths, after which its initiator and its responder renew it.
        soft_per_mille(soft_per_mille: (u32, u32));
        /// Sets the largest random part of a life, in thousandths, taken off the soft limit.
        jitter_per_mille(jitter_per_mille: u32);
        /// Allows weak algorithms (DES, MD5, MODP 768 and 1024), which old routers need.
        dangerously_allow_weak_algorithms(weak: bool);
        /// Sets that a user must prove who he is after phase 1, and on which side he sits.
        xauth(xauth: Xauth);
        /// Sets that the client of the two ends is given its address, and which end that is.
        mode_config(mode_config: ModeConfig);
    }

    /// Sets that both ends hold this key.
    #[must_use]
    pub fn pre_shared_key(self, psk: PreSharedKey) -> Self {
        self.authentication(psk.into())
    }

    /// Adds a phase 2 policy.
    #[must_use]
    pub fn policy(mut self, policy: PolicyConfig) -> Self {
        self.policies.push(policy);
        self
    }

    pub(super) fn build(self) -> Result<ConnectionPlan, ConfigError> {
        let name = self.name;
        check_name(&name)?;
        let field = |field: &str| format!("{name}.{field}");
        let Some(authentication) = self.authentication else {
            return Err(wrong(&field("authentication"), ConfigProblem::Missing));
        };
        check_authentication(&authentication, self.xauth.as_ref(), self.weak, field)?;
        within(&field("peer_port"), self.peer_port.into(), 1..=65_535)?;
        within(&field("peer_nat_t_port"), self.peer_nat_t_port.into(), 1..=65_535)?;
        if let (Peer::Address(peer), Some(local)) = (self.peer, self.local)
            && peer.is_ipv4() != local.is_ipv4()
        {
            return Err(wrong(&field("local"), ConfigProblem::Family));
        }
        if let Peer::Subnet { address, prefix } = self.peer {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            within(&field("peer"), prefix.into(), 0..=bits)?;
            if self.local.is_some_and(|local| local.is_ipv4() != address.is_ipv4()) {
                return Err(wrong(&field("local"), ConfigProblem::Family));
            }
        }
        within(&field("phase1"), self.phase1.len() as u64, 1..=MAX_TRANSFORMS)?;
        for transform in &self.phase1 {
            if transform.is_weak() && !self.weak {
                return Err(wrong(&field("phase1"), ConfigProblem::Weak(transform.to_string())));
            }
            if let Some(bits) = self.exponent_bits {
                let range = transform.group.exponent_bits();
                within(&field("exponent_bits"), bits.into(), (*range.start()).into()..=(*range.end()).into())?;
            }
        }
        let exposes_key = authentication.pre_shared_key().is_some();
        let aggressive = self.aggressive || (self.mode == Phase1Mode::Aggressive && !exposes_key);
        let base = self.base || (self.mode == Phase1Mode::Base && !exposes_key);
        if self.mode == Phase1Mode::Base && !base {
            return Err(wrong(&field("mode"), ConfigProblem::Weak("base mode with a pre-shared key".into())));
        }
        if self.mode == Phase1Mode::Aggressive {
            if !aggressive {
                return Err(wrong(&field("mode"), ConfigProblem::Weak("aggressive mode with a pre-shared key".into())));
            }
            // The public value travels with the offer, so the group cannot be negotiated, RFC 2409 §5.
            let mut groups = self.phase1.iter().map(|transform| transform.group);
            let first = groups.next();
            if groups.any(|group| Some(group) != first) {
                let conflict = ConfigProblem::Conflict("aggressive mode offers one group only");
                return Err(wrong(&field("phase1"), conflict));
            }
        }
        within(&field("lifetime"), self.lifetime.as_secs(), LIFETIME)?;
        within(&field("resends"), self.retries.into(), 0..=1_024)?;
        let backoff = Backoff::new(self.schedule, self.retries).map_err(|_| {
            wrong(&field("resend_schedule"), ConfigProblem::Conflict("gaps must be above zero and must not shrink"))
        })?;
        within(&field("delete_delay"), self.delete_delay.as_secs(), 0..=30)?;
        within(&field("dpd_idle"), self.dpd_idle.as_secs(), 1..=86_400)?;
        within(&field("heartbeat_period"), self.heartbeat_period.as_secs(), 1..=3_600)?;
        within(&field("heartbeats_missed"), self.heartbeats_missed.into(), 1..=100)?;
        within(&field("heartbeat_notify"), self.heartbeat_notify.into(), 32_768..=40_959)?;
        let heartbeats = HeartbeatPlan {
            mode: self.heartbeats,
            period: self.heartbeat_period,
            missed: self.heartbeats_missed,
            notify: self.heartbeat_notify,
        };
        if heartbeats.mode != HeartbeatMode::Off && matches!(self.heartbeat_notify, 36_136 | 36_137) {
            let conflict = ConfigProblem::Conflict("that number is one of dead peer detection");
            return Err(wrong(&field("heartbeat_notify"), conflict));
        }
        within(&field("fragment_size"), self.fragment_size.into(), 128..=65_535)?;
        within(&field("keepalive"), self.keepalive.as_secs(), 1..=3_600)?;
        for part in [self.soft_per_mille.0, self.soft_per_mille.1] {
            within(&field("soft_per_mille"), part.into(), 100..=999)?;
        }
        if let RetryAttempts::Times(times) = self.retry_attempts {
            within(&field("retry_attempts"), times.into(), 0..=16)?;
        }
        let retries = self.retry_attempts != RetryAttempts::Times(0);
        if retries && !matches!(self.peer, Peer::Address(_)) {
            let conflict = ConfigProblem::Conflict("only a peer at one address can be tried again");
            return Err(wrong(&field("retry_attempts"), conflict));
        }
        let conflict = match (self.mode, self.phase2_limit) {
            _ if !self.pfs_identities => None,
            (Phase1Mode::Aggressive | Phase1Mode::Base, _) => Some("main mode alone protects identities"),
            (Phase1Mode::Main, Some(_)) => Some("with it each ISAKMP SA carries one quick mode"),
            // Who the user is, and which address is lent, ends with the ISAKMP SA.
            (Phase1Mode::Main, None) if self.xauth.is_some() || self.mode_config.is_some() => {
                Some("a session of a user needs an ISAKMP SA that stays")
            }
            (Phase1Mode::Main, None) => None,
        };
        if let Some(conflict) = conflict {
            return Err(wrong(&field("pfs_identities"), ConfigProblem::Conflict(conflict)));
        }
        if let Some(limit) = self.phase2_limit {
            within(&field("phase2_limit"), limit.into(), 1..=1_024)?;
        }
        within(&field("jitter_per_mille"), self.jitter_per_mille.into(), 0..=99)?;
        let nat_t = if self.nat_traversal { self.nat_t_versions } else { Support::NONE };
        if self.force_encapsulation && !nat_t.is_on() {
            let conflict = ConfigProblem::Conflict("encapsulation in UDP needs nat_traversal");
            return Err(wrong(&field("force_encapsulation"), conflict));
        }
        let send_certificates = self.send_certificates.unwrap_or(default_send_certificates(&authentication));
        let remote_identity = self.remote_identity.unwrap_or(match self.peer {
            Peer::Address(_) => RemoteIdentity::PeerAddress,
            Peer::Subnet { .. } | Peer::Any => RemoteIdentity::Anyone,
        });
        if let Some(xauth) = &self.xauth {
            xauth.check(&name)?;
        }
        if let Some(mode_config) = &self.mode_config {
            mode_config.check(&name)?;
        }
        let client_side = match &self.mode_config {
            None => None,
            Some(ModeConfig::Client(_)) => Some(Dynamic::Local),
            Some(ModeConfig::Server(server)) => {
                Some(Dynamic::Remote).filter(|_| server.addresses != AddressSource::None)
            }
        };
        within(&field("policies"), self.policies.len() as u64, 0..=MAX_POLICIES)?;
        let mut policies: Vec<PolicyPlan> = Vec::new();
        for policy in self.policies {
            if policies.iter().any(|other| other.name == policy.name) {
                return Err(wrong(&field(&policy.name), ConfigProblem::Duplicate));
            }
            let peer = if let Peer::Address(peer) = self.peer { Some(peer) } else { None };
            let mut policy = policy.build(&name, (self.local, peer), self.weak)?;
            policy.commit_bit |= self.commit_bit;
            if policy.dynamic != Dynamic::Neither && Some(policy.dynamic) != client_side {
                let problem = ConfigProblem::Conflict("no mode_config gives the address of that side");
                return Err(wrong(&format!("{name}.{}.dynamic", policy.name), problem));
            }
            policies.push(policy);
        }
        Ok(ConnectionPlan {
            peer: self.peer,
            peer_port: self.peer_port,
            peer_nat_t_port: self.peer_nat_t_port,
            local: self.local,
            local_identity: self.local_identity,
            remote_identity,
            authentication,
            send_certificates,
            mode: self.mode,
            aggressive,
            base,
            phase1: self.phase1,
            exponent_bits: self.exponent_bits,
            lifetime: self.lifetime,
            backoff,
            delete_delay: self.delete_delay,
            dpd: self.dpd,
            dpd_idle: self.dpd_idle,
            dead_peer: self.dead_peer,
            heartbeats,
            nat_t,
            force_encapsulation: self.force_encapsulation,
            fragmentation: self.fragmentation,
            fragment_size: self.fragment_size,
            keepalive: self.keepalive,
            initial_contact: self.initial_contact,
            ignore_initial_contact: self.ignore_initial_contact,
            send_deletes: self.send_deletes,
            send_notifies: self.send_notifies,
            trust_unprotected_errors: self.trust_unprotected_errors,
            children_end_with_ike: self.children_end_with_ike,
            phase2_limit: self.phase2_limit,
            pfs_identities: self.pfs_identities,
            retry_attempts: self.retry_attempts,
            extend_while_used: self.extend_while_used,
            soft_per_mille: self.soft_per_mille,
            jitter_per_mille: self.jitter_per_mille,
            weak: self.weak,
            policies,
            xauth: self.xauth,
            mode_config: self.mode_config,
            name,
        })
    }
}
