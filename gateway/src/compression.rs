//! IPComp of what pairs carry, RFC 3173, and what became of it.

use crate::counters::count;
use crate::demux::IPCOMP;
use crate::inbound::DropReason;
use crate::pump::Gateway;
use core::ops::Range;
use esp_ah::Packet;
use esp_ah::ipcomp::{Compressed, Deflater, IpcompError, THRESHOLD};
use ikev1_core::ChildId;

drive::counters! {
    /// What became of the packets of pairs that compress. Compression starts and ends within one call, so nothing
    /// is ever found to have gone away when it ends.
    pub struct CompressionCounters {
        /// Packets that shrank, and were copied from the compressor's buffer to where they had stood.
        out_buf_chain_copy => "compOutBufChainCopy",
        /// Packets too short to be tried.
        out_too_small => "compOutCompTooSmall",
        /// Packets that were fragments; a tunnel compresses them like others.
        out_fragment => "compOutCompFragment",
        /// Packets not tried because those before did not shrink: every packet is tried here.
        out_non_expansion_backoff => "compOutNonExpansionBackoff",
        /// Packets that would not have shrunk, and went as they were.
        out_data_expansion => "compOutDataExpansion",
        /// Packets tried.
        out_start => "compOutCompressionStart",
        /// Packets whose compression failed at once.
        out_fail_imm => "compOutCompressionFailImm",
        /// Pairs gone when compression ended.
        out_done_get_sa_fail => "compOutCompDoneGetSaFail",
        /// Packets whose compression failed.
        out_fail => "compOutCompressionFail",
        /// Pairs in a bad state when compression ended.
        out_done_sa_bad_state => "compOutCompDoneSaBadState",
        /// Packets that shrank.
        out_good => "compOutCompressionGood",
        /// Packets that were expanded, and copied from the expander's buffer to where they had stood.
        in_buf_chain_copy => "compInBufChainCopy",
        /// Compressed packets received.
        in_start => "compInDecompressionStart",
        /// Those whose header or index is wrong.
        in_fail_imm => "compInDecompressionFailImm",
        /// Pairs gone when decompression ended.
        in_done_get_sa_fail => "compInDecompDoneGetSaFail",
        /// Those that are damaged, too long once expanded, or without room.
        in_fail => "compInDecompressionFail",
        /// Pairs in a bad state when decompression ended.
        in_done_sa_bad_state => "compInDecompDoneSaBadState",
        /// Those that were expanded.
        in_good => "compInDecompressionGood",
    }
}

impl CompressionCounters {
    /// Adds the counters of a pair.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { out_buf_chain_copy, out_too_small, out_data_expansion, out_start, out_good, .. } = other;
        let Self { in_buf_chain_copy, in_start, in_fail_imm, in_fail, in_good, .. } = other;
        for (sum, more) in [
            (&mut self.out_buf_chain_copy, out_buf_chain_copy),
            (&mut self.in_buf_chain_copy, in_buf_chain_copy),
            (&mut self.out_too_small, out_too_small),
            (&mut self.out_data_expansion, out_data_expansion),
            (&mut self.out_start, out_start),
            (&mut self.out_good, out_good),
            (&mut self.in_start, in_start),
            (&mut self.in_fail_imm, in_fail_imm),
            (&mut self.in_fail, in_fail),
            (&mut self.in_good, in_good),
        ] {
            *sum = sum.saturating_add(*more);
        }
    }
}

impl Gateway {
    /// Compresses what goes into the associations of a pair, if that makes it shorter: then it is IPComp.
    pub(crate) fn compress(
        &mut self,
        child: ChildId,
        cpi: u16,
        next_header: &mut u8,
        inside: &mut Range<usize>,
        packet: &mut Packet<'_>,
    ) {
        let Some(pair) = self.pairs.get_mut(&child) else { return };
        let counters = &mut pair.compression;
        if inside.len() < THRESHOLD {
            return count(&mut counters.out_too_small);
        }
        count(&mut counters.out_start);
        let deflater = self.deflater.get_or_insert_with(Deflater::new);
        let mut payload = packet.reborrow();
        let _ = payload.set_range(inside.clone());
        if deflater.compress(&mut payload, *next_header, cpi) == Compressed::Yes {
            count(&mut counters.out_buf_chain_copy);
            count(&mut counters.out_good);
            *inside = payload.range();
            *next_header = IPCOMP;
        } else {
            count(&mut counters.out_data_expansion);
        }
    }

    /// Expands what is compressed; what would not have shrunk comes as it is, RFC 3173 §2.2.
    pub(crate) fn expand(
        &mut self,
        child: ChildId,
        cpi: u16,
        next_header: u8,
        packet: &mut Packet<'_>,
    ) -> Result<u8, DropReason> {
        let Some(pair) = self.pairs.get_mut(&child) else { return Ok(next_header) };
        if next_header != IPCOMP {
            let policy = pair.policy;
            self.count_policy(policy, |counters| &mut counters.in_comp_uncompressed);
            return Ok(next_header);
        }
        count(&mut pair.compression.in_start);
        let expanded = self.inflater.get_or_insert_default().expand(packet, cpi);
        if expanded.is_ok() {
            count(&mut pair.compression.in_buf_chain_copy);
        }
        count(match expanded {
            Ok(_) => &mut pair.compression.in_good,
            Err(IpcompError::Wire(_) | IpcompError::Cpi(_)) => &mut pair.compression.in_fail_imm,
            Err(_) => &mut pair.compression.in_fail,
        });
        Ok(expanded?)
    }
}
