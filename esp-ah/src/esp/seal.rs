use super::{PADDING, associated};
use crate::cipher::aes::AesEnc;
use crate::cipher::ctr::Ctr;
use crate::cipher::{CbcSeal, SealCipher, cbc};
use crate::integrity::{Beside, Message, icvs};
use crate::keys::SealKey;
use crate::mode::{DUMMY, IPV4, IPV6};
use crate::packet::{BufferTooSmall, Packet, Room};
use crate::provider::{Aead, ProviderFailed};
use crate::suite::MAX_IV_LEN;
use arrayvec::ArrayVec;
use cipher::BlockCipherEncrypt;
use cipher::array::Array;
use ipsec_wire::esp::{HEADER_LEN, TRAILER_LEN, emit_header};

/// Octets of the longest ESP packet we make: the longest payload of an IP packet.
pub const MAX_ESP_LEN: usize = 65535;

/// Packets looked through for those of one association, and hashed together; the rest of a batch follows.
const GROUP: usize = 64;

/// Where the explicit IV comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Iv {
    /// From the sequence number: for counter modes the number itself, for CBC encrypted under a secret.
    ///
    /// It never repeats while the caller never repeats a sequence number under one key.
    #[default]
    Sequence,
    /// From the caller: as many octets from the start as the cipher's IV has.
    ///
    /// For hardware with a source of its own and for known answers. An IV given twice to a counter mode
    /// gives the plaintext away.
    Given([u8; MAX_IV_LEN]),
}

