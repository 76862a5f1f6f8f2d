//! What a peer wants otherwise than most: `negotiation` in the file.

use super::words::Span;
use ikev1_core::{ConnectionConfig, HeartbeatMode, SendCertificates};
use nat_t::Support;
use serde::Deserialize;

/// How the negotiation with a peer differs from what most peers want.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Negotiation {
    /// The versions of NAT traversal; those of the standard and its last drafts if absent.
    pub nat_t: Option<NatT>,
    /// Whether the peer is to wait until we confirm a pair of associations.
    #[serde(default)]
    pub commit_bit: bool,
    /// Whether an ISAKMP SA ends with the one quick mode it carried, so that nobody learns who spoke by its keys.
    #[serde(default)]
    pub pfs_identities: bool,
    /// When our certificates are sent; if absent to a peer that asks, and by the gateway of `hybrid` always.
    pub certificates: Option<Certificates>,
    /// Whether we say that we know of no older associations; we do if absent.
    pub initial_contact: Option<bool>,
    /// Whether what the peer says of that is ignored, as where many clients share an identity.
    #[serde(default)]
    pub ignore_initial_contact: bool,
    /// Heartbeats in the format of this family of crates: only it understands them.
    #[serde(default)]
    pub heartbeats: Heartbeats,
    /// The time from one heartbeat to the next.
    pub heartbeat_period: Option<Span>,
}

/// The versions of NAT traversal that are offered and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NatT {
    /// None: NATs are not looked for.
    Off,
    /// RFC 3947 and the drafts from 02 on.
    Standard,
    /// Drafts 00 and 01 as well, where ESP shares port 500.
    Every,
}

/// When our certificates are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certificates {
    /// Always.
    Always,
    /// To a peer that asks.
    IfAsked,
    /// Never: the peer has them.
    Never,
}

/// How far we take part in heartbeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Heartbeats {
    /// Not at all.
    #[default]
    Off,
    /// We send them.
    Send,
    /// We expect them.
    Receive,
    /// Both.
    Both,
}

impl Negotiation {
    pub(super) fn plan(&self, mut plan: ConnectionConfig) -> ConnectionConfig {
        plan = match self.nat_t {
            Some(NatT::Off) => plan.nat_traversal(false),
            Some(NatT::Standard) => plan.nat_t_versions(Support::STANDARD),
            Some(NatT::Every) => plan.nat_t_versions(Support::EVERY),
            None => plan,
        };
        plan = match self.certificates {
            Some(Certificates::Always) => plan.send_certificates(SendCertificates::Always),
            Some(Certificates::IfAsked) => plan.send_certificates(SendCertificates::IfAsked),
            Some(Certificates::Never) => plan.send_certificates(SendCertificates::Never),
            None => plan,
        };
        if let Some(period) = self.heartbeat_period {
            plan = plan.heartbeat_period(period.0);
        }
        plan.commit_bit(self.commit_bit)
            .pfs_identities(self.pfs_identities)
            .initial_contact(self.initial_contact.unwrap_or(true))
            .ignore_initial_contact(self.ignore_initial_contact)
            .heartbeats(match self.heartbeats {
                Heartbeats::Off => HeartbeatMode::Off,
                Heartbeats::Send => HeartbeatMode::Send,
                Heartbeats::Receive => HeartbeatMode::Receive,
                Heartbeats::Both => HeartbeatMode::Both,
            })
    }
}
