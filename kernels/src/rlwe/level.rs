//! One body of code for several instruction sets, chosen when the program runs.
//!
//! Bodies are plain Rust over flat slices; `at_level!` compiles each once more with AVX2 and with AVX-512 allowed, so
//! that the compiler makes vector code of the same arithmetic. The portable one is always there, and tests run all.

#[cfg(target_arch = "x86_64")]
use crate::instructions::instructions;

/// What a body was compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The widest that this process uses.
    pub fn best() -> Level {
        #[cfg(target_arch = "x86_64")]
        {
            let found = instructions();
            if found.avx512 {
                return Level::Avx512;
            }
            if found.avx2 {
                return Level::Avx2;
            }
        }
        Level::Portable
    }

    /// All that this processor has.
    #[cfg(test)]
    pub fn all() -> Vec<Level> {
        let best = Level::best();
        let mut all = vec![Level::Portable];
        #[cfg(target_arch = "x86_64")]
        all.extend([Level::Avx2, Level::Avx512].into_iter().take_while(|_| best != Level::Portable));
        all.truncate(1 + all.iter().position(|&level| level == best).unwrap_or(0));
        all
    }
}

/// Declares a function that runs `body::<WIDE>` as compiled for a level; WIDE asks for what becomes vector code.
macro_rules! at_level {
    ($(#[$about:meta])* $seen:vis fn $name:ident($($arg:ident: $kind:ty),* $(,)?) = $body:ident) => {
        $(#[$about])*
        $seen fn $name(level: $crate::rlwe::level::Level, $($arg: $kind),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2($($arg: $kind),*) {
                $body::<true>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,avx512f,avx512dq,avx512vl")]
            fn avx512($($arg: $kind),*) {
                $body::<true>($($arg),*)
            }
            match level {
                $crate::rlwe::level::Level::Portable => $body::<false>($($arg),*),
                // SAFETY: a level is made where the processor has what its functions were compiled for.
                #[cfg(target_arch = "x86_64")]
                $crate::rlwe::level::Level::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::rlwe::level::Level::Avx512 => unsafe { avx512($($arg),*) },
            }
        }
    };
}

pub(crate) use at_level;
