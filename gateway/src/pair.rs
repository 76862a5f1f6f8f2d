//! Pairs of associations: how they come, move and go as the exchanges say.

use crate::action::{Action, InstallRefusal};
use crate::carry::Ends;
use crate::compression::{Backoff, CompressionCounters};
use crate::defaults;
use crate::demux::{AH, ESP, IPCOMP};
use crate::layers::Layers;
use crate::path_mtu::PathMtu;
use crate::pump::Gateway;
use crate::session::SessionId;
use crate::suite::{self, Transform};
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::IpAddr;
use drive::{Instant, Path, SecretBytes};
use esp_ah::ah::AhKey;
use esp_ah::ipcomp::Deflater;
use esp_ah::{OpenKey, SealKey, SequenceBits};
use ikev1_core::proposal::{Mode, Protection};
use ikev1_core::{AllocateSpi, ChildId, Encapsulation, InstallSa, ProtocolSa, RemoveSa, Role, TrafficSelector};
use rand_core::Rng as _;
use sad::{FlowId, InboundKeys, OutboundKeys, OwnerId, SaMode, SaParameters, SaProtocol, SadError, Spi};
use spd::TemplateId;

/// A pair of bundles, one per direction, as the exchanges or people agreed it.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) template: TemplateId,
    pub(crate) policy: spd::PolicyId,
    pub(crate) inbound: Layers,
    pub(crate) outbound: Layers,
    /// What sealed packets travel on.
    pub(crate) path: Path,
    pub(crate) mode: Mode,
    pub(crate) ends: Ends,
    /// The traffic on this side, and on the peer's.
    pub(crate) local: TrafficSelector,
    pub(crate) remote: TrafficSelector,
    pub(crate) mtu: PathMtu,
    /// The session it is part of, once it may send; none of manual keys.
    pub(crate) session: Option<SessionId>,
    pub(crate) compression: CompressionCounters,
    pub(crate) backoff: Backoff,
    pub(crate) sent_reported: Option<Instant>,
    pub(crate) seen_reported: Option<Instant>,
}

impl Pair {
    /// Returns a pair without associations, for the traffic of the two selectors.
    pub(crate) fn new(
        template: TemplateId,
        policy: spd::PolicyId,
        path: Path,
        mode: Mode,
        ends: Ends,
        traffic: (TrafficSelector, TrafficSelector),
    ) -> Self {
        let (local, remote) = match mode {
            Mode::Tunnel => traffic,
            // The addresses are those of the ends, whatever the ends called themselves behind NATs.
            Mode::Transport => (at(ends.local, traffic.0), at(ends.remote, traffic.1)),
        };
        Self {
            template,
            policy,
            inbound: Layers::default(),
            outbound: Layers::default(),
            path,
            mode,
            ends,
            local,
            remote,
            mtu: PathMtu::default(),
            session: None,
            compression: CompressionCounters::default(),
            backoff: Backoff::default(),
            sent_reported: None,
            seen_reported: None,
        }
    }
}

impl Gateway {
    pub(crate) fn allocate(&mut self, now: Instant, question: &AllocateSpi) {
        let owner = OwnerId(question.child.0);
        let protocol = protocol_of(question.protocol);
        let allocated = protocol
            .and_then(|protocol| self.sad.allocate_spi(now, protocol, question.local, owner, &mut self.entropy).ok());
        let spi = match allocated {
            Some((_, spi)) => Some(spi.get()),
            // Any index outside the reserved ranges will do: it is looked at within its pair only, RFC 3173 §3.3.
            None if question.protocol == IPCOMP => Some(256 + self.entropy.next_u32() % (61_440 - 256)),
            None => None,
        };
        self.count_begun(question, spi.is_some());
        let answer = ikev1_core::Command::ProvideSpi { ticket: question.ticket, spi };
        if let (Err(_), Some((larval, _))) = (self.ike.handle_command(now, answer), allocated) {
            let _ = self.sad.remove(larval);
        }
    }

    /// Gives an SPI back that no association was made of.
    pub(crate) fn release(&mut self, spi: u32, protocol: u8, local: IpAddr) {
        if let Some(larval) = protocol_of(protocol).and_then(|protocol| self.sad.find(spi, local, protocol)) {
            if let Some(owner) = self.sad.status(larval).map(|status| status.owner) {
                self.count_unmade(ChildId(owner.0));
            }
            // It may have run out of time in the meantime, which comes to the same.
            let _ = self.sad.remove(larval);
        }
    }

