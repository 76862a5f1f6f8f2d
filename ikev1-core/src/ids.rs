use core::fmt;
use ipsec_wire::isakmp::Cookie;

macro_rules! id {
    ($(#[$meta:meta])* $name:ident($inner:ty), $label:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($label, "{}"), self.0)
            }
        }
    };
}

id!(
    /// Names a connection of the plan: its position, from 0.
    ConnectionId(u32), "connection "
);
id!(
    /// Names a phase 2 policy of a connection: its position in that connection, from 0.
    PolicyId(u32), "policy "
);
id!(
    /// Names an ISAKMP SA of this endpoint; never used twice.
    IkeSaId(u64), "isakmp-sa "
);
id!(
    /// Names a pair of IPsec SAs, one per direction, of this endpoint; never used twice.
    ChildId(u64), "ipsec-sa "
);
id!(
    /// Names a question to the caller; its answer carries the same number.
    Ticket(u64), "ticket "
);

/// The two cookies that name an ISAKMP SA on the wire, RFC 2408 §2.5.3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cookies {
    /// The initiator's cookie, never zero.
    pub initiator: Cookie,
    /// The responder's cookie, zero until message 2.
    pub responder: Cookie,
}

impl Cookies {
    /// Returns the same pair with the responder's cookie set.
    pub const fn with_responder(self, responder: Cookie) -> Self {
        Self { initiator: self.initiator, responder }
    }
}

/// `0x7f23ab96b00da856:0xf641c194a9cd04c4`, as routers show it.
impl fmt::Display for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}:0x{}", self.initiator, self.responder)
    }
}

impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cookies({self})")
    }
}

/// Which end of an exchange this endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// This end sent the first message.
    Initiator,
    /// The peer sent the first message.
    Responder,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initiator => "initiator",
            Self::Responder => "responder",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn cookies_read_as_routers_show_them() {
        let cookies = Cookies { initiator: Cookie(0x7f23_ab96_b00d_a856u64.to_be_bytes()), responder: Cookie::ZERO };
        assert_eq!(
            cookies.with_responder(Cookie(0xf641_c194_a9cd_04c4u64.to_be_bytes())).to_string(),
            "0x7f23ab96b00da856:0xf641c194a9cd04c4"
        );
        assert_eq!(cookies.to_string(), "0x7f23ab96b00da856:0x0000000000000000");
    }
}
