//! Bulk kernels of the clean room: flat arrays in, flat arrays out.
//!
//! Protocol logic lives in Python (`protocols/`). A kernel validates every length it is given, returns
//! `PyValueError` for a malformed argument, never panics on input, and releases the GIL while it computes.

use pyo3::prelude::*;

mod base_ot;
mod block_cipher;
mod columns;
mod credit;
mod cuckoo;
mod digest;
mod event_ids;
mod expand_convolute;
mod fields;
mod gf128;
mod hint;
mod hmac;
mod instructions;
mod key;
mod keyed;
mod kkrt;
mod lanes;
mod lookups;
mod merkle;
mod messages;
mod normalise;
mod okvs;
mod oprf;
mod oprf_vole;
mod order;
mod ot;
mod packed;
mod parquet_rows;
mod parse;
mod pieces;
mod pprf;
mod ristretto;
mod rlwe;
mod row_keys;
mod rows;
mod silent_ot;
mod sort;
mod step_functions;
mod text;
mod threads;
mod touched;
mod universal;
mod wipe;

#[pymodule]
fn _kernels(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("BACKEND", format!("rust-{}", env!("CARGO_PKG_VERSION")))?;
    module.add("INSTRUCTIONS", instructions::names())?;
    ristretto::register(module)?;
    merkle::register(module)?;
    base_ot::register(module)?;
    ot::register(module)?;
    silent_ot::register(module)?;
    kkrt::register(module)?;
    gf128::register(module)?;
    pprf::register(module)?;
    expand_convolute::register(module)?;
    okvs::register(module)?;
    hint::register(module)?;
    oprf_vole::register(module)?;
    cuckoo::register(module)?;
    rlwe::register(module)?;
    digest::register(module)?;
    event_ids::register(module)?;
    row_keys::register(module)?;
    text::register(module)?;
    parse::register(module)?;
    parquet_rows::register(module)?;
    sort::register(module)?;
    order::register(module)?;
    columns::register(module)?;
    keyed::register(module)?;
    threads::register(module)?;
    touched::register(module)?;
    lookups::register(module)?;
    packed::register(module)?;
    fields::register(module)?;
    pieces::register(module)?;
    step_functions::register(module)?;
    credit::register(module)?;
    Ok(())
}
