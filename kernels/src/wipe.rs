//! Overwriting what crates without `Zeroize` leave: generators, hash states and cipher blocks.
//!
//! Types that hold a secret either implement `Zeroize` and sit in a `Zeroizing`, or are flat and sit in a `Wiped`.
//! Copies that the compiler makes on the stack, and what a caller is handed, are out of reach.

use aes::Block;
use rand_chacha::ChaCha20Rng;
use rand_core::{Error, RngCore};
use sha2::{Sha256, Sha512};
use std::fmt;
use std::ops::{Deref, DerefMut};
use zeroize::optimization_barrier;

/// A type without pointers, references or `Drop`, for which all bytes zero is a valid value.
///
/// # Safety
/// The implementor promises exactly that.
pub(crate) unsafe trait Flat {}

// SAFETY: each is made of integers and vectors of them alone.
unsafe impl Flat for ChaCha20Rng {}
unsafe impl Flat for Sha256 {}
unsafe impl Flat for Sha512 {}
unsafe impl Flat for Block {}
#[cfg(target_arch = "x86_64")]
unsafe impl Flat for std::arch::x86_64::__m256i {}
unsafe impl<T: Flat, const N: usize> Flat for [T; N] {}

/// A flat value that is overwritten when it is dropped. `Debug` shows nothing of it.
pub(crate) struct Wiped<T: Flat>(T);

impl<T: Flat> Wiped<T> {
    pub(crate) fn new(value: T) -> Self {
        Wiped(value)
    }
}

impl<T: Flat> Deref for Wiped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Flat> DerefMut for Wiped<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Flat + RngCore> RngCore for Wiped<T> {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        self.0.try_fill_bytes(out)
    }
}

impl<T: Flat> fmt::Debug for Wiped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wiped(..)")
    }
}

impl<T: Flat> Drop for Wiped<T> {
    fn drop(&mut self) {
        // SAFETY: the value is flat: zeros are valid for it, and nothing else owns or drops a part of it.
        unsafe { std::ptr::write_bytes(&mut self.0, 0, 1) };
        optimization_barrier(&self.0); // the writes are not removed as dead
    }
}

/// `Debug` that names the type and nothing in it.
macro_rules! redacted {
    ($($name:ty),+) => {
        $(impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        })+
    };
}
pub(crate) use redacted;

#[cfg(test)]
pub(crate) mod look {
    //! Tests look at memory: at a value's own bytes after its drop, and at every heap block as it is given back.

    use std::alloc::{GlobalAlloc, Layout, System};
    use std::mem::{size_of, MaybeUninit};
    use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
    use std::sync::{Mutex, PoisonError};

    const NEEDLE: usize = 16;

    struct Watch;
    #[global_allocator]
    static WATCH: Watch = Watch;
    static ON: AtomicBool = AtomicBool::new(false);
    static LOW: AtomicU64 = AtomicU64::new(0);
    static HIGH: AtomicU64 = AtomicU64::new(0);
    static FOUND: AtomicUsize = AtomicUsize::new(0);
    static TURN: Mutex<()> = Mutex::new(());

