//! A universal hash of bit planes: polynomial evaluation in GF(2^128), a block being an element.
//!
//! The hash of a plane's blocks b_0 … b_{n-1} under the key χ is Σ χ^(n-1-t)·b_t. It is linear over GF(2), and two
//! planes that differ have one hash for at most n - 1 of the 2^128 keys. Products are added up before they are
//! reduced, once for each plane.

use rayon::prelude::*;

use crate::gf128::{add_products, block_of, Block, Sum};

/// Groups of blocks that one task adds up.
const TASK: usize = 64;

/// Hashes N planes at once: `groups[t][p]` is block t of plane p.
pub(crate) fn hash<const N: usize>(key: u128, groups: &[[Block; N]]) -> [Block; N] {
    let mut powers = vec![[1u64, 0]; groups.len()];
    for at in (1..groups.len()).rev() {
        let mut sum = [Sum::default()];
        add_products(&mut sum, &[powers[at]], block_of(key));
        powers[at - 1] = block_of(sum[0].reduce());
    }
    let nothing = || [Sum::default(); N];
    let sums = groups
        .par_chunks(TASK)
        .zip(powers.par_chunks(TASK))
        .fold(nothing, |mut sums, (groups, powers)| {
            for (blocks, power) in groups.iter().zip(powers) {
                add_products(&mut sums, blocks, *power);
            }
            sums
        })
        .reduce(nothing, |mut left, right| {
            left.iter_mut().zip(&right).for_each(|(left, right)| left.join(right));
            left
        });
    sums.map(|sum| block_of(sum.reduce()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gf128::tests::{slow, value};

    #[test]
    fn the_hash_is_horner_s_rule() {
        for count in [1u64, 2, 63, 64, 65, 200] {
            let groups: Vec<[Block; 3]> =
                (0..count).map(|t| [0, 1, 2].map(|plane| block_of(value(3 * t + plane)))).collect();
            let hashed = hash(value(999), &groups);
            for plane in 0..3 {
                let expected = groups.iter().fold(0, |sum, blocks| {
                    slow(sum, value(999)) ^ u128::from(blocks[plane][0]) ^ u128::from(blocks[plane][1]) << 64
                });
                assert_eq!(hashed[plane], block_of(expected));
            }
        }
    }
}
