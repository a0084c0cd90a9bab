//! Punctured pseudorandom functions: trees of 16-byte nodes under public permutations.
//!
//! The children of a node x of tree j are π(x) ⊕ x for two permutations π, AES-128 under the trees' two public keys,
//! each with j added. One side grows whole trees; the other one rebuilds all leaves but the one at its secret position
//! from the sum of the siblings of each level, and puts a value of its own there. The rebuilding side touches the same
//! memory in the same order whatever its positions are. `protocols/silent_vole.py` tells the protocol and
//! `tools/slow/silent.py` computes the same.

use aes::cipher::{BlockEncrypt, KeyInit};
use aes::{Aes128Enc, Block};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1};
use pyo3::prelude::*;
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::rows::{bad, in_row_order, matrix, pairs_mut};
use crate::wipe::Wiped;

const NODE: usize = 16;
const KEYS: usize = 32;
/// Parents that go through the two permutations side by side.
const SIDE: usize = 16;
const MAX_DEPTH: usize = 24;

type Node = [u64; 2];

fn node_of(bytes: &[u8]) -> Node {
    let mut held = [0u8; NODE];
    held.copy_from_slice(bytes);
    let word = u128::from_le_bytes(held);
    [word as u64, (word >> 64) as u64]
}

fn write_node(node: Node, out: &mut [u8]) {
    out[..8].copy_from_slice(&node[0].to_le_bytes());
    out[8..].copy_from_slice(&node[1].to_le_bytes());
}

fn xor(left: Node, right: Node) -> Node {
    [left[0] ^ right[0], left[1] ^ right[1]]
}

fn and(node: Node, mask: u64) -> Node {
    [node[0] & mask, node[1] & mask]
}

/// All ones if the numbers are equal, else zero, without a branch.
fn equal(left: usize, right: usize) -> u64 {
    let difference = (left ^ right) as u64;
    ((difference | difference.wrapping_neg()) >> 63).wrapping_sub(1)
}

/// The two permutations of one tree.
struct Permutations([Aes128Enc; 2]);

impl Permutations {
    fn of(keys: &[u8; KEYS], tree: usize) -> Self {
        let key = |side: usize| {
            let mut key = [0u8; NODE];
            write_node(xor(node_of(&keys[side * NODE..][..NODE]), [tree as u64, 0]), &mut key);
            Aes128Enc::new(&key.into())
        };
        Permutations([key(0), key(1)])
    }

    /// Writes the children of `nodes[first..first + count]` to their places of the next level, in the same memory.
    /// With `path`, that parent's children are zeros. Adds left and right children to `sums`.
    fn grow(&self, nodes: &mut [Node], first: usize, count: usize, path: Option<usize>, sums: &mut [Node; 2]) {
        let mut parents = Zeroizing::new([[0u64; 2]; SIDE]);
        parents[..count].copy_from_slice(&nodes[first..first + count]);
        for (side, permutation) in self.0.iter().enumerate() {
            let mut blocks = Wiped::new([Block::default(); SIDE]);
            for (block, parent) in blocks.iter_mut().zip(parents.iter()) {
                write_node(*parent, block);
            }
            permutation.encrypt_blocks(&mut blocks[..count]);
            for (place, (block, parent)) in blocks.iter().zip(parents.iter()).enumerate().take(count) {
                let known = path.map_or(u64::MAX, |path| !equal(first + place, path));
                let child = and(xor(node_of(block), *parent), known);
                sums[side] = xor(sums[side], child);
                nodes[2 * (first + place) + side] = child;
            }
        }
    }

    /// Grows a level of `width` nodes, from its end, so that children do not overwrite parents that are still needed.
    fn grow_level(&self, nodes: &mut [Node], width: usize, path: Option<usize>) -> Zeroizing<[Node; 2]> {
        let mut sums = Zeroizing::new([[0u64; 2]; 2]);
        for first in (0..width).step_by(SIDE).rev() {
            self.grow(nodes, first, SIDE.min(width - first), path, &mut sums);
        }
        sums
    }
}