/// Why a packet was not sealed; it is unchanged then, unless the provider failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The buffer has too little room around the packet.
    #[error(transparent)]
    BufferTooSmall(#[from] BufferTooSmall),
    /// The sealed packet would not fit into an IP packet.
    #[error("the sealed packet would have {0} octets")]
    TooLong(usize),
    /// Filler behind a payload of this kind, which does not say its own length.
    #[error("filler behind a payload of kind {0}")]
    Filler(u8),
    /// The sequence number is zero, or above 32 bits where the association has no more.
    #[error("sequence number {0} out of range")]
    Sequence(u64),
    /// The provider of the cryptography could not seal it.
    #[error(transparent)]
    Provider(#[from] ProviderFailed),
    /// The provider of the integrity algorithm could not make the ICV.
    #[error("no ICV: {0}")]
    Integrity(#[source] ProviderFailed),
    /// The job was not run by [`seal_batch`].
    #[error("the job was not run")]
    NotRun,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Framed,
    Sealed,
    Failed(SealError),
}

/// One packet to seal: what to seal it with, and what became of it.
#[derive(Debug)]
pub struct SealJob<'k, 'b> {
    key: &'k SealKey,
    packet: Packet<'b>,
    spi: u32,
    sequence: u64,
    next_header: u8,
    filler: usize,
    iv: Iv,
    stage: Stage,
}

impl<'k, 'b> SealJob<'k, 'b> {
    /// Makes the job of sealing `packet`, a payload of kind `next_header`, under this SPI and sequence number.
    ///
    /// The caller never gives a sequence number twice under one key. Sequence numbers of 32-bit associations
    /// are below 2^32; zero is never sent (RFC 4303 §3.3.3).
    pub const fn new(key: &'k SealKey, packet: Packet<'b>, spi: u32, sequence: u64, next_header: u8) -> Self {
        Self { key, packet, spi, sequence, next_header, filler: 0, iv: Iv::Sequence, stage: Stage::Waiting }
    }

    /// Adds `octets` of filler after the payload, to hide its length (TFC padding, RFC 4303 §2.7).
    ///
    /// Only where the payload is an IP packet, which says its own length, or a dummy: transports are
    /// [`SealError::Filler`].
    #[must_use]
    pub const fn with_filler(mut self, octets: usize) -> Self {
        self.filler = octets;
        self
    }

    /// Takes the explicit IV from elsewhere.
    #[must_use]
    pub const fn with_iv(mut self, iv: Iv) -> Self {
        self.iv = iv;
        self
    }

    /// Returns the sequence number.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Returns the packet: the ESP packet once sealed, the payload otherwise.
    pub const fn packet(&self) -> &Packet<'b> {
        &self.packet
    }

    /// Returns whether the packet was sealed.
    ///
    /// # Errors
    /// Why it was not.
    pub const fn outcome(&self) -> Result<(), SealError> {
        match self.stage {
            Stage::Sealed => Ok(()),
            Stage::Failed(error) => Err(error),
            Stage::Waiting | Stage::Framed => Err(SealError::NotRun),
        }
    }

    /// Returns the ESP packet.
    ///
    /// # Errors
    /// Why it was not sealed.
    pub fn finish(self) -> Result<Packet<'b>, SealError> {
        self.outcome().map(|()| self.packet)
    }

    /// Puts everything in its place but ciphertext and ICV.
    fn frame(&mut self) {
        self.stage = match self.try_frame() {
            Ok(()) => Stage::Framed,
            Err(error) => Stage::Failed(error),
        };
    }

    fn try_frame(&mut self) -> Result<(), SealError> {
        let frame = self.key.frame;
        if self.sequence == 0 || (!frame.extended && self.sequence > u32::MAX.into()) {
            return Err(SealError::Sequence(self.sequence));
        }
        if self.filler > 0 && !matches!(self.next_header, IPV4 | IPV6 | DUMMY) {
            return Err(SealError::Filler(self.next_header));
        }
        let payload = self.packet.len().saturating_add(self.filler);
        let text = payload.saturating_add(TRAILER_LEN);
        // At most 15, the alignment being at most 16.
        let padding = text.next_multiple_of(frame.align()).saturating_sub(text);
        let tail = self.filler.saturating_add(padding).saturating_add(TRAILER_LEN).saturating_add(frame.icv());
        let total = frame.header().saturating_add(self.packet.len()).saturating_add(tail);
        if total > MAX_ESP_LEN {
            return Err(SealError::TooLong(total));
        }
        if self.packet.tailroom() < tail {
            return Err(BufferTooSmall { room: Room::Tail, needed: tail }.into());
        }
        let header = self.packet.grow_front(frame.header())?;
        // The lower half is what goes on the wire.
        let low = (self.sequence & u64::from(u32::MAX)) as u32;
        let header_written = emit_header(header, self.spi, low);
        debug_assert!(header_written.is_ok(), "the header was grown to hold it");
        let field = header.get_mut(HEADER_LEN..).unwrap_or_default();
        match self.iv {
            Iv::Given(iv) => field.iter_mut().zip(iv).for_each(|(to, from)| *to = from),
            Iv::Sequence => match &self.key.cipher {
                SealCipher::Aes(key) => write_iv_block(key, self.sequence, field),
                SealCipher::Des(key) => write_iv_block(key, self.sequence, field),
                SealCipher::TripleDes(key) => write_iv_block(key, self.sequence, field),
                SealCipher::Null => {}
                SealCipher::Ctr(_)
                | SealCipher::Gcm(_)
                | SealCipher::Gmac(_)
                | SealCipher::Ccm(_)
                | SealCipher::ChaCha(_)
                | SealCipher::Provided(_) => {
                    if let Some(field) = field.first_chunk_mut() {
                        *field = self.sequence.to_be_bytes();
                    }
                }
            },
        }
        let trailer = self.packet.grow_back(tail)?;
        let (filler, trailer) = trailer.split_at_mut_checked(self.filler).unwrap_or_default();
        filler.fill(0);
        if let (Some(to), Some(from)) = (trailer.get_mut(..padding), PADDING.get(..padding)) {
            to.copy_from_slice(from);
        }
        if let Some([pad_length, next_header]) = trailer.get_mut(padding..).and_then(|rest| rest.first_chunk_mut()) {
            // Below the alignment: at most 15.
            *pad_length = (padding & 0xff) as u8;
            *next_header = self.next_header;
        }
        Ok(())
    }

    /// Returns IV and text to encrypt, and the ICV's place.
    #[inline]
    fn parts(&mut self) -> (&mut [u8], &mut [u8], &mut [u8]) {
        let frame = self.key.frame;
        let body = self.packet.octets_mut().get_mut(HEADER_LEN..).unwrap_or_default();
        let (body, icv) = match body.len().checked_sub(frame.icv()) {
            Some(at) => body.split_at_mut_checked(at).unwrap_or_default(),
            None => Default::default(),
        };
        let (iv, text) = body.split_at_mut_checked(frame.iv()).unwrap_or_default();
        (iv, text, icv)
    }

    /// Returns the blocks for CBC: with our own IV the chain starts one block early and makes it.
    #[inline]
    fn lane<N: cipher::array::ArraySize>(&mut self) -> cbc::Lane<'_, N> {
        match self.iv {
            Iv::Sequence => {
                let end = self.packet.len().saturating_sub(self.key.frame.icv());
                let blocks = self.packet.octets_mut().get_mut(HEADER_LEN..end).unwrap_or_default();
                cbc::Lane::new(Array::default(), blocks)
            }
            Iv::Given(_) => {
                let (iv, text, _) = self.parts();
                cbc::Lane::new(Array::try_from(&*iv).unwrap_or_default(), text)
            }
        }
    }

    fn encrypt_counted(&mut self, ctr: &Ctr) {
        let (iv, text, _) = self.parts();
        let iv = iv.first_chunk().copied().unwrap_or_default();
        ctr.apply(iv, text);
    }

    /// Encrypts the only packet of its key, the hash following close behind.
    fn seal_alone<C: BlockCipherEncrypt>(&mut self, cipher: &C) {
        let key = self.key;
        let start = match self.iv {
            Iv::Sequence => HEADER_LEN,
            Iv::Given(_) => key.frame.header(),
        };
        let end = self.packet.len().saturating_sub(key.frame.icv());
        let high = (self.sequence >> 32) as u32;
        let covered = self.packet.octets_mut().get_mut(..end).unwrap_or_default();
        // Our own IV is the first block of the chain, which starts with nothing then.
        let chain = covered.get(HEADER_LEN..start).and_then(|iv| Array::try_from(iv).ok()).unwrap_or_default();
        let (step, extended) = (key.integrity.step(), key.frame.extended);
        let icv = key.integrity.icv_beside(&mut Encrypting { cipher, chain, covered, start, step, extended, high });
        self.write_icv(icv.map_err(SealError::Integrity));
    }

    /// Returns what a separate integrity algorithm covers.
    fn covered(&self) -> Message<'_> {
        let octets = self.packet.octets();
        let covered = octets.get(..octets.len().saturating_sub(self.key.frame.icv()));
        Message::new(covered.unwrap_or_default(), self.key.frame.extended, (self.sequence >> 32) as u32)
    }

    fn write_icv<const N: usize>(&mut self, icv: Result<[u8; N], SealError>) {
        self.stage = match icv {
            Ok(icv) => {
                let (_, _, field) = self.parts();
                if let Some(icv) = icv.get(..field.len()) {
                    field.copy_from_slice(icv);
                }
                Stage::Sealed
            }
            Err(error) => Stage::Failed(error),
        };
    }

    /// Seals with a cipher that makes the ICV itself.
    fn seal_combined(&mut self) {
        let key = self.key;
        let (associated, length) = associated(self.spi, self.sequence, key.frame.extended);
        let associated = associated.get(..length).unwrap_or_default();
        let (iv, text, _) = self.parts();
        let iv = iv.first_chunk().copied().unwrap_or_default();
        let sealed = match &key.cipher {
            SealCipher::Gcm(gcm) => Aead::seal(&**gcm, iv, associated, text),
            SealCipher::Ccm(ccm) => Aead::seal(&**ccm, iv, associated, text),
            SealCipher::ChaCha(chacha) => Aead::seal(&**chacha, iv, associated, text),
            SealCipher::Provided(provided) => provided.seal(iv, associated, text),
            SealCipher::Gmac(gcm) => Ok(super::gmac(gcm, iv, self.packet.octets(), key.frame, self.spi, self.sequence)),
            // Their ICVs stand apart.
            SealCipher::Null
            | SealCipher::Ctr(_)
            | SealCipher::Des(_)
            | SealCipher::TripleDes(_)
            | SealCipher::Aes(_) => return,
        };
        self.write_icv(sealed.map_err(SealError::Provider));
    }
}