    pub(crate) fn install(&mut self, now: Instant, install: &InstallSa) -> Result<(), InstallRefusal> {
        let template = self.routes.template(install.connection, install.policy).ok_or(InstallRefusal::UnknownPolicy)?;
        let policy = self.routes.of(template).map(|route| route.spd).ok_or(InstallRefusal::UnknownPolicy)?;
        let ah = install.sas.iter().any(|sa| matches!(sa.suite, Protection::Ah { .. }));
        let transforms = install.sas.iter().map(|sa| suite::of(sa.suite, ah).ok_or(InstallRefusal::Suite));
        let transforms: Vec<Transform> = transforms.collect::<Result<_, _>>()?;
        let mut layers = transforms.iter().map(Transform::layer);
        if !layers.clone().is_sorted_by(|a, b| a < b) || layers.next_back().is_none_or(|last| last == 0) {
            return Err(InstallRefusal::Order);
        }
        let path = match install.encapsulation {
            Encapsulation::Native => {
                let native = Path::ip(if ah { AH } else { ESP }, install.local, install.remote);
                self.through_tunnel(template, native)
            }
            Encapsulation::Udp(_) if ah => return Err(InstallRefusal::AhInUdp),
            Encapsulation::Udp(path) => path,
        };
        let original = install.original.map(|original| (original.source, original.destination));
        let ends = Ends { local: install.local, remote: install.remote, translated: path.is_udp(), original };
        let traffic = (install.local_selector, install.remote_selector);
        let mut pair = match self.pairs.remove(&install.child) {
            Some(pair) => pair,
            None => Pair::new(template, policy, path, install.mode, ends, traffic),
        };
        let contested = if pair.session.is_none() { self.check_contest(install, &pair) } else { Ok(()) };
        let installed = contested.and_then(|()| match install.direction {
            ikev1_core::Direction::Inbound => self.install_inbound(now, install, &transforms, &mut pair),
            ikev1_core::Direction::Outbound => self.install_outbound(now, install, &transforms, &mut pair),
        });
        let (local, remote) = (pair.local, pair.remote);
        // What was installed of a pair that is refused goes when the exchanges remove it.
        self.pairs.insert(install.child, pair);
        installed?;
        if install.direction == ikev1_core::Direction::Outbound {
            self.note_outbound(install.child);
            let behind = install.replaces.filter(|_| install.role == Role::Initiator);
            if let Some(carriers) = self.routes.carriers_mut(template) {
                carriers.attach(install.child, local, remote, behind);
            }
            if behind.is_some() {
                self.switches.set(install.child, now + defaults::SWITCH_DELAY);
            }
            self.count_made(install, policy);
            self.session_joined(now, install);
            for packet in self.waiting.release(template) {
                // What still finds no association waits again, or is counted as dropped.
                let _ = self.seal_copy(now, &packet, |clear| Action::Bypass(Bytes::copy_from_slice(clear)));
            }
        }
        Ok(())
    }

    fn install_inbound(
        &mut self,
        now: Instant,
        install: &InstallSa,
        transforms: &[Transform],
        pair: &mut Pair,
    ) -> Result<(), InstallRefusal> {
        for (sa, transform) in install.sas.iter().zip(transforms) {
            let bits = bits(sa.extended_sequence);
            let keys = match transform {
                Transform::Ipcomp => {
                    pair.inbound.cpi = Some(u16::try_from(sa.spi).map_err(|_| InstallRefusal::ReservedSpi)?);
                    continue;
                }
                Transform::Esp(suite) => {
                    let key = OpenKey::with_provider(*suite, bits, keymat(sa).expose(), &*self.provider)?;
                    InboundKeys::Esp(key)
                }
                Transform::Ah(integrity) => {
                    let key = sa.integrity_key.expose();
                    InboundKeys::Ah(AhKey::with_provider(*integrity, bits, key, &*self.provider)?)
                }
            };
            let protocol = pair.inbound.note(&keys);
            let larval = self.sad.find(sa.spi, install.local, protocol).ok_or(InstallRefusal::SpiGone)?;
            let parameters = parameters(install, sa, pair.path);
            let source = sad::SourceCheck::Any;
            self.sad.install_inbound(now, larval, &parameters, self.window, source, keys)?;
            pair.inbound.put(protocol, larval);
        }
        Ok(self.join_bundle(pair.inbound)?)
    }

    fn install_outbound(
        &mut self,
        now: Instant,
        install: &InstallSa,
        transforms: &[Transform],
        pair: &mut Pair,
    ) -> Result<(), InstallRefusal> {
        for (sa, transform) in install.sas.iter().zip(transforms) {
            let bits = bits(sa.extended_sequence);
            let keys = match transform {
                Transform::Ipcomp => {
                    pair.outbound.cpi = Some(u16::try_from(sa.spi).map_err(|_| InstallRefusal::ReservedSpi)?);
                    self.deflater.get_or_insert_with(Deflater::new);
                    continue;
                }
                Transform::Esp(suite) => {
                    let key = SealKey::with_provider(*suite, bits, keymat(sa).expose(), &*self.provider)?;
                    OutboundKeys::Esp(key)
                }
                Transform::Ah(integrity) => {
                    let key = sa.integrity_key.expose();
                    OutboundKeys::Ah(AhKey::with_provider(*integrity, bits, key, &*self.provider)?)
                }
            };
            let spi = Spi::new(sa.spi).ok_or(InstallRefusal::ReservedSpi)?;
            let protocol = pair.outbound.measure(&keys, install.local.is_ipv6());
            let parameters = parameters(install, sa, pair.path);
            let other = pair.inbound.of(protocol);
            let association = self.sad.install_outbound(now, spi, &parameters, keys, other)?;
            pair.outbound.put(protocol, association);
        }
        Ok(self.join_bundle(pair.outbound)?)
    }

