//! Some columns of a Parquet file as a stream of batches, through Arrow's C interface.
//!
//! Whatever a file holds, what goes wrong is told in words of our own: a library's may quote the data.

use std::cell::Cell;
use std::fs::File;
use std::panic::{catch_unwind, set_hook, take_hook, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once};

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::ProjectionMask;
use parquet::errors::Result;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::rows::bad;

const DAMAGED: &str = "a complete Parquet file expected";

thread_local! {
    /// Whether this thread is inside of `guarded`.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls what may fail, or panic, on bytes that are not as they should be; a panic's message could hold some of them.
fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Option<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                usual(panic);
            }
        }));
    });
    GUARDED.set(true);
    let found = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(false);
    found.ok()?.ok()
}

/// Batches until the end or the first that cannot be read.
struct Batches {
    reader: ParquetRecordBatchReader,
    schema: SchemaRef,
    failed: bool,
}

impl Iterator for Batches {
    type Item = std::result::Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let batch = guarded(|| Ok(self.reader.next().transpose()?));
        self.failed = batch.is_none();
        batch.map_or_else(|| Some(Err(ArrowError::ParquetError(DAMAGED.into()))), |batch| batch.map(Ok))
    }
}

impl RecordBatchReader for Batches {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// Opens a file for its columns at `columns`; those at `coded` become dictionaries.
fn opened(path: PathBuf, columns: Vec<usize>, coded: &[usize], batch_rows: usize) -> Result<Batches> {
    let file = File::open(path)?;
    let whole = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    // A writer's numbers of entries may be too short: a batch of several groups has the entries of all their dictionaries.
    let field = |(at, field): (usize, &Arc<Field>)| {
        let (value, wanted) = match field.data_type() {
            DataType::Dictionary(_, value) => (value.as_ref(), true),
            kind => (kind, coded.contains(&at)),
        };
        let text = matches!(value, DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary);
        let kind = match wanted && text {
            true => DataType::Dictionary(Box::new(DataType::Int32), Box::new(value.clone())),
            false => value.clone(),
        };
        Arc::new(field.as_ref().clone().with_data_type(kind))
    };
    let fields: Vec<_> = whole.schema().fields().iter().enumerate().map(field).collect();
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    let metadata = ArrowReaderMetadata::try_new(whole.metadata().clone(), options)?;
    let mask = ProjectionMask::roots(metadata.parquet_schema(), columns);
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    let reader = builder.with_projection(mask).with_batch_size(batch_rows).build()?;
    Ok(Batches { schema: reader.schema(), reader, failed: false })
}

/// What Arrow's PyCapsule interface asks for batches.
#[pyclass]
struct Stream {
    batches: Mutex<Option<Batches>>,
}

#[pymethods]
impl Stream {
    /// The batches, once; the schema that is asked for is a wish that need not be fulfilled.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        #[allow(unused_variables)] requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let batches = self.batches.lock().ok().and_then(|mut batches| batches.take());
        let stream = FFI_ArrowArrayStream::new(Box::new(batches.ok_or_else(|| bad("rows are read once"))?));
        PyCapsule::new(py, stream, Some(c"arrow_array_stream".into()))
    }
}

/// The rows of a Parquet file for who takes a stream of batches (`__arrow_c_stream__`): the columns at some positions;
/// texts at `coded`, and those that a writer had as such, are dictionaries. All batches but the last have `batch_rows`
/// rows.
#[pyfunction]
#[pyo3(signature = (path, columns, *, coded, batch_rows))]
fn parquet_rows(
    py: Python<'_>,
    path: PathBuf,
    columns: Vec<usize>,
    coded: Vec<usize>,
    batch_rows: usize,
) -> PyResult<Stream> {
    if batch_rows == 0 {
        return Err(bad("at least one row a batch expected"));
    }
    let batches = py.detach(|| guarded(|| opened(path, columns, &coded, batch_rows)));
    Ok(Stream { batches: Mutex::new(Some(batches.ok_or_else(|| bad(DAMAGED))?)) })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(parquet_rows, module)?)
}
