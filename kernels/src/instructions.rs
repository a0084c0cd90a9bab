//! Which of the processor's instructions the kernels use beyond the base of their target, found when they first run.
//!
//! Every path gives the same bytes. With `CLEANROOM_INSTRUCTIONS=portable` in the environment the paths that this crate
//! wrote for some processors are not taken, whatever the processor has: tests compare whole runs so.

use std::sync::OnceLock;

const VARIABLE: &str = "CLEANROOM_INSTRUCTIONS";
const PORTABLE: &str = "portable";

/// What may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instructions {
    /// 256-bit integer arithmetic, and bit manipulation in general registers.
    pub avx2: bool,
    /// AES on two blocks at once, with `avx2`.
    pub vaes: bool,
    /// 512-bit integer arithmetic on words of 8 to 64 bits, with `avx2`.
    pub avx512: bool,
    /// Products of 52-bit integers, with `avx512`.
    pub ifma: bool,
    /// Carry-less multiplication.
    pub pclmulqdq: bool,
}

impl Instructions {
    const NONE: Instructions = Instructions { avx2: false, vaes: false, avx512: false, ifma: false, pclmulqdq: false };

    #[cfg(target_arch = "x86_64")]
    fn detected() -> Self {
        let bits = is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2");
        let avx2 = is_x86_feature_detected!("avx2") && bits;
        let words = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq");
        let bytes = is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl");
        Self {
            avx2,
            vaes: avx2 && is_x86_feature_detected!("aes") && is_x86_feature_detected!("vaes"),
            avx512: avx2 && words && bytes,
            ifma: avx2 && words && bytes && is_x86_feature_detected!("avx512ifma"),
            pclmulqdq: is_x86_feature_detected!("pclmulqdq"),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn detected() -> Self {
        Self::NONE
    }
}

/// What this process uses.
pub(crate) fn instructions() -> Instructions {
    static FOUND: OnceLock<Instructions> = OnceLock::new();
    *FOUND.get_or_init(|| match std::env::var(VARIABLE) {
        Ok(value) if value == PORTABLE => Instructions::NONE,
        _ => Instructions::detected(),
    })
}

/// The names of what this process uses, for a record of it.
pub(crate) fn names() -> String {
    let found = instructions();
    let named = [
        (found.avx2, "avx2"),
        (found.vaes, "vaes"),
        (found.avx512, "avx512"),
        (found.ifma, "ifma"),
        (found.pclmulqdq, "pclmulqdq"),
    ];
    let used: Vec<&str> = named.into_iter().filter(|&(used, _)| used).map(|(_, name)| name).collect();
    if used.is_empty() {
        PORTABLE.to_owned()
    } else {
        used.join(" ")
    }
}

/// Declares a function that runs a body of plain Rust, compiled once more with AVX2 allowed for where that may be used:
/// the compiler makes vector code of the same arithmetic. A body is `#[inline(always)]`.
macro_rules! with_avx2 {
    ($(#[$about:meta])* $seen:vis fn $name:ident $(<const $size:ident: usize>)? (
        $($argument:ident: $kind:ty),* $(,)?
    ) $(-> $result:ty)? = $body:ident) => {
        $(#[$about])*
        $seen fn $name $(<const $size: usize>)? ($($argument: $kind),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,bmi1,bmi2")]
            fn wide $(<const $size: usize>)? ($($argument: $kind),*) $(-> $result)? {
                $body$(::<$size>)?($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            if $crate::instructions::instructions().avx2 {
                // SAFETY: the instructions are there.
                return unsafe { wide$(::<$size>)?($($argument),*) };
            }
            $body$(::<$size>)?($($argument),*)
        }
    };
}

pub(crate) use with_avx2;