    /// Notes by which SPI and address the packets of a pair are known to routers on their way.
    pub(crate) fn note_outbound(&mut self, child: ChildId) {
        if let Some(known) = self.outbound_known(child) {
            self.outbound_spis.insert(known, child);
        }
        self.start_heartbeats(child);
    }

    fn forget_outbound(&mut self, child: ChildId) {
        if let Some(known) = self.outbound_known(child) {
            self.outbound_spis.remove(&known);
        }
        if let Some(path) = self.pairs.get(&child).map(|pair| pair.path) {
            self.tunnel.leave(path, child);
        }
    }

    fn outbound_known(&self, child: ChildId) -> Option<(u32, IpAddr)> {
        let pair = self.pairs.get(&child)?;
        let spi = self.sad.spi_of(pair.outbound.ah.or(pair.outbound.esp)?)?;
        Some((spi.get(), pair.path.remote.ip()))
    }

    /// Makes neighbours of the associations of one direction, if there are two.
    pub(crate) fn join_bundle(&mut self, layers: Layers) -> Result<(), SadError> {
        match (layers.ah, layers.esp) {
            (Some(outer), Some(inner)) => self.sad.bundle(outer, inner),
            (Some(_), None) | (None, Some(_) | None) => Ok(()),
        }
    }

    pub(crate) fn remove(&mut self, now: Instant, removal: RemoveSa) {
        self.count_removal(&removal);
        self.forget_outbound(removal.child);
        let Some(pair) = self.pairs.remove(&removal.child) else { return };
        self.session_left(now, removal.child, &pair, removal.reason);
        self.count_algorithms_gone(&pair);
        if let Some(carriers) = self.routes.carriers_mut(pair.template) {
            carriers.forget(removal.child);
        }
        self.switches.cancel(&removal.child);
        self.tracer.forget(removal.child);
        for association in pair.inbound.associations().chain(pair.outbound.associations()) {
            // It may be dead and gone already, which comes to the same.
            let _ = self.sad.remove(association);
        }
    }

    /// Lets a renewed pair send: the peer has shown that it has its keys, or has had time enough.
    pub(crate) fn switch(&mut self, child: ChildId) {
        if let Some(template) = self.pairs.get(&child).map(|pair| pair.template)
            && let Some(carriers) = self.routes.carriers_mut(template)
        {
            carriers.promote(child);
        }
    }

    pub(crate) fn move_pair(&mut self, child: ChildId, path: Path) {
        self.forget_outbound(child);
        let Some(template) = self.pairs.get(&child).map(|pair| pair.template) else { return };
        let path = self.through_tunnel(template, path);
        let Some(pair) = self.pairs.get_mut(&child) else { return };
        pair.path = path;
        let session = pair.session;
        pair.mtu = PathMtu::default();
        for association in pair.inbound.associations().chain(pair.outbound.associations()) {
            let _ = self.sad.set_path(association, path);
        }
        if let Some(session) = session {
            self.sessions.move_to(session, path.remote);
        }
        self.note_outbound(child);
    }
}

/// Returns the selector for one address instead of its own.
fn at(address: IpAddr, selector: TrafficSelector) -> TrafficSelector {
    TrafficSelector::host(address).with_protocol(selector.protocol()).with_port(selector.port())
}

fn protocol_of(number: u8) -> Option<SaProtocol> {
    match number {
        ESP => Some(SaProtocol::Esp),
        AH => Some(SaProtocol::Ah),
        _ => None,
    }
}

const fn bits(extended: bool) -> SequenceBits {
    if extended { SequenceBits::Bits64 } else { SequenceBits::Bits32 }
}

/// The key of the cipher, then that of the integrity algorithm.
fn keymat(sa: &ProtocolSa) -> SecretBytes {
    let (cipher, integrity) = (sa.encryption_key.expose(), sa.integrity_key.expose());
    let mut keymat = Vec::with_capacity(cipher.len().saturating_add(integrity.len()));
    keymat.extend_from_slice(cipher);
    keymat.extend_from_slice(integrity);
    SecretBytes::new(keymat)
}

fn parameters(install: &InstallSa, sa: &ProtocolSa, path: Path) -> SaParameters {
    SaParameters {
        mode: match sa.mode {
            Mode::Tunnel => SaMode::Tunnel,
            Mode::Transport => SaMode::Transport,
        },
        path,
        flow: FlowId(install.child.0),
        owner: OwnerId(install.ike_sa.0),
        lifetime: lifetime(&install.lifetimes),
    }
}

/// The limits in octets; those in time are kept by the exchanges, which renew and remove.
fn lifetime(lifetimes: &ikev1_core::Lifetimes) -> sad::Lifetime {
    let octets = |kilobytes: Option<u64>| kilobytes.map(|kilobytes| kilobytes.saturating_mul(1_024));
    let limits = |kilobytes| sad::Limits { octets: octets(kilobytes), ..sad::Limits::NONE };
    sad::Lifetime { soft: limits(lifetimes.soft_kilobytes), hard: limits(lifetimes.hard_kilobytes) }
}
