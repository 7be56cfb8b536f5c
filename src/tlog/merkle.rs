//! The Merkle tree of RFC 6962 section 2.1: hashes, roots, proofs and their verification. Nothing here knows where
//! hashes are kept.
//!
//! Leaves have numbers from 0 on. A subtree that is full has 2^level leaves and a place among those of its level; the
//! hashes of full subtrees never change again, and every root and proof is made of a few of them.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::error::Result;

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Of the 44 characters that `Display` shows; `None` for any other spelling.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }
}

/// Base64, as in checkpoints and proofs.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The root of the tree with no leaves.
pub fn empty_root() -> Hash {
    Hash::of(&[])
}

/// Of what a leaf holds.
pub fn leaf_hash(data: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(data).finalize().into())
}

pub fn node_hash(left: Hash, right: Hash) -> Hash {
    Hash(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

/// The hashes of full subtrees, wherever they are kept.
pub trait Subtrees {
    /// The hash of the subtree over the leaves `place << level .. (place + 1) << level`, all of which there are.
    fn subtree(&self, level: u32, place: u64) -> Result<Hash>;
}

/// A tree that only grows: the full subtrees that its size is made of, from the largest to the smallest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    subtrees: Vec<Hash>,
}

impl Frontier {
    /// The tree of the first `size` leaves.
    pub fn of(size: u64, subtrees: &impl Subtrees) -> Result<Self> {
        let whole = parts(0, size).into_iter().map(|(level, place)| subtrees.subtree(level, place));
        Ok(Self { size, subtrees: whole.collect::<Result<_>>()? })
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf, and tells each subtree that is full with it, from the leaf up: its level, place and hash.
    pub fn push(&mut self, leaf: Hash, tell: impl FnMut(u32, u64, Hash)) {
        self.push_subtree(0, leaf, tell);
    }

    /// Adds a full subtree, where one of this level can begin.
    pub fn push_subtree(&mut self, level: u32, hash: Hash, mut tell: impl FnMut(u32, u64, Hash)) {
        let (mut hash, mut level, added) = (hash, level, 1 << level);
        tell(level, self.size >> level, hash);
        while self.size >> level & 1 == 1
            && let Some(left) = self.subtrees.pop()
        {
            hash = node_hash(left, hash);
            level += 1;
            tell(level, self.size >> level, hash);
        }
        self.subtrees.push(hash);
        self.size += added;
    }

    pub fn root(&self) -> Hash {
        let mut from_the_right = self.subtrees.iter().rev().copied();
        let Some(last) = from_the_right.next() else { return empty_root() };
        from_the_right.fold(last, |right, left| node_hash(left, right))
    }
}

/// The full subtrees that a range of leaves is made of, in order: level and place. Whole for a range that begins at
/// the left edge of a subtree as large as the range.
fn parts(mut first: u64, end: u64) -> Vec<(u32, u64)> {
    let mut parts = Vec::new();
    while first < end {
        let level = (end - first).ilog2().min(first.trailing_zeros());
        parts.push((level, first >> level));
        first += 1 << level;
    }
    parts
}

/// The hash over a range of leaves, as it stands in a tree: `MTH(D[first:end])` in the words of RFC 6962.
fn range_hash(subtrees: &impl Subtrees, first: u64, end: u64) -> Result<Hash> {
    let parts = parts(first, end).into_iter().rev();
    let mut hash = None;
    for (level, place) in parts {
        let left = subtrees.subtree(level, place)?;
        hash = Some(hash.map_or(left, |right| node_hash(left, right)));
    }
    Ok(hash.unwrap_or_else(empty_root))
}

/// The root of the first `size` leaves.
pub fn root(subtrees: &impl Subtrees, size: u64) -> Result<Hash> {
    range_hash(subtrees, 0, size)
}

/// The largest power of two that is smaller than `n`, for n > 1: where RFC 6962 splits a tree.
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// `PATH(index, D[0:size])`: the siblings from the leaf to the root. `index < size`.
pub fn prove_inclusion(subtrees: &impl Subtrees, index: u64, size: u64) -> Result<Vec<Hash>> {
    let (mut first, mut end) = (0, size);
    let mut path = Vec::new();
    while end - first > 1 {
        let middle = first + split(end - first);
        if index < middle {
            path.push(range_hash(subtrees, middle, end)?);
            end = middle;
        } else {
            path.push(range_hash(subtrees, first, middle)?);
            first = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// `PROOF(old, D[0:size])`: what shows that the first `old` leaves of the tree are the tree it once was.
/// `0 < old <= size`.
pub fn prove_consistency(subtrees: &impl Subtrees, old: u64, size: u64) -> Result<Vec<Hash>> {
    let (mut first, mut end) = (0, size);
    let mut proof = Vec::new();
    // The old tree's edge is within first..end.
    while end > old {
        let middle = first + split(end - first);
        if old <= middle {
            proof.push(range_hash(subtrees, middle, end)?);
            end = middle;
        } else {
            proof.push(range_hash(subtrees, first, middle)?);
            first = middle;
        }
    }
    // A subtree that both trees begin with is known to who holds the old root.
    if first > 0 {
        proof.push(range_hash(subtrees, first, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Whether `path` leads from the leaf `index` to the root of a tree of `size` (RFC 9162 section 2.1.3.2).
pub fn is_included(index: u64, leaf: Hash, size: u64, root: Hash, path: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut place, mut last) = (index, size - 1);
    let mut hash = leaf;
    for sibling in path {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(*sibling, hash);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(hash, *sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && hash == root
}

/// Whether `proof` shows that the tree of `old` leaves with `old_root` is the beginning of that of `size` leaves with
/// `root` (RFC 9162 section 2.1.4.2). Every tree begins with the empty one.
pub fn is_consistent(old: u64, old_root: Hash, size: u64, root: Hash, proof: &[Hash]) -> bool {
    if old == 0 {
        return proof.is_empty() && old_root == empty_root();
    }
    if old >= size {
        return old == size && proof.is_empty() && old_root == root;
    }
    let (mut place, mut last) = (old - 1, size - 1);
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    let mut siblings = proof.iter().copied();
    // What the old tree is one subtree of is its own root, and not in the proof.
    let Some(first) = (if place == 0 { Some(old_root) } else { siblings.next() }) else { return false };
    let (mut old_hash, mut hash) = (first, first);
    for sibling in siblings {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            old_hash = node_hash(sibling, old_hash);
            hash = node_hash(sibling, hash);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(hash, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == old_root && hash == root
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::ids::unhex;

    #[derive(Default)]
    struct Kept(HashMap<(u32, u64), Hash>);

    impl Subtrees for Kept {
        fn subtree(&self, level: u32, place: u64) -> Result<Hash> {
            Ok(self.0[&(level, place)])
        }
    }

    fn grown(leaves: &[Vec<u8>]) -> (Kept, Vec<Frontier>) {
        let (mut kept, mut frontier) = (Kept::default(), Frontier::default());
        let mut all = vec![frontier.clone()];
        for leaf in leaves {
            frontier.push(leaf_hash(leaf), |level, place, hash| {
                kept.0.insert((level, place), hash);
            });
            all.push(frontier.clone());
        }
        (kept, all)
    }

    /// RFC 6962 section 2.1, word for word.
    fn by_definition(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => empty_root(),
            [leaf] => leaf_hash(leaf),
            more => {
                let (left, right) = more.split_at(split(more.len() as u64) as usize);
                node_hash(by_definition(left), by_definition(right))
            }
        }
    }

    /// The leaves and roots of the Certificate Transparency project's own tests.
    #[test]
    fn the_known_roots() {
        let leaves = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let byte =
            |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("hex");
        let leaves =
            leaves.map(|leaf| leaf.as_bytes().as_chunks::<2>().0.iter().map(byte).collect::<Vec<_>>());
        let (kept, frontiers) = grown(&leaves);
        for (at, expected) in roots.iter().enumerate() {
            let expected = Hash(unhex(expected).expect("a hash"));
            assert_eq!(frontiers[at + 1].root(), expected);
            assert_eq!(root(&kept, at as u64 + 1).expect("a root"), expected);
        }
        assert_eq!(frontiers[0].root(), empty_root());
    }

    #[test]
    fn roots_and_proofs_are_those_of_ct_merkle() {
        const N: usize = 300;
        let leaves: Vec<Vec<u8>> = (0..N).map(|n| format!("leaf {n}").into_bytes()).collect();
        let (kept, frontiers) = grown(&leaves);
        let mut theirs = ct_merkle::mem_backed_tree::MemoryBackedTree::<Sha256, Vec<u8>>::new();
        for (at, leaf) in leaves.iter().enumerate() {
            theirs.push(leaf.clone());
            let size = at + 1;
            assert_eq!(frontiers[size].root().0[..], theirs.root().as_bytes()[..], "{size}");
            for index in [0, at / 3, at / 2, at] {
                let path = prove_inclusion(&kept, index as u64, size as u64).expect("a path");
                let path: Vec<u8> = path.iter().flat_map(|hash| hash.0).collect();
                assert_eq!(path, theirs.prove_inclusion(index).as_bytes(), "{index} of {size}");
            }
            for old in
                [1, size / 3, size / 2, size - 1, size].into_iter().filter(|old| *old > 0 && *old < size)
            {
                let proof = prove_consistency(&kept, old as u64, size as u64).expect("a proof");
                let proof: Vec<u8> = proof.iter().flat_map(|hash| hash.0).collect();
                assert_eq!(proof, theirs.prove_consistency(size - old).as_bytes(), "{old} to {size}");
            }
        }
    }

    #[test]
    fn every_proof_holds_and_none_that_was_touched() {
        const N: u64 = 70;
        let leaves: Vec<Vec<u8>> = (0..N).map(|n| format!("leaf {n}").into_bytes()).collect();
        let (kept, frontiers) = grown(&leaves);
        for size in 1..=N {
            let now = root(&kept, size).expect("a root");
            assert_eq!(now, by_definition(&leaves[..size as usize]));
            assert_eq!(Frontier::of(size, &kept).expect("a frontier"), frontiers[size as usize]);
            for index in 0..size {
                let leaf = leaf_hash(&leaves[index as usize]);
                let path = prove_inclusion(&kept, index, size).expect("a path");
                assert!(is_included(index, leaf, size, now, &path));
                assert!(!is_included(index, leaf_hash(b"another"), size, now, &path));
                assert!(!is_included(index ^ 1, leaf, size, now, &path) || size == 1);
                assert!(!is_included(index, leaf, size, now, &[&path[..], &[leaf]].concat()));
                for at in 0..path.len() {
                    let mut other = path.clone();
                    other[at].0[at % 32] ^= 1;
                    assert!(!is_included(index, leaf, size, now, &other));
                    other.remove(at);
                    assert!(!is_included(index, leaf, size, now, &other));
                }
            }
            for old in 1..=size {
                let before = frontiers[old as usize].root();
                let proof = prove_consistency(&kept, old, size).expect("a proof");
                assert!(is_consistent(old, before, size, now, &proof), "{old} {size}");
                assert!(!is_consistent(old, leaf_hash(b"another"), size, now, &proof));
                assert!(!is_consistent(old, before, size, leaf_hash(b"another"), &proof));
                assert!(!is_consistent(old, before, size, now, &[&proof[..], &[before]].concat()));
                for at in 0..proof.len() {
                    let mut other = proof.clone();
                    other[at].0[at % 32] ^= 1;
                    assert!(!is_consistent(old, before, size, now, &other));
                    other.remove(at);
                    assert!(!is_consistent(old, before, size, now, &other), "{old} {size} without {at}");
                }
            }
        }
        assert!(is_consistent(0, empty_root(), 5, frontiers[5].root(), &[]));
    }
}