/// A packet's encryption, which makes what the hash covers.
struct Encrypting<'a, C: BlockCipherEncrypt> {
    cipher: &'a C,
    chain: Array<u8, C::BlockSize>,
    covered: &'a mut [u8],
    start: usize,
    step: usize,
    extended: bool,
    high: u32,
}

impl<C: BlockCipherEncrypt> Beside for Encrypting<'_, C> {
    fn work(&mut self, hash: &mut dyn FnMut(&[u8])) {
        cbc::encrypt_alone(self.cipher, self.chain.clone(), self.covered, self.start, self.step, hash);
    }

    fn message(&self) -> Message<'_> {
        Message::new(self.covered, self.extended, self.high)
    }
}

fn write_iv_block<C: BlockCipherEncrypt>(key: &CbcSeal<C>, sequence: u64, field: &mut [u8]) {
    let block = key.iv_block(sequence);
    if field.len() == block.len() {
        field.copy_from_slice(&block);
    }
}

/// Something that may hold a job: the job itself, or a slot of the caller's array.
pub trait SealSlot<'k, 'b> {
    /// Returns the job, if there is one.
    fn job(&mut self) -> Option<&mut SealJob<'k, 'b>>;
}

impl<'k, 'b> SealSlot<'k, 'b> for SealJob<'k, 'b> {
    fn job(&mut self) -> Option<&mut Self> {
        Some(self)
    }
}