/// Grows a tree; writes the sums of left and of right children of each level.
fn expand_tree(permutations: &Permutations, root: Node, sums: &mut [u8], leaves: &mut [Node]) {
    leaves[0] = root;
    for (level, sums) in sums.chunks_exact_mut(2 * NODE).enumerate() {
        let grown = permutations.grow_level(leaves, 1 << level, None);
        for (sum, out) in grown.iter().zip(sums.chunks_exact_mut(NODE)) {
            write_node(*sum, out);
        }
    }
}

/// Rebuilds a tree from the sums of the sides that lead away from the secret position, whose bits come most significant
/// first. There the leaf becomes the sum of `word` and all other leaves.
fn reconstruct_tree(permutations: &Permutations, bits: &[u8], sums: &[u8], word: Node, leaves: &mut [Node]) {
    leaves[0] = [0; 2];
    let mut path = 0;
    for (level, (&bit, sum)) in bits.iter().zip(sums.chunks_exact(NODE)).enumerate() {
        let grown = permutations.grow_level(leaves, 1 << level, Some(path));
        path = 2 * path + usize::from(bit);
        let away = equal(usize::from(bit), 0); // all ones where the path turns left, so that the sibling is the right one
        let side = xor(grown[0], and(xor(grown[0], grown[1]), away));
        let sibling = Zeroizing::new(xor(side, node_of(sum)));
        let last = level + 1 == bits.len();
        let all = xor(xor(grown[0], grown[1]), xor(*sibling, word));
        let own = Zeroizing::new(and(all, 0u64.wrapping_sub(u64::from(last))));
        for (place, node) in leaves[..2 << level].iter_mut().enumerate() {
            *node = xor(*node, xor(and(*sibling, equal(place, path ^ 1)), and(*own, equal(place, path))));
        }
    }
}

fn keys_of(keys: &[u8]) -> PyResult<[u8; KEYS]> {
    keys.try_into().map_err(|_| bad("the trees' keys are 32 bytes"))
}

fn leaf_count(trees: usize, depth: usize) -> PyResult<usize> {
    if !(1..=MAX_DEPTH).contains(&depth) {
        return Err(bad("trees have 1 to 24 levels"));
    }
    trees.checked_mul(1 << depth).ok_or_else(|| bad("too many leaves"))
}

/// Grows t trees of `depth` levels from t × 16 bytes of roots.
/// Returns sums (t × depth × 2 sides × 16 bytes, flat) and leaves (t·2^depth × 2 words).
#[pyfunction]
#[allow(clippy::type_complexity)] // two arrays
fn pprf_expand<'py>(
    py: Python<'py>,
    roots: PyReadonlyArray1<'py, u8>,
    keys: &[u8],
    depth: usize,
) -> PyResult<(Bound<'py, PyArray1<u8>>, Bound<'py, PyArray2<u64>>)> {
    let (roots, keys) = (in_row_order(&roots, "roots")?, keys_of(keys)?);
    if roots.len() % NODE != 0 {
        return Err(bad("roots are t × 16 bytes"));
    }
    let trees = roots.len() / NODE;
    let mut leaves = vec![0u64; 2 * leaf_count(trees, depth)?];
    let mut sums = vec![0u8; trees * depth * 2 * NODE];
    py.detach(|| {
        pairs_mut(&mut leaves)
            .par_chunks_mut(1 << depth)
            .zip(sums.par_chunks_mut(depth * 2 * NODE).zip(roots.par_chunks(NODE)))
            .enumerate()
            .for_each(|(tree, (leaves, (sums, root)))| {
                expand_tree(&Permutations::of(&keys, tree), node_of(root), sums, leaves);
            });
    });
    Ok((sums.into_pyarray(py), matrix(py, leaves, 2)?))
}

