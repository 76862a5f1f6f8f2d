use std::ffi::c_int;

/// A rule: the first that matches wins.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct AclRule {
    /// The source address.
    pub source: u32,
    /// The destination address.
    pub destination: u32,
    /// The first and last source port.
    pub source_port: [u16; 2],
    /// The first and last destination port.
    pub destination_port: [u16; 2],
    /// Bits of the source address that count, from the left.
    pub source_length: u8,
    /// Bits of the destination address that count, from the left.
    pub destination_length: u8,
    /// The protocol.
    pub protocol: u8,
    /// Bits of the protocol that count.
    pub protocol_mask: u8,
}

/// What a look-up reads of a packet.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct AclKey {
    /// The protocol.
    pub protocol: u8,
    /// Nothing.
    pub pad: [u8; 3],
    /// The source address.
    pub source: u32,
    /// The destination address.
    pub destination: u32,
    /// The source port.
    pub source_port: u16,
    /// The destination port.
    pub destination_port: u16,
}

/// Which of rte_acl's methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclMethod {
    /// Scalar code.
    Scalar,
    /// SSE 4.1.
    Sse,
    /// AVX2.
    Avx2,
    /// AVX-512, 32 packets side by side.
    Avx512,
}

impl AclMethod {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Scalar, Self::Sse, Self::Avx2, Self::Avx512];
}

#[repr(C)]
struct State {
    opaque: [u8; 0],
}

unsafe extern "C" {
    fn anchor_acl_new(rules: *const AclRule, count: usize) -> *mut State;
    fn anchor_acl_trace(list: *mut State, keys: *const AclKey, count: usize);
    fn anchor_acl_run(
        list: *mut State,
        first: usize,
        count: usize,
        burst: usize,
        method: c_int,
        results: *mut u32,
    ) -> c_int;
    fn anchor_acl_free(list: *mut State);
}

/// A list in DPDK's rte_acl with a trace of packets.
#[derive(Debug)]
pub struct Acl(*mut State);

impl Acl {
    /// Builds a list; `None` if rte_acl refuses it.
    pub fn new(rules: &[AclRule], trace: &[AclKey]) -> Option<Self> {
        // SAFETY: the pointers are to as many items as said, laid out as the C side's, and only read during the calls.
        let state = unsafe { anchor_acl_new(rules.as_ptr(), rules.len()) };
        if state.is_null() {
            return None;
        }
        // SAFETY: as above, and the list is the one just made.
        unsafe { anchor_acl_trace(state, trace.as_ptr(), trace.len()) };
        Some(Self(state))
    }

    /// Looks packets of the trace up from `first` on, `burst` a call, one for each result: the place of the rule from
    /// 1, or 0 for none. Returns whether this machine has what the method needs.
    pub fn run(&self, first: usize, burst: usize, method: AclMethod, results: &mut [u32]) -> bool {
        // SAFETY: the list is alive; the C side checks the range against its trace and writes one result a packet.
        unsafe { anchor_acl_run(self.0, first, results.len(), burst, method as c_int, results.as_mut_ptr()) == 0 }
    }
}

impl Drop for Acl {
    fn drop(&mut self) {
        // SAFETY: nobody else has the list.
        unsafe { anchor_acl_free(self.0) };
    }
}