    // `realloc` and `alloc_zeroed` are the trait's own: they go through these two, so a block that grows is looked at.
    // SAFETY: the system's allocator does the work.
    unsafe impl GlobalAlloc for Watch {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            System.alloc(layout)
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            if ON.load(SeqCst) && layout.size() >= NEEDLE {
                let (low, high) = (LOW.load(SeqCst), HIGH.load(SeqCst));
                for offset in 0..=layout.size() - NEEDLE {
                    let word = |at: usize| block.add(offset + at).cast::<u64>().read_unaligned();
                    if word(0) == low && word(8) == high {
                        FOUND.fetch_add(1, SeqCst);
                        break;
                    }
                }
            }
            System.dealloc(block, layout);
        }
    }

    /// Heap blocks that still held the first 16 bytes of `secret` when they were freed while `work` ran.
    ///
    /// What `work` returns is kept until the watch has ended: a result may hold the secret.
    pub(crate) fn freed_with<T>(secret: &[u8], work: impl FnOnce() -> T) -> usize {
        assert!(secret[..NEEDLE].iter().any(|&byte| byte != secret[0]), "too plain to look for");
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let word = |at: usize| secret[at..at + 8].iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        LOW.store(word(0), SeqCst);
        HIGH.store(word(8), SeqCst);
        FOUND.store(0, SeqCst);
        ON.store(true, SeqCst);
        let result = work();
        ON.store(false, SeqCst);
        drop(result);
        FOUND.load(SeqCst)
    }

    /// The bytes of a value's own place before and after it is dropped there.
    pub(crate) fn dropped<T>(value: T) -> (Vec<u8>, Vec<u8>) {
        let mut place = MaybeUninit::new(value);
        let bytes = |place: &MaybeUninit<T>| -> Vec<u8> {
            let start = place.as_ptr().cast::<u8>();
            // SAFETY: the place is `size_of::<T>()` bytes that stay ours.
            (0..size_of::<T>()).map(|at| unsafe { start.add(at).read_volatile() }).collect()
        };
        let before = bytes(&place);
        // SAFETY: it was initialised above, and is not used as a `T` again.
        unsafe { place.assume_init_drop() };
        (before, bytes(&place))
    }

    pub(crate) fn holds(bytes: &[u8], secret: &[u8]) -> bool {
        bytes.windows(secret.len()).any(|window| window == secret)
    }
}

#[cfg(test)]
mod tests {
    use super::look::{dropped, freed_with, holds};
    use super::*;
    use aes::cipher::KeyInit;
    use aes::Aes128Enc;
    use rand_chacha::rand_core::SeedableRng;
    use sha2::Digest;

    const SECRET: [u8; 32] = *b"a secret that must not be there!";

    #[test]
    fn the_watch_finds_what_is_freed_and_left() {
        assert_eq!(freed_with(&SECRET, || drop(SECRET.to_vec())), 1);
        assert_eq!(freed_with(&SECRET, || SECRET.to_vec()), 0);
        assert_eq!(freed_with(&SECRET, || drop(zeroize::Zeroizing::new(SECRET.to_vec()))), 0);
        let grown = || {
            let mut held = Vec::with_capacity(32);
            held.extend_from_slice(&SECRET);
            held.reserve_exact(4096);
            held
        };
        assert_eq!(freed_with(&SECRET, grown), 1);
        let (before, after) = dropped(SECRET);
        assert!(holds(&before, &SECRET) && holds(&after, &SECRET));
    }

    #[test]
    fn generators_hash_states_blocks_and_schedules_are_overwritten() {
        let (before, after) = dropped(Wiped::new(ChaCha20Rng::from_seed(SECRET)));
        assert!(holds(&before, &SECRET) && after.iter().all(|&byte| byte == 0));
        let (before, after) = dropped(Wiped::new(Sha256::new().chain_update(SECRET)));
        assert!(holds(&before, &SECRET) && after.iter().all(|&byte| byte == 0));
        let (before, after) = dropped(Wiped::new(Sha512::new().chain_update(SECRET)));
        assert!(holds(&before, &SECRET) && after.iter().all(|&byte| byte == 0));
        let key = &SECRET[..16];
        let (before, after) = dropped(Wiped::new([*Block::from_slice(key); 3]));
        assert!(holds(&before, key) && after.iter().all(|&byte| byte == 0));
        // the first round key is the key itself; the crate wipes it with its feature `zeroize`
        let (before, after) = dropped(Aes128Enc::new(Block::from_slice(key)));
        assert!(cfg!(aes_force_soft) || holds(&before, key)); // the portable schedule is bit-sliced
        assert!(after[..16 * 11].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Wiped::new(ChaCha20Rng::from_seed(SECRET))), "Wiped(..)");
    }
}