/// Rebuilds t trees from the bits of their secret positions (t × depth, most significant first), the sums of the sides
/// that lead away from them (t × depth × 16 bytes) and one word a tree (t × 16 bytes).
/// Returns leaves (t·2^depth × 2 words); at the secret position the sum of the word and all other leaves.
#[pyfunction]
fn pprf_reconstruct<'py>(
    py: Python<'py>,
    bits: PyReadonlyArray1<'py, u8>,
    keys: &[u8],
    sums: PyReadonlyArray1<'py, u8>,
    words: PyReadonlyArray1<'py, u8>,
) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let (bits, keys) = (in_row_order(&bits, "bits")?, keys_of(keys)?);
    let (sums, words) = (in_row_order(&sums, "sums")?, in_row_order(&words, "words")?);
    let trees = words.len() / NODE;
    if trees == 0 || words.len() % NODE != 0 || bits.len() % trees != 0 || sums.len() != bits.len() * NODE {
        return Err(bad("t words of 16 bytes, t × depth bits and as many sums of 16 bytes"));
    }
    if bits.iter().fold(0, |all, bit| all | bit) > 1 {
        return Err(bad("bits are 0 or 1"));
    }
    let depth = bits.len() / trees;
    let mut leaves = vec![0u64; 2 * leaf_count(trees, depth)?];
    py.detach(|| {
        pairs_mut(&mut leaves)
            .par_chunks_mut(1 << depth)
            .zip(bits.par_chunks(depth).zip(sums.par_chunks(depth * NODE).zip(words.par_chunks(NODE))))
            .enumerate()
            .for_each(|(tree, (leaves, (bits, (sums, word))))| {
                reconstruct_tree(&Permutations::of(&keys, tree), bits, sums, node_of(word), leaves);
            });
    });
    matrix(py, leaves, 2)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(pprf_expand, module)?)?;
    module.add_function(wrap_pyfunction!(pprf_reconstruct, module)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wipe::look::freed_with;

    const TREE_KEYS: [u8; KEYS] = *b"two keys that everybody may know";

    fn away(bits: &[u8], sums: &[u8]) -> Vec<u8> {
        let chosen = bits.iter().enumerate().map(|(level, &bit)| (2 * level + usize::from(1 - bit)) * NODE);
        chosen.flat_map(|at| sums[at..at + NODE].to_vec()).collect()
    }

    #[test]
    fn all_leaves_but_one_are_rebuilt() {
        for depth in [1, 2, 4, 5, 6] {
            let permutations = Permutations::of(&TREE_KEYS, 3);
            let mut sums = vec![0u8; depth * 2 * NODE];
            let mut leaves = vec![[0u64; 2]; 1 << depth];
            expand_tree(&permutations, [7, 9], &mut sums, &mut leaves);
            let total = leaves.iter().fold([0; 2], |sum, leaf| xor(sum, *leaf));
            for position in 0..1 << depth {
                let bits: Vec<u8> = (0..depth).rev().map(|bit| (position >> bit & 1) as u8).collect();
                let mut rebuilt = vec![[0u64; 2]; 1 << depth];
                let word = xor(total, [5, 6]);
                reconstruct_tree(&permutations, &bits, &away(&bits, &sums), word, &mut rebuilt);
                for (place, (leaf, rebuilt)) in leaves.iter().zip(&rebuilt).enumerate() {
                    let shift = if place == position { [5, 6] } else { [0, 0] };
                    assert_eq!(*rebuilt, xor(*leaf, shift));
                }
            }
        }
    }

    #[test]
    fn trees_differ() {
        let grown = |tree: usize| {
            let mut leaves = [[0u64; 2]; 2];
            expand_tree(&Permutations::of(&TREE_KEYS, tree), [1, 2], &mut [0; 2 * NODE], &mut leaves);
            leaves
        };
        assert_ne!(grown(0), grown(1));
    }

    #[test]
    fn nothing_secret_is_left_on_the_heap() {
        let permutations = Permutations::of(&TREE_KEYS, 0);
        let mut leaves = vec![[0u64; 2]; 16];
        let mut sums = vec![0u8; 4 * 2 * NODE];
        expand_tree(&permutations, [11, 13], &mut sums, &mut leaves);
        let mut needle = [0u8; NODE];
        write_node(leaves[5], &mut needle);
        assert_eq!(freed_with(&needle, || expand_tree(&permutations, [11, 13], &mut sums, &mut leaves)), 0);
        let bits = [0, 1, 1, 0];
        let chosen = away(&bits, &sums);
        assert_eq!(freed_with(&needle, || reconstruct_tree(&permutations, &bits, &chosen, [0; 2], &mut leaves)), 0);
    }
}
