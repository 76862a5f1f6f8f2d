use crate::{PacketKey, Upper};
use thiserror::Error;

/// Which part of which packet a fragment is; [`PacketKey::with_fragment`] takes it from its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// The identification that all fragments of the packet share: 16 bits of IPv4, 32 of IPv6.
    pub id: u32,
    /// Octets of the packet before those of this fragment: a multiple of 8, at most 65528.
    pub offset: u32,
    /// Octets of the packet that this fragment holds.
    pub length: u32,
    /// Whether fragments follow.
    pub more: bool,
    /// How many of its octets are the header above IP and what comes after that.
    pub(crate) shown: u32,
    /// Whether a fragment header stands within another.
    pub(crate) nested: bool,
}

/// Why a fragment is dropped, whatever the policies say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FragmentRefusal {
    /// It holds nothing, or fragments follow and its length is no multiple of 8, or it is a fragment of a fragment.
    #[error("no sender makes such a fragment")]
    Malformed,
    /// It ends after octet 65535 of the packet.
    #[error("it ends beyond the longest packet")]
    TooLong,
    /// It is the first, and too short to show what policies look at, RFC 1858 §3.2.
    #[error("the first fragment is too short to show its headers")]
    Tiny,
    /// It is not the first, and begins where the first has the headers that policies looked at, RFC 1858 §4, RFC 3128.
    #[error("it overlaps the first fragment")]
    Overlap,
    /// It is not the first, the first was not seen, and the policy of its packet depends on what the first shows.
    #[error("its first fragment was not seen")]
    NoFirst,
    /// It is not the first, and the policy of its packet protects some ports only: such associations carry no later
    /// fragments unless both ends agreed, RFC 4301 §7.3.
    #[error("the association of its packet carries no later fragments")]
    NotAgreed,
}

impl Fragment {
    /// The least offset of a later fragment of IPv4, in octets: no header above IP goes on so far, and no path has
    /// fragments so short, RFC 4301 Appendix D.3.
    pub const MINIMUM_OFFSET: u32 = 128;
    /// Octets of the TCP header that a first fragment must hold, RFC 1858 §3.2.1.
    pub const MINIMUM_TCP: u32 = 16;

    const LONGEST: u32 = 65_535;

    /// Returns whether this is the first fragment of its packet.
    pub const fn is_first(&self) -> bool {
        self.offset == 0
    }

    /// Returns the octet of the packet after the last that this fragment holds.
    pub const fn end(&self) -> u32 {
        self.offset.saturating_add(self.length)
    }

    /// Checks what needs no memory of other fragments; `key` is that of the same packet.
    ///
    /// # Errors
    /// [`FragmentRefusal::Malformed`], [`TooLong`](FragmentRefusal::TooLong), [`Tiny`](FragmentRefusal::Tiny),
    /// [`Overlap`](FragmentRefusal::Overlap).
    pub fn check(&self, key: &PacketKey) -> Result<(), FragmentRefusal> {
        if self.nested || self.length == 0 || self.more && !self.length.is_multiple_of(8) {
            return Err(FragmentRefusal::Malformed);
        }
        if self.end() > Self::LONGEST {
            return Err(FragmentRefusal::TooLong);
        }
        if self.is_first() {
            let cut_off = key.protocol == Some(6) && self.shown < Self::MINIMUM_TCP;
            if cut_off || key.shown() == Upper::Hidden {
                return Err(FragmentRefusal::Tiny);
            }
        } else if key.local.is_ipv4() && self.offset < Self::MINIMUM_OFFSET {
            return Err(FragmentRefusal::Overlap);
        }
        Ok(())
    }
}
