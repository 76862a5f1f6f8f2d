//! C libraries that benchmarks are measured against: Intel ipsec-mb and OpenSSL doing ESP, DPDK's rte_acl looking
//! policies up.
//!
//! The one crate of the family with `unsafe`: it calls C. Nothing but benchmarks uses it.

mod acl;

pub use acl::{Acl, AclKey, AclMethod, AclRule};

use std::ffi::{c_int, c_void};

/// The packets of a batch: all of one length, `stride` octets apart.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Octets from one packet's start to the next one's.
    pub stride: usize,
    /// How many packets: at most 128.
    pub count: usize,
    /// Octets of the IV.
    pub iv: usize,
    /// Octets of the text.
    pub text: usize,
    /// Octets of the ICV.
    pub icv: usize,
}

/// A cipher and hash that the anchors are set up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// AES-CBC with a key of so many bits, and HMAC. Of these ipsec-mb is set up for 128 and 256 bits, SHA-1 and SHA-256.
    AesCbc(u16, Hash),
    /// AES-128-GCM with an ICV of 16 octets.
    Aes128Gcm,
}

/// What HMAC is made of, with the numbers that `shim.c` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1.
    Sha1 = 1,
    /// SHA2-256.
    Sha256 = 2,
    /// MD5.
    Md5 = 3,
    /// SHA2-384.
    Sha384 = 4,
    /// SHA2-512.
    Sha512 = 5,
}

impl Suite {
    /// Returns the numbers that `shim.c` has for cipher and hash.
    fn numbers(self) -> (c_int, c_int) {
        let Self::AesCbc(bits, hash) = self else { return (5, 0) };
        let cipher = match bits {
            128 => 1,
            256 => 2,
            192 => 3,
            bits => panic!("AES has no keys of {bits} bits"),
        };
        (cipher, hash as c_int)
    }

    /// Returns the octets of cipher key, salt and hash key.
    fn lengths(self) -> (usize, usize, usize) {
        let Self::AesCbc(bits, hash) = self else { return (16, 4, 0) };
        let auth = match hash {
            Hash::Md5 => 16,
            Hash::Sha1 => 20,
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
            Hash::Sha512 => 64,
        };
        (usize::from(bits) / 8, 0, auth)
    }
}

/// Whose code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// Intel ipsec-mb, in bursts.
    IpsecMb,
    /// OpenSSL's EVP ciphers and HMAC, packet after packet.
    OpenSsl,
}

#[repr(C)]
struct Batch {
    base: *mut u8,
    stride: usize,
    count: i32,
    iv: i32,
    text: i32,
    icv: i32,
}

unsafe extern "C" {
    fn anchor_mb_new(
        cipher: c_int,
        hash: c_int,
        key: *const u8,
        key_len: c_int,
        auth: *const u8,
        auth_len: c_int,
        salt: *const u8,
    ) -> *mut c_void;
    fn anchor_mb_run(state: *mut c_void, batch: *const Batch, open: c_int) -> c_int;
    fn anchor_ssl_new(
        cipher: c_int,
        hash: c_int,
        key: *const u8,
        auth: *const u8,
        auth_len: c_int,
        salt: *const u8,
    ) -> *mut c_void;
    fn anchor_ssl_run(state: *mut c_void, batch: *const Batch, open: c_int) -> c_int;
}

/// An association of one of the libraries.
#[derive(Debug)]
pub struct Anchor {
    library: Library,
    state: *mut c_void,
}

impl Anchor {
    /// Sets an association up from key material: cipher key, salt, hash key.
    ///
    /// # Panics
    /// Key material of another length, or a suite that the library is not set up for.
    pub fn new(library: Library, suite: Suite, keymat: &[u8]) -> Self {
        let (key_len, salt_len, auth_len) = suite.lengths();
        assert_eq!(keymat.len(), key_len + salt_len + auth_len, "key material");
        let (key, rest) = keymat.split_at(key_len);
        let (given, auth) = rest.split_at(salt_len);
        let mut salt = [0; 4];
        salt[..salt_len].copy_from_slice(given);
        let (cipher, hash) = suite.numbers();
        let (key_len, auth_len) = (key_len as c_int, auth_len as c_int);
        // SAFETY: the pointers are to as many octets as the lengths beside them say, and are only read during the call.
        let state = unsafe {
            match library {
                Library::IpsecMb => {
                    anchor_mb_new(cipher, hash, key.as_ptr(), key_len, auth.as_ptr(), auth_len, salt.as_ptr())
                }
                Library::OpenSsl => anchor_ssl_new(cipher, hash, key.as_ptr(), auth.as_ptr(), auth_len, salt.as_ptr()),
            }
        };
        assert!(!state.is_null(), "the library gives no association");
        Self { library, state }
    }

    /// Seals or opens all packets of a batch in place.
    ///
    /// # Panics
    /// A layout that does not fit the octets, or a packet that does not come out right.
    pub fn run(&mut self, packets: &mut [u8], layout: Layout, open: bool) {
        let packet = 8 + layout.iv + layout.text + layout.icv;
        assert!(packet <= layout.stride && layout.stride * layout.count <= packets.len() && layout.count <= 128);
        let batch = Batch {
            base: packets.as_mut_ptr(),
            stride: layout.stride,
            count: layout.count as i32,
            iv: layout.iv as i32,
            text: layout.text as i32,
            icv: layout.icv as i32,
        };
        // SAFETY: the state is one that the same library made; every packet lies inside `packets`, as just checked.
        let bad = unsafe {
            match self.library {
                Library::IpsecMb => anchor_mb_run(self.state, &batch, open.into()),
                Library::OpenSsl => anchor_ssl_run(self.state, &batch, open.into()),
            }
        };
        assert_eq!(bad, 0, "{:?} got a packet wrong", self.library);
    }
}