impl<'k, 'b> SealSlot<'k, 'b> for Option<SealJob<'k, 'b>> {
    fn job(&mut self) -> Option<&mut SealJob<'k, 'b>> {
        self.as_mut()
    }
}

/// Seals packets in place: ESP header, IV, padding, ciphertext and ICV.
///
/// Packets of one key are encrypted side by side wherever they stand in the batch; nothing is allocated
/// or copied. Each job knows what became of it: a packet that fails does not hold up the others.
pub fn seal_batch<'k, 'b, S: SealSlot<'k, 'b>>(slots: &mut [S]) {
    for group in slots.chunks_mut(GROUP) {
        // Filled where it stands: moved, it would be copied with all its room.
        let mut framed: ArrayVec<&mut SealJob<'k, 'b>, GROUP> = ArrayVec::new();
        framed.extend(group.iter_mut().filter_map(SealSlot::job).filter_map(|job| {
            if job.stage == Stage::Waiting {
                job.frame();
            }
            if job.stage == Stage::Framed && job.key.cipher.is_combined() {
                job.seal_combined();
            }
            (job.stage == Stage::Framed).then_some(job)
        }));
        if let [job] = framed.as_mut_slice()
            && let SealCipher::Aes(aes) = &job.key.cipher
        {
            job.seal_alone(&aes.cipher);
            continue;
        }
        encrypt(&mut framed);
        write_icvs(&mut framed);
    }
}

/// What a lot has of one key.
struct Share<'k> {
    key: &'k SealKey,
    packets: usize,
    longest: usize,
}

