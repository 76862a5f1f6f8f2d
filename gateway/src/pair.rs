//! Pairs of associations: how they come, move and go as the exchanges say.

use crate::action::{Action, InstallRefusal};
use crate::carry::Ends;
use crate::defaults;
use crate::demux::ESP;
use crate::pump::Gateway;
use crate::suite;
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::IpAddr;
use drive::{Instant, Path, SecretBytes};
use esp_ah::{OpenKey, SealKey, SequenceBits};
use ikev1_core::proposal::Mode;
use ikev1_core::{AllocateSpi, ChildId, Encapsulation, InstallSa, RemoveSa, Role, TrafficSelector};
use sad::{FlowId, InboundKeys, OutboundKeys, OwnerId, SaHandle, SaMode, SaParameters, SaProtocol, Spi};
use spd::TemplateId;

/// A pair of associations, one per direction, as the exchanges agreed it.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) template: TemplateId,
    pub(crate) policy: spd::PolicyId,
    pub(crate) inbound: Option<SaHandle>,
    pub(crate) outbound: Option<SaHandle>,
    /// What sealed packets travel on.
    pub(crate) path: Path,
    pub(crate) mode: Mode,
    pub(crate) ends: Ends,
    /// The traffic on this side, and on the peer's.
    pub(crate) local: TrafficSelector,
    pub(crate) remote: TrafficSelector,
    pub(crate) sent_reported: Option<Instant>,
    pub(crate) seen_reported: Option<Instant>,
}

impl Gateway {
    pub(crate) fn allocate(&mut self, now: Instant, question: &AllocateSpi) {
        let owner = OwnerId(question.child.0);
        let ours = question.protocol == ESP;
        let allocated = ours
            .then(|| self.sad.allocate_spi(now, SaProtocol::Esp, question.local, owner, &mut self.entropy).ok())
            .flatten();
        let spi = allocated.map(|(_, spi)| spi.get());
        let answer = ikev1_core::Command::ProvideSpi { ticket: question.ticket, spi };
        if let (Err(_), Some((larval, _))) = (self.ike.handle_command(now, answer), allocated) {
            let _ = self.sad.remove(larval);
        }
    }

    pub(crate) fn install(&mut self, now: Instant, install: InstallSa) -> Result<(), InstallRefusal> {
        let template = self.routes.template(install.connection, install.policy).ok_or(InstallRefusal::UnknownPolicy)?;
        let policy = self.routes.of(template).map(|route| route.spd).ok_or(InstallRefusal::UnknownPolicy)?;
        let suite = suite::of(install.suite).ok_or(InstallRefusal::Suite)?;
        let mut keymat = Vec::with_capacity(suite.keymat_len());
        keymat.extend_from_slice(install.encryption_key.expose());
        keymat.extend_from_slice(install.integrity_key.expose());
        let keymat = SecretBytes::new(keymat);
        let path = match install.encapsulation {
            Encapsulation::Native => Path::ip(ESP, install.local, install.remote),
            Encapsulation::Udp(path) => path,
        };
        let parameters = SaParameters {
            mode: match install.mode {
                Mode::Tunnel => SaMode::Tunnel,
                Mode::Transport => SaMode::Transport,
            },
            path,
            flow: FlowId(install.child.0),
            owner: OwnerId(install.ike_sa.0),
            lifetime: lifetime(&install.lifetimes),
        };
        let ends = Ends { local: install.local, remote: install.remote, translated: path.is_udp(), original: None };
        let (local, remote) = match install.mode {
            Mode::Tunnel => (install.local_selector, install.remote_selector),
            // The addresses are those of the ends, whatever the ends called themselves behind NATs.
            Mode::Transport => (at(ends.local, install.local_selector), at(ends.remote, install.remote_selector)),
        };
        let pair = self.pairs.entry(install.child).or_insert(Pair {
            template,
            policy,
            inbound: None,
            outbound: None,
            path,
            mode: install.mode,
            ends,
            local,
            remote,
            sent_reported: None,
            seen_reported: None,
        });
        match install.direction {
            ikev1_core::Direction::Inbound => {
                let keys = OpenKey::new(suite, SequenceBits::Bits32, keymat.expose())?;
                let larval = self.sad.find(install.spi, install.local, SaProtocol::Esp);
                let larval = larval.ok_or(InstallRefusal::SpiGone)?;
                let source = sad::SourceCheck::Any;
                self.sad.install_inbound(now, larval, &parameters, self.window, source, InboundKeys::Esp(keys))?;
                pair.inbound = Some(larval);
            }
            ikev1_core::Direction::Outbound => {
                let keys = SealKey::new(suite, SequenceBits::Bits32, keymat.expose())?;
                let spi = Spi::new(install.spi).ok_or(InstallRefusal::ReservedSpi)?;
                let keys = OutboundKeys::Esp(keys);
                pair.outbound = Some(self.sad.install_outbound(now, spi, &parameters, keys, pair.inbound)?);
                let behind = install.replaces.filter(|_| install.role == Role::Initiator);
                self.routes.attach(template, install.child, local, remote, behind);
                if behind.is_some() {
                    self.switches.set(install.child, now + defaults::SWITCH_DELAY);
                }
                self.count_policy(policy, |counters| &mut counters.setup_done);
                for packet in self.waiting.release(template) {
                    // What still finds no association waits again, or is counted as dropped.
                    let _ = self.seal_copy(now, &packet, |clear| Action::Bypass(Bytes::copy_from_slice(clear)));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, removal: &RemoveSa) {
        let Some(pair) = self.pairs.remove(&removal.child) else { return };
        self.routes.detach(pair.template, removal.child);
        self.switches.cancel(&removal.child);
        for association in [pair.inbound, pair.outbound].into_iter().flatten() {
            // It may be dead and gone already, which comes to the same.
            let _ = self.sad.remove(association);
        }
    }

    /// Lets a renewed pair send: the peer has shown that it has its keys, or has had time enough.
    pub(crate) fn switch(&mut self, child: ChildId) {
        if let Some(template) = self.pairs.get(&child).map(|pair| pair.template) {
            self.routes.promote(template, child);
        }
    }

    pub(crate) fn move_pair(&mut self, child: ChildId, path: Path) {
        let Some(pair) = self.pairs.get_mut(&child) else { return };
        pair.path = path;
        for association in [pair.inbound, pair.outbound].into_iter().flatten() {
            let _ = self.sad.set_path(association, path);
        }
    }
}

/// Returns the selector for one address instead of its own.
fn at(address: IpAddr, selector: TrafficSelector) -> TrafficSelector {
    TrafficSelector::host(address).with_protocol(selector.protocol()).with_port(selector.port())
}

/// The limits in octets; those in time are kept by the exchanges, which renew and remove.
fn lifetime(lifetimes: &ikev1_core::Lifetimes) -> sad::Lifetime {
    let octets = |kilobytes: Option<u64>| kilobytes.map(|kilobytes| kilobytes.saturating_mul(1_024));
    let limits = |kilobytes| sad::Limits { octets: octets(kilobytes), ..sad::Limits::NONE };
    sad::Lifetime { soft: limits(lifetimes.soft_kilobytes), hard: limits(lifetimes.hard_kilobytes) }
}
