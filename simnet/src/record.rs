use crate::NodeId;
use core::fmt;
use drive::{Instant, Transmit, Verdict};

/// One line of the record of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it happened.
    pub at: Instant,
    /// On which node.
    pub node: NodeId,
    /// What happened.
    pub what: What,
}

/// What can happen on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It sent a packet.
    Sent(Transmit),
    /// A packet arrived, and this is the verdict on it.
    Received(Transmit, String),
    /// Its timer fell due, for this reason.
    Timeout(&'static str),
    /// It was given a command, and refused it for a reason or did not.
    Command(Option<String>),
    /// It asked for this.
    Action(String),
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>13} #{} ", self.at.to_string(), self.node.index())?;
        match &self.what {
            What::Sent(packet) => write!(f, "sent     {} ({} octets)", packet.path, packet.payload.len()),
            What::Received(packet, verdict) => {
                write!(f, "received {} ({} octets): {verdict}", packet.path, packet.payload.len())
            }
            What::Timeout(reason) => write!(f, "timeout  {reason}"),
            What::Command(None) => f.write_str("command  taken"),
            What::Command(Some(error)) => write!(f, "command  refused: {error}"),
            What::Action(action) => write!(f, "action   {action}"),
        }
    }
}

/// Returns what the record says of a verdict.
pub(crate) fn verdict_text<R: fmt::Debug>(verdict: &Verdict<R>) -> String {
    match verdict {
        Verdict::Accepted => "accepted".to_owned(),
        Verdict::Duplicate => "duplicate".to_owned(),
        Verdict::Ignored(reason) => format!("ignored, {reason:?}"),
    }
}