/// Encrypts packets, those of one key side by side.
fn encrypt(jobs: &mut [&mut SealJob<'_, '_>]) {
    let mut shares = ArrayVec::<Share<'_>, GROUP>::new();
    for job in jobs.iter() {
        let len = job.packet.len();
        if let Some(share) = shares.iter_mut().rev().find(|share| core::ptr::eq(share.key, job.key)) {
            share.packets = share.packets.saturating_add(1);
            share.longest = share.longest.max(len);
        } else {
            shares.push(Share { key: job.key, packets: 1, longest: len });
        }
    }
    // Two keys that have too few packets to fill the processor go together, such as last about as long.
    let lone = |share: &Share<'_>| !matches!(share.key.cipher, SealCipher::Aes(_)) || share.packets > cbc::LANES / 2;
    shares.sort_unstable_by_key(|share| (lone(share), share.longest));
    let mut rest = shares.as_slice();
    while let [share, after @ ..] = rest {
        rest = match after.split_first() {
            Some((other, after)) if !lone(other) => {
                encrypt_two([share.key, other.key], jobs);
                after
            }
            _ => {
                encrypt_one(share.key, jobs);
                after
            }
        };
    }
}

/// Encrypts the packets of one key side by side.
fn encrypt_one(key: &SealKey, jobs: &mut [&mut SealJob<'_, '_>]) {
    let lanes = jobs.iter_mut().filter(|job| core::ptr::eq(job.key, key));
    match &key.cipher {
        SealCipher::Aes(aes) => cbc::encrypt(&aes.cipher, lanes.map(|job| job.lane())),
        SealCipher::Des(des) => cbc::encrypt(&des.cipher, lanes.map(|job| job.lane())),
        SealCipher::TripleDes(des) => cbc::encrypt(&des.cipher, lanes.map(|job| job.lane())),
        SealCipher::Ctr(ctr) => lanes.for_each(|job| job.encrypt_counted(ctr)),
        // Nothing to encrypt, or sealed as soon as they were framed.
        SealCipher::Null
        | SealCipher::Gcm(_)
        | SealCipher::Gmac(_)
        | SealCipher::Ccm(_)
        | SealCipher::ChaCha(_)
        | SealCipher::Provided(_) => {}
    }
}

/// Encrypts the packets of two keys of AES side by side, if the keys are of one length.
fn encrypt_two(keys: [&SealKey; 2], jobs: &mut [&mut SealJob<'_, '_>]) {
    let [SealCipher::Aes(first), SealCipher::Aes(second)] = keys.map(|key| &key.cipher) else {
        return keys.into_iter().for_each(|key| encrypt_one(key, jobs));
    };
    let mut lanes: [[cbc::Lane<'_, _>; cbc::LANES / 2]; 2] = Default::default();
    let [mut of_first, mut of_second] = lanes.each_mut().map(|lanes| lanes.iter_mut());
    for job in jobs {
        let lane = if core::ptr::eq(job.key, keys[0]) {
            of_first.next()
        } else if core::ptr::eq(job.key, keys[1]) {
            of_second.next()
        } else {
            None
        };
        if let Some(lane) = lane {
            *lane = job.lane();
        }
    }
    match (&first.cipher, &second.cipher) {
        (AesEnc::Bits128(first), AesEnc::Bits128(second)) => cbc::encrypt_two([first, second], lanes),
        (AesEnc::Bits192(first), AesEnc::Bits192(second)) => cbc::encrypt_two([&**first, second], lanes),
        (AesEnc::Bits256(first), AesEnc::Bits256(second)) => cbc::encrypt_two([&**first, second], lanes),
        (AesEnc::Bits128(_) | AesEnc::Bits192(_) | AesEnc::Bits256(_), _) => {
            let [lanes, others] = lanes;
            cbc::encrypt(&first.cipher, lanes.into_iter());
            cbc::encrypt(&second.cipher, others.into_iter());
        }
    }
}

/// Makes the ICVs of encrypted packets.
fn write_icvs(jobs: &mut [&mut SealJob<'_, '_>]) {
    let made = icvs::<GROUP>(jobs.iter().map(|job| (&job.key.integrity, job.covered())));
    for (job, icv) in jobs.iter_mut().zip(made) {
        job.write_icv(icv.map_err(SealError::Integrity));
    }
}
